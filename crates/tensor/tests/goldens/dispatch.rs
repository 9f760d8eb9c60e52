//! From the name of a golden case to the call in Gradus, one arm an operation.

use crate::golden::Args;
use gradus_tensor::{ConvConfig, Interpolation, PadMode, PoolConfig, Tensor};

/// Applies the operation `op` with arguments `a` to `x`.
pub fn apply(op: &str, x: &[Tensor], a: &Args) -> Vec<Tensor> {
    let families = [unary, binary, reduce, reduce_dims, index, rearrange, product];
    let one = families.iter().find_map(|f| f(op, x, a).map(|t| vec![t]));
    one.or_else(|| several(op, x, a)).or_else(|| windowed(op, x, a)).unwrap_or_else(|| panic!("no call for {op}"))
}

fn unary(op: &str, x: &[Tensor], a: &Args) -> Option<Tensor> {
    let t = x.first()?;
    Some(match op {
        "neg" => t.neg(),
        "abs" => t.abs(),
        "sign" => t.sign(),
        "exp" => t.exp(),
        "exp_m1" => t.exp_m1(),
        "log" => t.log(),
        "log1p" => t.log1p(),
        "log2" => t.log2(),
        "log10" => t.log10(),
        "sqrt" => t.sqrt(),
        "rsqrt" => t.rsqrt(),
        "square" => t.square(),
        "reciprocal" => t.reciprocal(),
        "sin" => t.sin(),
        "cos" => t.cos(),
        "tan" => t.tan(),
        "asin" => t.asin(),
        "acos" => t.acos(),
        "atan" => t.atan(),
        "sinh" => t.sinh(),
        "cosh" => t.cosh(),
        "tanh" => t.tanh(),
        "asinh" => t.asinh(),
        "acosh" => t.acosh(),
        "atanh" => t.atanh(),
        "erf" => t.erf(),
        "erfc" => t.erfc(),
        "sigmoid" => t.sigmoid(),
        "relu" => t.relu(),
        "gelu" => t.gelu(),
        "silu" => t.silu(),
        "softplus" => t.softplus(),
        "gelu_tanh" => t.gelu_tanh(),
        "mish" => t.mish(),
        "softsign" => t.softsign(),
        "hardsigmoid" => t.hardsigmoid(),
        "hardswish" => t.hardswish(),
        "elu" => t.elu(a.float("alpha")),
        "softshrink" => t.softshrink(a.float("lambd")),
        "floor" => t.floor(),
        "ceil" => t.ceil(),
        "round" => t.round(),
        "trunc" => t.trunc(),
        _ => return None,
    })
}

fn binary(op: &str, x: &[Tensor], a: &Args) -> Option<Tensor> {
    Some(match op {
        "add" => &x[0] + &x[1],
        "sub" => &x[0] - &x[1],
        "mul" => &x[0] * &x[1],
        "div" => &x[0] / &x[1],
        "maximum" => x[0].maximum(&x[1]),
        "minimum" => x[0].minimum(&x[1]),
        "pow_tensor" => x[0].pow_tensor(&x[1]),
        "pow" => x[0].pow(a.float("p")),
        "add_scalar" => &x[0] + a.float("c"),
        "rsub_scalar" => a.float("c") - &x[0],
        "mul_scalar" => a.float("c") * &x[0],
        "div_scalar" => &x[0] / a.float("c"),
        "rdiv_scalar" => a.float("c") / &x[0],
        "clamp" => x[0].clamp(a.float("lo"), a.float("hi")),
        "where" => x[0].where_(&x[1], &x[2]),
        "masked_fill" => x[0].masked_fill(&x[1], a.float("v")),
        "masked_select" => x[0].masked_select(&x[1]),
        _ => return None,
    })
}

fn reduce(op: &str, x: &[Tensor], a: &Args) -> Option<Tensor> {
    let t = &x[0];
    Some(match op {
        "sum" => t.sum(),
        "mean" => t.mean(),
        "max" => t.max(),
        "min" => t.min(),
        "prod" => t.prod(),
        "norm" => t.norm(),
        "var" => t.var(a.size("correction")),
        "std" => t.std(a.size("correction")),
        _ => return None,
    })
}

