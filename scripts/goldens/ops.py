"""Reference values and gradients of tensor operations, made by PyTorch in float64.

    python scripts/goldens/ops.py        (needs torch and numpy; made with torch 2.15)

writes crates/tensor/tests/goldens/ops.json and ops.npz. The same script makes the same bytes again. A case holds its
inputs, its outputs and, for each floating input with a gradient, d loss / d input, where loss is the sum over the
floating outputs k of (output_k * weight_like(output_k, k)).sum(). crates/tensor/tests/goldens.rs reads them.

To add an operation: a line in REF (its PyTorch meaning), one or more calls of `case`, and an arm in goldens.rs.
"""

import torch
import torch.nn.functional as F

from common import ROOT, Draw, Writer, weight_like

INF = float("inf")


def exact_softplus(x):
    """PyTorch's is x itself above a threshold, by default 20; here where float64 cannot tell."""
    return F.softplus(x, threshold=50)


UNARY = {  # name: (function, low, high) of a domain away from poles
    "neg": (torch.neg, -2, 2), "abs": (torch.abs, -2, 2), "exp": (torch.exp, -3, 3), "exp_m1": (torch.expm1, -2, 2),
    "log": (torch.log, 0.1, 4), "log1p": (torch.log1p, -0.9, 3), "log2": (torch.log2, 0.1, 4),
    "log10": (torch.log10, 0.1, 4), "sqrt": (torch.sqrt, 0.1, 4), "rsqrt": (torch.rsqrt, 0.1, 4),
    "square": (torch.square, -2, 2), "reciprocal": (torch.reciprocal, 0.2, 3), "sin": (torch.sin, -7, 7),
    "cos": (torch.cos, -7, 7), "tan": (torch.tan, -1.3, 1.3), "asin": (torch.asin, -0.9, 0.9),
    "acos": (torch.acos, -0.9, 0.9), "atan": (torch.atan, -4, 4), "sinh": (torch.sinh, -3, 3),
    "cosh": (torch.cosh, -3, 3), "tanh": (torch.tanh, -4, 4), "asinh": (torch.asinh, -4, 4),
    "acosh": (torch.acosh, 1.1, 5), "atanh": (torch.atanh, -0.9, 0.9), "erf": (torch.erf, -3, 3),
    "erfc": (torch.erfc, -3, 3), "sigmoid": (torch.sigmoid, -6, 6), "relu": (torch.relu, -2, 2),
    "gelu": (F.gelu, -4, 4), "silu": (F.silu, -6, 6), "softplus": (exact_softplus, -6, 6),
}


def exact_hardsigmoid(x):
    """PyTorch's own derivative holds 1/6 in single precision."""
    return F.relu6(x + 3) / 6


ACTIVATIONS = {  # name: (function, arguments)
    "gelu_tanh": (lambda x: F.gelu(x, approximate="tanh"), {}), "mish": (F.mish, {}), "softsign": (F.softsign, {}),
    "hardsigmoid": (exact_hardsigmoid, {}), "hardswish": (F.hardswish, {}), "elu": (F.elu, {"alpha": 0.75}),
    "softshrink": (F.softshrink, {"lambd": 0.5}),
}
STEPS = {"sign": torch.sign, "floor": torch.floor, "ceil": torch.ceil, "round": torch.round, "trunc": torch.trunc}


def pad(x, pads, mode, value):
    """`pads` is one (before, after) pair for each of the last dimensions, first of them first."""
    flat = [n for pair in reversed(pads) for n in pair]
    if mode == "constant":
        return F.pad(x, flat, mode, value)
    return F.pad(x, flat, mode)


def norm(x, p, dims, keepdim):
    return torch.linalg.vector_norm(x, ord=INF if p == "inf" else p, dim=dims, keepdim=keepdim)


def resize(x, size, mode, align_corners, factors=None):
    """Linear interpolation has a name for each number of dimensions in PyTorch."""
    if mode.startswith("nearest"):
        return F.interpolate(x, size, factors, mode)
    if mode == "cubic":
        return F.interpolate(x, size, factors, "bicubic", align_corners)
    return F.interpolate(x, size, factors, {3: "linear", 4: "bilinear", 5: "trilinear"}[x.dim()], align_corners)


