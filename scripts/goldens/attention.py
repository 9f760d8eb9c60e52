"""Reference outputs and gradients of attention and the transformer, made by PyTorch in float64.

    python scripts/goldens/attention.py         (needs torch and numpy; made with torch 2.15)

writes attention.json and .npz in crates/nn/tests/goldens/ (see recorder.py), read by crates/nn/tests/attention.rs.
Masks follow the inputs, named in order by the argument `masks`. Of a MultiheadAttention, `average`, `is_causal` and
`weights` are arguments of the call, not of the constructor.
"""

import torch
import torch.nn.functional as F

from recorder import Recorder, nn

# In use, the encoder would take another path, which skips padded positions and gives zeros there.
torch.backends.mha.set_fastpath_enabled(False)

R = Recorder(63)
D = R.draw
INF = float("inf")


def bools(rows):
    return torch.tensor(rows, dtype=torch.bool)


def float_mask(shape, hidden):
    """Numbers to add, -inf where `hidden` is true."""
    return D.uniform(shape, -1, 1).masked_fill(hidden, -INF)


def layer(kind, inputs, call, masks=(), make=None, how=None, low=-0.5, high=0.5, train=True, fixed=(), **args):
    """Records a layer whose call takes masks by name: `masks` is a list of (name, tensor). What is in `how` is written
    among the arguments, but not given to the constructor."""
    names, tensors = [n for n, _ in masks], [t for _, t in masks]
    first = len(inputs)

    def run(m, *x):
        return call(m, *x[:first], **dict(zip(names, x[first:])))

    ctor = make or (lambda **a: getattr(nn, kind)(**a))
    how = how or {}
    build = lambda masks, **a: ctor(**{k: v for k, v in a.items() if k not in how})
    # A gradient of -inf positions is 0 in both, and those of a mask's numbers are compared too.
    R.module(kind, inputs + tensors, run, train, build, fixed, low, high, masks=names, **how, **args)


def sdpa():
    def case(q, k, v, mask=None, **args):
        inputs = [D.uniform(s, -1, 1) for s in (q, k, v)] + ([] if mask is None else [mask])
        f = lambda q, k, v, m=None, **a: F.scaled_dot_product_attention(q, k, v, attn_mask=m, **a)
        R.function("scaled_dot_product_attention", f, inputs, **args)

    case((3, 4), (5, 4), (5, 2))
    case((2, 3, 5), (2, 4, 5), (2, 4, 3))
    case((2, 3, 1, 4), (2, 3, 1, 4), (2, 3, 1, 4))
    case((1, 2, 4, 3), (1, 2, 5, 3), (1, 2, 5, 3), scale=0.25)
    case((2, 2, 4, 3), (2, 2, 4, 3), (2, 2, 4, 3), is_causal=True)
    case((2, 5, 3), (2, 3, 3), (2, 3, 3), is_causal=True)
    case((2, 3, 3), (2, 5, 3), (2, 5, 3), is_causal=True)
    case((2, 3, 4), (2, 3, 4), (2, 3, 4), bools([[1, 0, 1], [0, 1, 1], [1, 0, 0]]))
    # The second query may see nothing.
    case((2, 3, 4), (2, 3, 4), (2, 3, 4), bools([[1, 0, 1], [0, 0, 0], [1, 0, 0]]))
    case((2, 2, 3, 4), (2, 2, 4, 4), (2, 2, 4, 4), bools([[[[1, 1, 0, 0]]], [[[0, 1, 1, 1]]]]))
    case((2, 2, 3, 4), (2, 2, 4, 4), (2, 2, 4, 4), D.uniform((2, 1, 3, 4), -1, 1))
    case((2, 3, 4), (2, 3, 4), (2, 3, 4), float_mask((3, 3), bools([[0, 1, 0], [0, 0, 0], [1, 1, 0]])))
    case((1, 4, 3, 2), (1, 2, 5, 2), (1, 2, 5, 2), enable_gqa=True)
    case((2, 0, 4), (2, 3, 4), (2, 3, 4))
    case((2, 3, 4), (2, 0, 4), (2, 0, 4))


def attention_call(m, q, k=None, v=None, average=True, **masks):
    """Self-attention where no keys are given, keys as values where no values are."""
    k = q if k is None else k
    return m(q, k, k if v is None else v, need_weights=True, average_attn_weights=average, **masks)