fn reduce_dims(op: &str, x: &[Tensor], a: &Args) -> Option<Tensor> {
    let t = &x[0];
    let (dims, dim, keep) = (|| a.ints("dims"), || a.int("dim"), || a.flag("keepdim"));
    Some(match op {
        "sum_dim" => t.sum_dim(dims(), keep()),
        "mean_dim" => t.mean_dim(dims(), keep()),
        "amax" => t.amax(dims(), keep()),
        "amin" => t.amin(dims(), keep()),
        "var_dim" => t.var_dim(dims(), a.size("correction"), keep()),
        "std_dim" => t.std_dim(dims(), a.size("correction"), keep()),
        "norm_dim" => t.norm_dim(a.float("p"), dims(), keep()),
        "prod_dim" => t.prod_dim(dim(), keep()),
        "logsumexp" => t.logsumexp(dim(), keep()),
        "argmax" => t.argmax(dim(), keep()),
        "argsort" => t.argsort(dim(), a.flag("descending")),
        "argmin" => t.argmin(dim(), keep()),
        "cumsum" => t.cumsum(dim()),
        "cumprod" => t.cumprod(dim()),
        "batch_norm" => t.batch_norm(Some(&x[1]), Some(&x[2]), a.float("eps")).0,
        "group_norm" => t.group_norm(a.size("groups"), Some(&x[1]), Some(&x[2]), a.float("eps")).0,
        "layer_norm" => t.layer_norm(a.ints("shape"), Some(&x[1]), Some(&x[2]), a.float("eps")),
        "rms_norm" => t.rms_norm(a.ints("shape"), Some(&x[1]), a.float("eps")),
        "softmax" => t.softmax(dim()),
        "log_softmax" => t.log_softmax(dim()),
        _ => return None,
    })
}

fn index(op: &str, x: &[Tensor], a: &Args) -> Option<Tensor> {
    let t = &x[0];
    let dim = || a.int("dim");
    Some(match op {
        "gather" => t.gather(dim(), &x[1]),
        "scatter" => t.scatter(dim(), &x[1], &x[2]),
        "scatter_add" => t.scatter_add(dim(), &x[1], &x[2]),
        "index_select" => t.index_select(dim(), &x[1]),
        "index_add" => t.index_add(dim(), &x[1], &x[2]),
        "take" => t.take(&x[1]),
        "select" => t.select(dim(), a.size("index")),
        "slice" => t.slice(dim(), a.size("start"), a.size("end"), a.size("step")),
        "cat" => Tensor::cat(&x.iter().collect::<Vec<_>>(), dim()),
        "stack" => Tensor::stack(&x.iter().collect::<Vec<_>>(), dim()),
        _ => return None,
    })
}

fn rearrange(op: &str, x: &[Tensor], a: &Args) -> Option<Tensor> {
    let t = &x[0];
    Some(match op {
        "pad" => {
            let pads: Vec<(isize, isize)> = serde_json::from_value(a.0["pads"].clone()).unwrap();
            let mode = match a.text("mode") {
                "constant" => PadMode::Constant(a.float("value")),
                "replicate" => PadMode::Replicate,
                "reflect" => PadMode::Reflect,
                "circular" => PadMode::Circular,
                other => panic!("mode {other}"),
            };
            t.pad(&pads, mode)
        }
        "flip" => t.flip(a.ints("dims")),
        "roll" => t.roll(a.int("shift"), a.int("dim")),
        "repeat" => t.repeat(a.ints("times")),
        "tril" => t.tril(a.int("k")),
        "triu" => t.triu(a.int("k")),
        "diag" => t.diag(a.int("k")),
        "diagonal" => t.diagonal(a.int("k"), a.int("a"), a.int("b")),
        "trace" => t.trace(),
        "movedim" => t.movedim(a.int("from"), a.int("to")),
        "repeat_interleave" => t.repeat_interleave(a.size("times"), a.int("dim")),
        "window" => t.unfold(a.int("dim"), a.size("size"), a.size("step")),
        "permute" => t.permute(&a.ints("dims")),
        "expand" => t.expand(a.ints("shape")),
        "reshape" => t.reshape(a.ints("shape")),
        _ => return None,
    })
}

fn product(op: &str, x: &[Tensor], a: &Args) -> Option<Tensor> {
    Some(match op {
        "matmul" => x[0].matmul(&x[1]),
        "einsum" => Tensor::einsum(a.text("equation"), &x.iter().collect::<Vec<_>>()),
        "cross_entropy_mean" => x[0].cross_entropy_mean(&x[1]),
        "linear" => x[0].linear(&x[1], x.get(2)),
        "conv1d" => x[0].conv1d(&x[1], x.get(2), config(a)),
        "conv2d" => x[0].conv2d(&x[1], x.get(2), config(a)),
        "conv3d" => x[0].conv3d(&x[1], x.get(2), config(a)),
        "conv_transpose1d" => x[0].conv_transpose1d(&x[1], x.get(2), config(a)),
        "conv_transpose2d" => x[0].conv_transpose2d(&x[1], x.get(2), config(a)),
        "conv_transpose3d" => x[0].conv_transpose3d(&x[1], x.get(2), config(a)),
        _ => return None,
    })
}