def eigh(x):
    """Eigenvalues of x + x^T and the squares of the eigenvectors, whose sign is free."""
    values, vectors = torch.linalg.eigh(x + x.mT)
    return values, vectors**2


REF = {
    "eigh": eigh,
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "maximum": torch.maximum,
    "minimum": torch.minimum, "pow_tensor": torch.pow, "pow": lambda x, p: x.pow(p),
    "add_scalar": lambda x, c: x + c, "rsub_scalar": lambda x, c: c - x, "mul_scalar": lambda x, c: x * c,
    "div_scalar": lambda x, c: x / c, "rdiv_scalar": lambda x, c: c / x,
    "clamp": lambda x, lo, hi: x.clamp(lo, hi), "where": lambda c, a, b: torch.where(c, a, b),
    "masked_fill": lambda x, m, v: x.masked_fill(m, v), "masked_select": lambda x, m: x.masked_select(m),
    "sum": lambda x: x.sum(), "mean": lambda x: x.mean(), "max": lambda x: x.max(), "min": lambda x: x.min(),
    "prod": lambda x: x.prod(), "norm": lambda x: torch.linalg.vector_norm(x),
    "var": lambda x, correction: x.var(correction=correction), "std": lambda x, correction: x.std(correction=correction),
    "sum_dim": lambda x, dims, keepdim: x.sum(dims, keepdim), "mean_dim": lambda x, dims, keepdim: x.mean(dims, keepdim),
    "amax": lambda x, dims, keepdim: x.amax(dims, keepdim), "amin": lambda x, dims, keepdim: x.amin(dims, keepdim),
    "var_dim": lambda x, dims, correction, keepdim: x.var(dims, correction=correction, keepdim=keepdim),
    "std_dim": lambda x, dims, correction, keepdim: x.std(dims, correction=correction, keepdim=keepdim),
    "prod_dim": lambda x, dim, keepdim: x.prod(dim, keepdim), "norm_dim": norm,
    "logsumexp": lambda x, dim, keepdim: x.logsumexp(dim, keepdim),
    "max_dim": lambda x, dim, keepdim: x.max(dim, keepdim), "min_dim": lambda x, dim, keepdim: x.min(dim, keepdim),
    "argmax": lambda x, dim, keepdim: x.argmax(dim, keepdim), "argmin": lambda x, dim, keepdim: x.argmin(dim, keepdim),
    "cumsum": lambda x, dim: x.cumsum(dim), "cumprod": lambda x, dim: x.cumprod(dim),
    "sort": lambda x, dim, descending: x.sort(dim, descending),
    "topk": lambda x, k, dim, largest: x.topk(k, dim, largest),
    "gather": lambda x, i, dim: x.gather(dim, i), "scatter": lambda x, i, s, dim: x.scatter(dim, i, s),
    "scatter_add": lambda x, i, s, dim: x.scatter_add(dim, i, s), "index_select": lambda x, i, dim: x.index_select(dim, i),
    "index_add": lambda x, i, s, dim: x.index_add(dim, i, s), "take": lambda x, i: x.take(i),
    "cat": lambda *t, dim: torch.cat(t, dim), "stack": lambda *t, dim: torch.stack(t, dim),
    "split": lambda x, size, dim: x.split(size, dim), "chunk": lambda x, n, dim: x.chunk(n, dim), "pad": pad,
    "flip": lambda x, dims: x.flip(dims), "roll": lambda x, shift, dim: x.roll(shift, dim),
    "repeat": lambda x, times: x.repeat(times), "tril": lambda x, k: x.tril(k), "triu": lambda x, k: x.triu(k),
    "diag": lambda x, k: x.diag(k), "trace": lambda x: x.trace(),
    "diagonal": lambda x, k, a, b: x.diagonal(k, a, b), "movedim": lambda x, **a: x.movedim(a["from"], a["to"]),
    "repeat_interleave": lambda x, times, dim: x.repeat_interleave(times, dim),
    "median_dim": lambda x, dim, keepdim: x.median(dim, keepdim), "unbind": lambda x, dim: x.unbind(dim),
    "split_sizes": lambda x, sizes, dim: x.split(sizes, dim), "argsort": lambda x, dim, descending: x.argsort(dim, descending),
    "slice": lambda x, dim, start, end, step: x.movedim(dim, 0)[start:end:step].movedim(0, dim),
    "select": lambda x, dim, index: x.select(dim, index), "window": lambda x, dim, size, step: x.unfold(dim, size, step),
    "permute": lambda x, dims: x.permute(dims), "expand": lambda x, shape: x.expand(shape),
    "reshape": lambda x, shape: x.reshape(shape), "matmul": torch.matmul,
    "einsum": lambda *t, equation: torch.einsum(equation, *t), "linear": lambda *t: F.linear(*t),
    "batch_norm": lambda x, w, b, eps: F.batch_norm(x, None, None, w, b, True, 0.1, eps),
    "group_norm": lambda x, w, b, groups, eps: F.group_norm(x, groups, w, b, eps),
    "layer_norm": lambda x, w, b, shape, eps: F.layer_norm(x, shape, w, b, eps),
    "rms_norm": lambda x, w, shape, eps: F.rms_norm(x, shape, w, eps),
    "softmax": lambda x, dim: x.softmax(dim), "log_softmax": lambda x, dim: x.log_softmax(dim),
    "max_pool1d": lambda x, **a: F.max_pool1d(x, return_indices=True, **a),
    "max_pool2d": lambda x, **a: F.max_pool2d(x, return_indices=True, **a),
    "max_pool3d": lambda x, **a: F.max_pool3d(x, return_indices=True, **a),
    "avg_pool1d": F.avg_pool1d, "avg_pool2d": F.avg_pool2d, "avg_pool3d": F.avg_pool3d,
    "adaptive_avg_pool2d": F.adaptive_avg_pool2d,
    "adaptive_max_pool2d": lambda x, output_size: F.adaptive_max_pool2d(x, output_size, return_indices=True),
    "max_unpool2d": lambda x, i, output_size: F.max_unpool2d(x, i, 2, 2, output_size=output_size),
    "unfold2d": F.unfold, "fold2d": F.fold,
    "interpolate": resize, "interpolate_scale": lambda x, factors, mode, align_corners: resize(x, None, mode, align_corners, factors),
    "cross_entropy_mean": lambda x, y: F.cross_entropy(x, y),
}
REF |= {name: f for name, (f, _, _) in UNARY.items()} | STEPS | {name: f for name, (f, _) in ACTIVATIONS.items()}
REF |= {name: getattr(F, name) for d in "123" for name in (f"conv{d}d", f"conv_transpose{d}d")}