def multihead():
    def case(inputs, masks=(), average=True, is_causal=False, **args):
        def call(m, *x, **masks):
            if is_causal:
                # A hint in PyTorch, which wants the mask as well.
                q, k = x[0], x[min(1, len(x) - 1)]
                axis = 1 if args.get("batch_first") and q.dim() == 3 else 0
                causal = torch.triu(torch.ones(q.size(axis), k.size(axis)), 1).bool()
                masks = {"attn_mask": causal, **masks}
            return attention_call(m, *x, average=average, **masks)

        inputs = [D.uniform(s, -1, 1) for s in inputs]
        layer("MultiheadAttention", inputs, call, masks, how={"average": average, "is_causal": is_causal}, **args)

    pad = bools([[0, 0, 0, 1], [0, 1, 0, 1]])
    case([(3, 2, 4)], embed_dim=4, num_heads=2)
    case([(3, 2, 6)], embed_dim=6, num_heads=3, bias=False, average=False)
    case([(2, 3, 4), (2, 4, 4)], embed_dim=4, num_heads=1, batch_first=True)
    case([(3, 1, 4), (5, 1, 4), (5, 1, 4)], embed_dim=4, num_heads=2)
    case([(3, 2, 4), (4, 2, 3), (4, 2, 5)], embed_dim=4, num_heads=2, kdim=3, vdim=5)
    case([(2, 3, 4), (2, 4, 3), (2, 4, 4)], embed_dim=4, num_heads=2, kdim=3, batch_first=True, bias=False)
    case([(3, 2, 4), (4, 2, 4)], [("key_padding_mask", pad)], embed_dim=4, num_heads=2, add_bias_kv=True)
    case([(3, 2, 4), (4, 2, 4)], [("key_padding_mask", pad)], embed_dim=4, num_heads=2, add_zero_attn=True, average=False)
    both = {"add_bias_kv": True, "add_zero_attn": True, "batch_first": True}
    case([(2, 3, 4), (2, 4, 3), (2, 4, 2)], embed_dim=4, num_heads=2, kdim=3, vdim=2, **both)
    case([(4, 2, 4)], is_causal=True, embed_dim=4, num_heads=2)
    case([(2, 4, 4)], [("key_padding_mask", pad)], is_causal=True, embed_dim=4, num_heads=2, batch_first=True)
    # Two dimensions: no batch.
    case([(3, 4)], embed_dim=4, num_heads=2)
    case([(3, 4), (4, 4)], [("key_padding_mask", pad[1])], embed_dim=4, num_heads=2, average=False, batch_first=True)
    hidden = bools([[0, 1, 0, 0], [1, 0, 0, 1], [0, 0, 1, 1]])
    case([(3, 4), (4, 4)], [("attn_mask", torch.stack([hidden, ~hidden]))], embed_dim=4, num_heads=2, add_zero_attn=True)
    case([(3, 2, 4), (4, 2, 4)], [("attn_mask", hidden)], embed_dim=4, num_heads=2)
    case([(3, 2, 4), (4, 2, 4)], [("attn_mask", float_mask((3, 4), hidden))], embed_dim=4, num_heads=2)
    each = [("attn_mask", float_mask((4, 3, 4), hidden)), ("key_padding_mask", D.uniform((2, 4), -1, 1))]
    case([(2, 3, 4), (2, 4, 4)], each, embed_dim=4, num_heads=2, batch_first=True, train=False)
    case([(1, 1, 2)], embed_dim=2, num_heads=2)


def blind():
    """All keys of the second example hidden: where the weights are not asked for, PyTorch gives zeros, as here."""
    call = lambda m, x, **masks: m(x, x, x, need_weights=False, **masks)[0]
    masks = [("key_padding_mask", bools([[0, 0, 1], [1, 1, 1]]))]
    layer("MultiheadAttention", [D.uniform((3, 2, 4), -1, 1)], call, masks, how={"weights": False}, embed_dim=4, num_heads=2)


SMALL = {"d_model": 4, "nhead": 2, "dim_feedforward": 5, "dropout": 0.0}


def encoder_layers():
    pad, triangle = bools([[0, 0, 0], [0, 0, 1]]), bools([[0, 1, 1], [0, 0, 1], [0, 0, 0]])
    call = lambda m, x, **masks: m(x, **masks)
    for norm_first, activation, train in ((False, "relu", True), (True, "gelu", False)):
        args = {**SMALL, "norm_first": norm_first, "activation": activation, "train": train}
        case = lambda shape, masks=(), **a: layer("TransformerEncoderLayer", [D.uniform(shape, -1, 1)], call, masks, **{**args, **a})
        case((3, 2, 4))
        case((2, 3, 4), [("src_mask", float_mask((3, 3), triangle)), ("src_key_padding_mask", D.uniform((2, 3), -1, 1))], batch_first=True)
        case((2, 3, 4), [("src_mask", triangle), ("src_key_padding_mask", pad)], batch_first=True, bias=False, train=not train)
    # In use, even with dropout, which must not act.
    layer("TransformerEncoderLayer", [D.uniform((3, 4), -1, 1)], call, **{**SMALL, "dropout": 0.5, "layer_norm_eps": 0.01, "train": False})
    layer("TransformerEncoderLayer", [D.uniform((1, 1, 4), -1, 1)], call, **SMALL)