fn config<const N: usize>(a: &Args) -> ConvConfig<N> {
    ConvConfig {
        stride: a.sizes("stride", 1),
        padding: a.sizes("padding", 0),
        dilation: a.sizes("dilation", 1),
        output_padding: a.sizes("output_padding", 0),
        groups: if a.has("groups") { a.size("groups") } else { 1 },
    }
}

fn several(op: &str, x: &[Tensor], a: &Args) -> Option<Vec<Tensor>> {
    let t = &x[0];
    let pair = |(values, indices): (Tensor, Tensor)| vec![values, indices];
    Some(match op {
        "max_dim" => pair(t.max_dim(a.int("dim"), a.flag("keepdim"))),
        "min_dim" => pair(t.min_dim(a.int("dim"), a.flag("keepdim"))),
        "sort" => pair(t.sort(a.int("dim"), a.flag("descending"))),
        "median_dim" => pair(t.median_dim(a.int("dim"), a.flag("keepdim"))),
        "unbind" => t.unbind(a.int("dim")),
        "split_sizes" => t.split_sizes(&a.sizes::<2>("sizes", 0), a.int("dim")),
        "topk" => pair(t.topk(a.size("k"), a.int("dim"), a.flag("largest"))),
        "eigh" => {
            let (values, vectors) = (t + t.transpose(-1, -2)).eigh();
            vec![values, vectors.square()]
        }
        "split" => t.split(a.size("size"), a.int("dim")),
        "chunk" => t.chunk(a.size("n"), a.int("dim")),
        _ => return None,
    })
}

fn pool<const N: usize>(a: &Args) -> PoolConfig<N> {
    let kernel = a.sizes("kernel_size", 1);
    PoolConfig {
        kernel,
        stride: if a.has("stride") { a.sizes("stride", 1) } else { kernel },
        padding: a.sizes("padding", 0),
        dilation: a.sizes("dilation", 1),
        ceil_mode: a.has("ceil_mode") && a.flag("ceil_mode"),
        count_include_pad: !a.has("count_include_pad") || a.flag("count_include_pad"),
        divisor_override: a.has("divisor_override").then(|| a.size("divisor_override")),
    }
}

fn windowed(op: &str, x: &[Tensor], a: &Args) -> Option<Vec<Tensor>> {
    let t = &x[0];
    let pair = |(values, indices): (Tensor, Tensor)| vec![values, indices];
    let mode = || match a.text("mode") {
        "nearest" => Interpolation::Nearest,
        "nearest-exact" => Interpolation::NearestExact,
        "cubic" => Interpolation::Cubic { align_corners: a.flag("align_corners") },
        "linear" => Interpolation::Linear { align_corners: a.flag("align_corners") },
        other => panic!("mode {other}"),
    };
    // Folding counts windows that slide by one where nothing else is said.
    let patches = || PoolConfig { stride: a.sizes("stride", 1), ..pool::<2>(a) };
    Some(match op {
        "max_pool1d" => pair(t.max_pool1d_with_indices(pool(a))),
        "max_pool2d" => pair(t.max_pool2d_with_indices(pool(a))),
        "max_pool3d" => pair(t.max_pool3d_with_indices(pool(a))),
        "avg_pool1d" => vec![t.avg_pool1d(pool(a))],
        "avg_pool2d" => vec![t.avg_pool2d(pool(a))],
        "avg_pool3d" => vec![t.avg_pool3d(pool(a))],
        "adaptive_avg_pool2d" => vec![t.adaptive_avg_pool2d(a.sizes("output_size", 1))],
        "adaptive_max_pool2d" => pair(t.adaptive_max_pool2d_with_indices(a.sizes("output_size", 1))),
        "max_unpool2d" => vec![t.max_unpool2d(&x[1], a.sizes("output_size", 1))],
        "unfold2d" => vec![t.unfold2d(patches())],
        "fold2d" => vec![t.fold2d(a.sizes("output_size", 1), patches())],
        "interpolate" => vec![t.interpolate(a.ints("size"), mode())],
        "interpolate_scale" => vec![t.interpolate_scale(&a.floats("factors"), mode())],
        _ => return None,
    })
}