W = Writer()
D = Draw(20)


def case(op, inputs, grad=True, f32=True, **args):
    """Runs `op` and records it. `f32=False`: single precision cannot hold the values of this case."""
    ins = [t.clone().requires_grad_(grad and t.dtype.is_floating_point) for t in inputs]
    out = REF[op](*ins, **args)
    outs = list(out) if isinstance(out, (tuple, list)) else [out]
    spec = {"op": op, "args": args, "in": [W.put(t) for t in ins], "out": [W.put(t) for t in outs]}
    if grad:
        loss = sum((o * weight_like(o, k)).sum() for k, o in enumerate(outs) if o.dtype.is_floating_point)
        wanted = [t for t in ins if t.requires_grad]
        for g in torch.autograd.grad(loss, wanted):
            W.put(g)
    W.cases.append(spec | {"grad": grad, "f32": f32})


def elementwise():
    for op, (_, low, high) in UNARY.items():
        case(op, [D.uniform((2, 5), low, high)])
    for op in STEPS:
        case(op, [torch.tensor([-2.5, -1.5, -0.75, -0.5, 0.0, 0.25, 0.5, 1.5, 2.5, 3.0], dtype=torch.float64)], grad=False)
    far = torch.tensor([-1000.0, -90.0, -40.0, -20.5, 20.5, 40.0, 90.0, 1000.0], dtype=torch.float64)
    for op in ("sigmoid", "tanh", "softplus", "gelu", "silu", "erf", "erfc", "atan", "relu", "abs", "asinh"):
        case(op, [far], f32=op != "asinh")
    edges = torch.tensor([-INF, -750.0, -1.0, -0.0, 0.0, 1.0, 750.0, INF, float("nan")], dtype=torch.float64)
    for op in ("exp", "exp_m1", "log", "log1p", "sqrt", "rsqrt", "reciprocal", "sigmoid", "tanh", "erf", "relu", "sinh",
               "cosh", "sin", "floor", "square", "abs"):
        case(op, [edges], grad=False, f32=False)
    tiny = torch.tensor([-1e-9, -1e-12, 0.0, 1e-12, 1e-9], dtype=torch.float64)
    for op in ("exp_m1", "log1p", "sinh", "tanh", "asinh", "atanh", "erf", "sin"):
        case(op, [tiny], f32=False)
    pairs = [((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1, 3), (4, 1)), ((), (2, 2)), ((3, 1), (1, 4)), ((0, 3), (1, 3))]
    for op in ("add", "sub", "mul", "div", "maximum", "minimum"):
        for a, b in pairs:
            x, y = D.distinct(a, 0.9375), D.uniform(b, 0.25, 2)
            case(op, [x, y])
    case("maximum", [torch.tensor([1.0, 2, 3], dtype=torch.float64), torch.tensor([1.0, 3, 2], dtype=torch.float64)])
    case("pow_tensor", [D.uniform((2, 3), 0.25, 3), D.uniform((3,), -2, 3)])
    case("pow_tensor", [D.uniform((2, 1), 0.25, 3), D.uniform((1, 4), -2, 3)])
    for p in (2.0, 3.0, -1.0, 0.5, 1.0, 0.0, -2.0, 2.5):
        case("pow", [D.uniform((5,), 0.25, 3)], p=p)
    for p in (2.0, 3.0, 0.0, 1.0):
        case("pow", [torch.tensor([-1.5, -0.25, 0.0, 0.5], dtype=torch.float64)], p=p)
    for op in ("add_scalar", "rsub_scalar", "mul_scalar", "div_scalar", "rdiv_scalar"):
        case(op, [D.uniform((3, 2), 0.25, 2)], c=-1.75)
    case("clamp", [D.uniform((3, 4))], lo=-0.7, hi=1.1)
    case("clamp", [torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)], lo=-1.0, hi=1.0)
    case("where", [D.mask((2, 3)), D.uniform((2, 3)), D.uniform((2, 3))])
    case("where", [D.mask((4, 1)), D.uniform((3,)), D.uniform((2, 1, 1))])
    case("masked_fill", [D.uniform((2, 3)), D.mask((2, 3))], v=-9.0)
    case("masked_fill", [D.uniform((2, 2, 3)), D.mask((2, 1))], v=0.5)
    case("masked_select", [D.uniform((2, 5)), D.mask((2, 5))])