def decoder_layers():
    pad, triangle = bools([[0, 0, 0, 1], [0, 0, 0, 0]]), bools([[0, 1, 1], [0, 0, 1], [0, 0, 0]])
    call = lambda m, x, memory, **masks: m(x, memory, **masks)
    for norm_first, activation, train in ((False, "relu", True), (True, "gelu", False)):
        args = {**SMALL, "norm_first": norm_first, "activation": activation, "train": train}
        case = lambda shapes, masks=(), **a: layer("TransformerDecoderLayer", [D.uniform(s, -1, 1) for s in shapes], call, masks, **{**args, **a})
        case([(3, 2, 4), (4, 2, 4)])
        case([(2, 3, 4), (2, 4, 4)], [("tgt_mask", triangle), ("memory_key_padding_mask", pad)], batch_first=True, bias=False, train=not train)
        floats = [("tgt_mask", D.uniform((3, 3))), ("memory_mask", D.uniform((3, 4))), ("tgt_key_padding_mask", D.uniform((2, 3)))]
        case([(3, 2, 4), (4, 2, 4)], floats, layer_norm_eps=0.01)
    layer("TransformerDecoderLayer", [D.uniform((2, 4), -1, 1), D.uniform((1, 4), -1, 1)], call, **SMALL)


def stacks():
    triangle = bools([[0, 1, 1], [0, 0, 1], [0, 0, 0]])

    def stack(kind):
        def make(num_layers, norm, **args):
            end = nn.LayerNorm(args["d_model"]) if norm else None
            return getattr(nn, kind)(getattr(nn, kind + "Layer")(**args), num_layers, norm=end)

        return make

    call = lambda m, x, **masks: m(x, **masks)
    x = lambda *shape: D.uniform(shape, -1, 1)
    for norm, train in ((True, True), (False, False)):
        args = {**SMALL, "num_layers": 2, "norm": norm, "train": train, "norm_first": norm}
        layer("TransformerEncoder", [x(3, 2, 4)], call, [("mask", triangle)], stack("TransformerEncoder"), **args)
        decode = lambda m, x, memory, **masks: m(x, memory, **masks)
        layer("TransformerDecoder", [x(3, 2, 4), x(2, 2, 4)], decode, [("tgt_mask", triangle)], stack("TransformerDecoder"), **args)
    layer("TransformerEncoder", [x(2, 3, 4)], call, [("src_key_padding_mask", bools([[0, 0, 1], [0, 0, 0]]))], stack("TransformerEncoder"), **{**SMALL, "num_layers": 1, "norm": True, "batch_first": True, "train": False})


def transformers():
    triangle = bools([[0, 1, 1], [0, 0, 1], [0, 0, 0]])
    pad = bools([[0, 0, 0, 1], [0, 0, 0, 0]])
    call = lambda m, src, tgt, **masks: m(src, tgt, **masks)
    x = lambda *shape: D.uniform(shape, -1, 1)
    args = {**SMALL, "num_encoder_layers": 2, "num_decoder_layers": 2}
    layer("Transformer", [x(4, 2, 4), x(3, 2, 4)], call, [("tgt_mask", triangle)], **args)
    masks = [("src_key_padding_mask", pad), ("tgt_mask", triangle), ("memory_key_padding_mask", pad), ("memory_mask", D.uniform((3, 4)))]
    # PyTorch wants the two masks of an attention to be of one type.
    masks[2] = ("memory_key_padding_mask", torch.zeros(2, 4, dtype=torch.float64).masked_fill(pad, -INF))
    layer("Transformer", [x(2, 4, 4), x(2, 3, 4)], call, masks, **{**args, "batch_first": True, "norm_first": True, "activation": "gelu", "num_decoder_layers": 1, "train": False})
    layer("Transformer", [x(2, 4), x(3, 4)], call, [("src_mask", D.uniform((2, 2)))], **{**args, "bias": False, "layer_norm_eps": 0.01, "num_encoder_layers": 1})


if __name__ == "__main__":
    sdpa(), multihead(), blind(), encoder_layers(), decoder_layers(), stacks(), transformers()
    R.save("attention")
