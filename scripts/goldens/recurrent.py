"""Reference outputs and gradients of recurrent cells and layers and of packed sequences, made by PyTorch in float64.

    python scripts/goldens/recurrent.py         (needs torch and numpy; made with torch 2.15)

writes recurrent (.json, .npz; see recorder.py) in crates/nn/tests/goldens/, read by crates/nn/tests/recurrent.rs. The
initial state, where one is given, follows the input. A case with `lengths` packs its padded input, and pads the output
with -1 again.
"""

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from recorder import Recorder, nn

R = Recorder(31)
D = R.draw


def state(kind, *inputs):
    """The arguments after the input: nothing, h, or (h, c)."""
    if not inputs:
        return []
    return [tuple(inputs)] if kind.startswith("LSTM") else [inputs[0]]


def cells():
    for kind, n in (("RNNCell", 1), ("LSTMCell", 2), ("GRUCell", 1)):
        call = lambda m, x, *s: m(x, *state(kind, *s))
        R.module(kind, [D.uniform((3, 2))], call, input_size=2, hidden_size=4)
        R.module(kind, [D.uniform((1, 3))] + [D.uniform((1, 2)) for _ in range(n)], call, input_size=3, hidden_size=2, bias=False)
        R.module(kind, [D.uniform((3,))] + [D.uniform((2,)) for _ in range(n)], call, input_size=3, hidden_size=2)
    R.module("RNNCell", [D.uniform((2, 3)), D.uniform((2, 2))], input_size=3, hidden_size=2, nonlinearity="relu")


def layer(kind, shape, given=False, lengths=None, enforce_sorted=True, train=True, **args):
    """One run of nn.KIND; `shape` is (T, N), (T,) or with batch_first (N, T)."""
    hidden, proj = args["hidden_size"], args.get("proj_size", 0)
    count = args.get("num_layers", 1) * (2 if args.get("bidirectional") else 1)
    batch_first = args.get("batch_first", False)
    batch = () if len(shape) == 1 else (shape[0 if batch_first else 1],)
    inputs = [D.uniform((*shape, args["input_size"]))]
    if given:
        inputs.append(D.uniform((count, *batch, proj or hidden), -1, 1))
        if kind == "LSTM":
            inputs.append(D.uniform((count, *batch, hidden), -1, 1))

    def call(m, x, *s):
        if lengths is None:
            return m(x, *state(kind, *s))
        packed = pack_padded_sequence(x, torch.tensor(lengths), batch_first, enforce_sorted)
        y, last = m(packed, *state(kind, *s))
        return pad_packed_sequence(y, batch_first, -1.0)[0], last

    extra = {} if lengths is None else {"lengths": lengths, "enforce_sorted": enforce_sorted}
    make = lambda **a: getattr(nn, kind)(**{k: v for k, v in a.items() if k not in extra})
    R.module(kind, inputs, call, train, make, **args, **extra)


def layers():
    for kind in ("RNN", "LSTM", "GRU"):
        layer(kind, (4, 2), input_size=3, hidden_size=2)
        layer(kind, (3, 2), given=True, input_size=2, hidden_size=3, num_layers=2, bidirectional=True)
        layer(kind, (2, 3), given=True, input_size=1, hidden_size=2, num_layers=3, batch_first=True, bias=False)
        layer(kind, (1, 3), input_size=2, hidden_size=2, bidirectional=True)
        layer(kind, (3, 1), input_size=2, hidden_size=2, num_layers=2, dropout=0.0)
        layer(kind, (1, 1), given=True, input_size=1, hidden_size=1)
        layer(kind, (3,), given=True, input_size=2, hidden_size=2, bidirectional=True)
        layer(kind, (3,), input_size=2, hidden_size=2, num_layers=2, batch_first=True)
        layer(kind, (3, 2), train=False, input_size=2, hidden_size=2, num_layers=2, dropout=0.5)
        layer(kind, (4, 4), lengths=[4, 2, 2, 1], input_size=2, hidden_size=2)
        layer(kind, (3, 4), lengths=[1, 4, 3], enforce_sorted=False, given=True, input_size=2, hidden_size=2, batch_first=True)
        layer(kind, (5, 3), lengths=[2, 4, 1], enforce_sorted=False, given=True, input_size=2, hidden_size=2, num_layers=2, bidirectional=True)
        layer(kind, (3, 2), lengths=[3, 3], input_size=1, hidden_size=2, bidirectional=True)
    layer("RNN", (3, 2), given=True, input_size=2, hidden_size=3, num_layers=2, nonlinearity="relu")
    layer("LSTM", (3, 2), given=True, input_size=2, hidden_size=3, proj_size=2)
    layer("LSTM", (2, 3), given=True, input_size=2, hidden_size=3, proj_size=1, num_layers=2, bidirectional=True, batch_first=True)
    layer("LSTM", (4, 3), lengths=[4, 2, 1], input_size=2, hidden_size=3, proj_size=2, bidirectional=True)


def packing():
    def pack(x, lengths, batch_first, enforce_sorted):
        p = pack_padded_sequence(x, torch.tensor(lengths), batch_first, enforce_sorted)
        return p.data, p.batch_sizes, p.sorted_indices, p.unsorted_indices

    def there_and_back(x, lengths, batch_first, enforce_sorted, total_length):
        p = pack_padded_sequence(x, torch.tensor(lengths), batch_first, enforce_sorted)
        return pad_packed_sequence(p, batch_first, 0.5, total_length)

    for args in (
        {"lengths": [3, 2, 2], "batch_first": False, "enforce_sorted": True},
        {"lengths": [2, 3, 1], "batch_first": False, "enforce_sorted": False},
    ):
        R.function("pack_padded_sequence", pack, [D.uniform((4, 3, 2))], **args)
        R.function("pad_packed_sequence", there_and_back, [D.uniform((4, 3, 2))], **args, total_length=5)
    args = {"lengths": [2, 4, 2, 3], "batch_first": True, "enforce_sorted": False}
    R.function("pack_padded_sequence", pack, [D.uniform((4, 4))], **args)
    R.function("pad_packed_sequence", there_and_back, [D.uniform((4, 4))], **args, total_length=4)
    for batch_first in (False, True):
        pad = lambda *s, **a: pad_sequence(s, **a)
        R.function("pad_sequence", pad, [D.uniform((2, 2)), D.uniform((4, 2)), D.uniform((1, 2))], batch_first=batch_first, padding_value=-2.0)


if __name__ == "__main__":
    cells(), layers(), packing()
    R.save("recurrent")