def reductions():
    x = D.distinct((2, 3, 4))
    for op in ("sum", "mean", "max", "min", "prod", "norm"):
        case(op, [x[0] if op == "prod" else x])
        case(op, [torch.tensor(1.25, dtype=torch.float64)])
    for op in ("sum", "prod"):
        case(op, [torch.zeros(0, 3, dtype=torch.float64)])
    zeros = torch.tensor([[1.5, 0, 2, -1], [0, 3, 0, 1], [2, -1.5, 0.5, 4]], dtype=torch.float64)
    case("prod", [zeros[0]])
    case("prod", [zeros[1]])
    for dims, keepdim in (([0], False), ([1], True), ([-1], False), ([0, 2], False), ([0, 2], True), ([2, 1], False), ([0, 1, 2], True)):
        for op in ("sum_dim", "mean_dim", "amax", "amin"):
            case(op, [x], dims=dims, keepdim=keepdim)
    case("sum_dim", [torch.zeros(2, 0, 3, dtype=torch.float64)], dims=[1], keepdim=False)
    case("amax", [torch.tensor([[1.0, 3, 3], [2, 2, 2]], dtype=torch.float64)], dims=[1], keepdim=False)
    y = D.uniform((2, 3, 4))
    for correction in (0, 1):
        for op in ("var", "std"):
            case(op, [y], correction=correction)
        for dims, keepdim in (([0, 2], True), ([1], False), ([-1], False)):
            for op in ("var_dim", "std_dim"):
                case(op, [y], dims=dims, correction=correction, keepdim=keepdim)
    shifted = y + 1e6
    case("var", [shifted], f32=False, correction=1)
    case("var_dim", [shifted], f32=False, dims=[2], correction=0, keepdim=False)
    for dim, keepdim in ((0, False), (1, True), (-1, False)):
        case("prod_dim", [zeros], dim=dim % 2, keepdim=keepdim)
        case("logsumexp", [y], dim=dim, keepdim=keepdim)
        for op in ("max_dim", "min_dim"):
            case(op, [x], dim=dim, keepdim=keepdim)
        for op in ("argmax", "argmin"):
            case(op, [x], grad=False, dim=dim, keepdim=keepdim)
    case("logsumexp", [torch.tensor([[1000.0, 1001, 999], [-1000, -1001, -1002]], dtype=torch.float64)], dim=1, keepdim=False)
    for p in (1.0, 2.0, 3.0, "inf"):
        case("norm_dim", [x * 0.5 + 0.03125], p=p, dims=[1], keepdim=True)
        case("norm_dim", [x * 0.5 + 0.03125], p=p, dims=[0, 2], keepdim=False)
    case("norm_dim", [torch.tensor([[3.0, 4], [0, 0]], dtype=torch.float64)], p=2.0, dims=[1], keepdim=False)
    for dim in (0, 1, -1):
        case("cumsum", [y], dim=dim)
        case("cumprod", [y[0]], dim=min(dim, 1))
    case("cumprod", [zeros], dim=1)
    case("cumprod", [zeros], dim=0)


def indexing():
    x = D.distinct((3, 4, 2))
    for dim in (0, 1, -1):
        for flag in (False, True):
            case("sort", [x], dim=dim, descending=flag)
            case("topk", [x], k=2, dim=dim, largest=flag)
        high = x.shape[dim]
        case("index_select", [x, D.index((5,), high)], dim=dim)
        shape = list(x.shape)
        shape[dim] = 4
        case("index_add", [x, D.index((4,), high), D.uniform(shape)], dim=dim)
        case("gather", [x, D.index((2, 3, 2), high)], dim=dim)
        case("scatter_add", [x, D.index((2, 3, 2), high), D.uniform((2, 3, 2))], dim=dim)
        case("cat", [x, x[:2] if dim == 0 else x, x], dim=dim)
        case("stack", [x, x + 1], dim=dim)
        case("split", [x], size=2, dim=dim)
        case("chunk", [x], n=2, dim=dim)
        case("roll", [x], shift=-1, dim=dim)
    case("scatter", [x, torch.tensor([[[0, 2], [1, 3], [3, 1]]]), D.uniform((1, 3, 2))], dim=1)
    case("scatter", [D.uniform((4, 3)), torch.tensor([[3, 0, 1], [1, 2, 0]]), D.uniform((2, 3))], dim=0)
    case("take", [D.uniform((3, 4)), D.index((2, 3), 12)])
    case("cat", [D.uniform((2, 0)), D.uniform((2, 3))], dim=1)
    case("pad", [D.uniform((2, 3))], pads=[[1, 2]], mode="constant", value=1.5)
    case("pad", [D.uniform((1, 2, 3, 3))], pads=[[1, 0], [2, 1]], mode="constant", value=0.0)
    case("pad", [D.uniform((2, 4))], pads=[[-1, 1]], mode="constant", value=0.0)
    case("pad", [D.uniform((1, 2, 3, 4))], pads=[[1, 2], [3, 1]], mode="replicate", value=0.0)
    case("pad", [D.uniform((1, 2, 3, 4))], pads=[[2, 1], [1, 3]], mode="reflect", value=0.0)
    case("pad", [D.uniform((1, 2, 4))], pads=[[3, 2]], mode="reflect", value=0.0)
    case("pad", [D.uniform((1, 2, 4))], pads=[[1, 2]], mode="replicate", value=0.0)
    case("flip", [x], dims=[0, -1])
    case("flip", [x], dims=[1])
    case("repeat", [D.uniform((2, 3))], times=[2, 2])
    case("repeat", [D.uniform((2,))], times=[2, 1, 3])
    for k in (-1, 0, 2):
        case("tril", [D.uniform((3, 4))], k=k)
        case("triu", [D.uniform((2, 3, 3))], k=k)
    for k in (-1, 0, 2):
        case("diag", [D.uniform((3,))], k=k)
        case("diag", [D.uniform((3, 4))], k=k)
        case("diagonal", [D.uniform((3, 2, 4))], k=k, a=2, b=0)
    case("trace", [D.uniform((3, 4))])
    case("movedim", [x], **{"from": 0, "to": -1})
    case("repeat_interleave", [x], times=2, dim=1)
    case("split_sizes", [x], sizes=[1, 3], dim=1)
    case("unbind", [x], dim=2)
    for dim in (0, 1):
        case("median_dim", [x], dim=dim, keepdim=dim == 1)
        case("argsort", [x], grad=False, dim=dim, descending=dim == 1)
    case("slice", [x], dim=1, start=1, end=4, step=2)
    case("slice", [x], dim=0, start=0, end=2, step=1)
    case("select", [x], dim=1, index=2)
    case("select", [x], dim=-1, index=0)
    case("window", [D.uniform((2, 7))], dim=1, size=3, step=2)
    case("window", [D.uniform((5, 2))], dim=0, size=3, step=1)
    case("permute", [x], dims=[2, 0, 1])
    case("expand", [D.uniform((3, 1))], shape=[2, 3, 4])
    case("reshape", [x], shape=[2, -1])


def products():
    for a, b in (((4,), (4,)), ((3, 4), (4,)), ((4,), (4, 2)), ((3, 4), (4, 2)), ((2, 3, 4), (2, 4, 2)), ((2, 3, 4), (4, 2)),
                 ((4,), (2, 4, 3)), ((2, 3, 4), (4,)), ((2, 1, 3, 4), (3, 4, 2)), ((3, 4), (2, 4, 2)), ((2, 0), (0, 3)), ((0, 2), (2, 3))):
        case("matmul", [D.uniform(a), D.uniform(b)])
    for equation, shapes in (("ij,jk->ik", ((2, 3), (3, 4))), ("bij,bjk->bik", ((2, 2, 3), (2, 3, 2))), ("ij->ji", ((2, 3),)),
                             ("ii->i", ((3, 3),)), ("ij->", ((2, 3),)), ("i,j->ij", ((3,), (2,))), ("bhqd,bhkd->bhqk", ((1, 2, 3, 2), (1, 2, 2, 2))),
                             ("ij,jk,kl->il", ((2, 3), (3, 2), (2, 2))), ("ijk->j", ((2, 3, 2),)), ("ij,ij->i", ((2, 3), (2, 3))),
                             ("ij,jk", ((2, 3), (3, 2)))):
        case("einsum", [D.uniform(s) for s in shapes], equation=equation)
    case("eigh", [D.uniform((4, 4))])
    case("eigh", [D.uniform((2, 3, 3))])
    case("linear", [D.uniform((3, 4)), D.uniform((2, 4)), D.uniform((2,))])
    case("linear", [D.uniform((2, 2, 4)), D.uniform((3, 4))])
    case("linear", [D.uniform((4,)), D.uniform((3, 4)), D.uniform((3,))])
    hard = torch.tensor([[1000.0, 0, -1000], [-1e4, -1e4 + 1, -1e4 - 1], [1e5, 1e5, 1e5]], dtype=torch.float64)
    for op in ("softmax", "log_softmax"):
        for dim in (0, 1, -1):
            case(op, [D.uniform((3, 4, 2), -4, 4)], dim=dim)
        case(op, [hard], dim=1)
        case(op, [D.uniform((5,))], dim=0)
    case("cross_entropy_mean", [D.uniform((4, 3), -4, 4), D.index((4,), 3)])
    case("cross_entropy_mean", [hard, torch.tensor([1, 0, 2])])
    case("softmax", [torch.tensor([[0.5, -INF, 1.0]], dtype=torch.float64)], dim=1)


def conv(op, x, w, bias, **args):
    channels = w[0] if "transpose" not in op else w[1] * args.get("groups", 1)
    case(op, [D.uniform(x), D.uniform(w, -1, 1)] + ([D.uniform((channels,))] if bias else []), **args)


def convolutions():
    conv("conv1d", (2, 2, 7), (3, 2, 3), True)
    conv("conv1d", (1, 4, 8), (4, 2, 3), True, stride=[2], padding=[2], dilation=[2], groups=2)
    conv("conv1d", (1, 3, 5), (6, 1, 2), False, groups=3)
    conv("conv2d", (2, 2, 5, 4), (3, 2, 3, 3), True)
    conv("conv2d", (1, 2, 5, 5), (2, 2, 3, 3), True, padding=[1, 1])
    conv("conv2d", (1, 2, 6, 7), (3, 2, 2, 3), False, stride=[2, 3], padding=[1, 2])
    conv("conv2d", (1, 2, 7, 7), (2, 2, 3, 2), True, dilation=[2, 3], padding=[2, 1])
    conv("conv2d", (2, 4, 4, 4), (4, 2, 3, 3), True, groups=2, padding=[1, 1], stride=[2, 1])
    conv("conv2d", (1, 3, 4, 4), (6, 1, 3, 3), True, groups=3, padding=[1, 1])
    conv("conv2d", (2, 3, 3, 3), (4, 3, 1, 1), True)
    conv("conv2d", (1, 2, 5, 5), (3, 2, 1, 1), False, stride=[2, 2])
    conv("conv3d", (1, 2, 3, 4, 3), (2, 2, 2, 2, 2), True)
    conv("conv3d", (1, 2, 4, 3, 4), (2, 1, 2, 3, 2), False, stride=[2, 1, 1], padding=[1, 1, 0], dilation=[1, 1, 2], groups=2)
    conv("conv_transpose1d", (2, 2, 4), (2, 3, 3), True)
    conv("conv_transpose1d", (1, 4, 4), (4, 2, 3), True, stride=[2], padding=[1], output_padding=[1], groups=2, dilation=[2])
    conv("conv_transpose2d", (1, 2, 3, 3), (2, 3, 2, 3), True)
    conv("conv_transpose2d", (1, 2, 3, 4), (2, 2, 3, 3), True, stride=[2, 2], padding=[1, 1], output_padding=[1, 0])
    conv("conv_transpose2d", (1, 4, 3, 3), (4, 1, 2, 2), False, stride=[1, 2], dilation=[2, 1], groups=2)
    conv("conv_transpose3d", (1, 2, 2, 3, 2), (2, 2, 2, 2, 2), True, stride=[2, 1, 1], padding=[1, 0, 0], output_padding=[1, 0, 0])
    conv("conv_transpose3d", (1, 2, 2, 2, 2), (2, 1, 2, 1, 2), False, groups=2)


def activations():
    corners = torch.tensor([-1e4, -90.0, -3.0, -0.5, 0.0, 0.25, 0.5, 3.0, 90.0, 1e4], dtype=torch.float64)
    for op, (_, args) in ACTIVATIONS.items():
        case(op, [D.uniform((2, 5), -4, 4)], **args)
        case(op, [corners], **args)


def pooling():
    case("max_pool1d", [D.distinct((2, 2, 7))], kernel_size=[3], stride=[2], padding=[1])
    case("max_pool2d", [D.distinct((1, 2, 4, 6))], kernel_size=[2, 2], stride=[2, 2])
    case("max_pool2d", [D.distinct((2, 1, 5, 5))], kernel_size=[3, 2], stride=[1, 2], padding=[1, 1])
    case("max_pool2d", [D.distinct((1, 1, 6, 5))], kernel_size=[2, 2], stride=[2, 1], padding=[0, 0], dilation=[2, 3])
    case("max_pool2d", [D.distinct((1, 1, 5, 5))], kernel_size=[2, 2], stride=[2, 2], ceil_mode=True)
    case("max_pool3d", [D.distinct((1, 1, 4, 3, 4))], kernel_size=[2, 2, 2], stride=[2, 1, 2])
    case("avg_pool1d", [D.uniform((1, 2, 7))], kernel_size=[3], stride=[2], padding=[1])
    case("avg_pool2d", [D.uniform((1, 2, 4, 6))], kernel_size=[2, 2], stride=[2, 2])
    for include in (True, False):
        case("avg_pool2d", [D.uniform((1, 2, 5, 4))], kernel_size=[3, 2], stride=[2, 1], padding=[1, 1], count_include_pad=include)
        case("avg_pool2d", [D.uniform((1, 1, 6, 5))], kernel_size=[3, 3], stride=[2, 2], padding=[1, 1], ceil_mode=True, count_include_pad=include)
    case("avg_pool3d", [D.uniform((1, 1, 4, 3, 4))], kernel_size=[2, 2, 2], stride=[2, 1, 2])
    case("adaptive_avg_pool2d", [D.uniform((1, 2, 5, 7))], output_size=[2, 3])
    case("adaptive_avg_pool2d", [D.uniform((2, 2, 3, 3))], output_size=[1, 1])
    case("adaptive_avg_pool2d", [D.uniform((1, 1, 2, 3))], output_size=[4, 3])
    case("adaptive_max_pool2d", [D.distinct((1, 2, 5, 7))], output_size=[2, 3])
    case("adaptive_max_pool2d", [D.distinct((1, 1, 4, 4))], output_size=[1, 1])
    pooled, where = F.max_pool2d(D.distinct((1, 2, 4, 5)), 2, 2, return_indices=True)
    case("max_unpool2d", [pooled, where], output_size=[4, 5])
    case("unfold2d", [D.uniform((1, 2, 4, 5))], kernel_size=[2, 3])
    case("unfold2d", [D.uniform((2, 1, 5, 5))], kernel_size=[2, 2], dilation=[2, 1], padding=[1, 0], stride=[2, 2])
    case("fold2d", [D.uniform((1, 8, 6))], output_size=[3, 4], kernel_size=[2, 2])
    case("fold2d", [D.uniform((2, 4, 4))], output_size=[4, 5], kernel_size=[2, 2], dilation=[2, 1], padding=[1, 0], stride=[2, 2])
    for size in ([4, 6], [5, 7], [2, 2]):
        case("interpolate", [D.uniform((1, 2, 3, 4))], size=size, mode="nearest", align_corners=False)
        for corners in (False, True):
            case("interpolate", [D.uniform((1, 2, 3, 4))], size=size, mode="linear", align_corners=corners)
    for shape, size in (((2, 1, 5), [8]), ((1, 1, 2, 3, 2), [3, 4, 5])):
        for mode, corners in (("nearest", False), ("linear", False), ("linear", True)):
            case("interpolate", [D.uniform(shape)], size=size, mode=mode, align_corners=corners)
    for factors in ([2.0, 1.5], [0.75, 3.0]):
        for mode in ("nearest", "linear"):
            case("interpolate_scale", [D.uniform((1, 1, 4, 5))], factors=factors, mode=mode, align_corners=False)
    for mode, corners in (("nearest-exact", False), ("cubic", False), ("cubic", True)):
        case("interpolate", [D.uniform((1, 2, 3, 4))], size=[5, 7], mode=mode, align_corners=corners)
        case("interpolate", [D.uniform((2, 1, 6, 5))], size=[4, 2], mode=mode, align_corners=corners)
    for mode in ("nearest-exact", "cubic"):
        case("interpolate_scale", [D.uniform((1, 1, 4, 5))], factors=[0.75, 2.5], mode=mode, align_corners=False)
    case("pad", [D.uniform((1, 2, 3, 4))], pads=[[1, 2], [3, 1]], mode="circular", value=0.0)
    case("avg_pool2d", [D.uniform((1, 1, 4, 4))], kernel_size=[3, 3], stride=[1, 1], padding=[1, 1], divisor_override=4)
    case("max_pool2d", [D.distinct((2, 4, 5))], kernel_size=[2, 2], stride=[1, 1])
    case("conv2d", [D.uniform((2, 4, 4)), D.uniform((3, 2, 2, 2)), D.uniform((3,))])


def normalisations():
    for shape in ((4, 3), (2, 3, 5), (3, 2, 4, 5)):
        parameters = [D.uniform((shape[1],)), D.uniform((shape[1],))]
        case("batch_norm", [D.uniform(shape), *parameters], eps=0.01)
        case("group_norm", [D.uniform(shape), *parameters], groups=1, eps=0.01)
        case("group_norm", [D.uniform(shape), *parameters], groups=shape[1], eps=0.5)
    for shape, last in (((3, 5), [5]), ((2, 2, 3, 7), [3, 7])):
        case("layer_norm", [D.uniform(shape), D.uniform(last), D.uniform(last)], shape=last, eps=0.01)
        case("rms_norm", [D.uniform(shape), D.uniform(last)], shape=last, eps=0.01)


if __name__ == "__main__":
    elementwise(), activations(), reductions(), indexing(), products(), convolutions(), pooling(), normalisations()
    W.save(ROOT / "crates/tensor/tests/goldens/ops")
