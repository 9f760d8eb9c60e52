//! The rows of the op test. To add an operation, add its row to the family it belongs to.

use gradus_tensor::{AttentionRule, ConvConfig, DType, ImageLayout, Interpolation, PadMode, PoolConfig, Tensor};

type Shapes = &'static [&'static [&'static [usize]]];

/// One operation.
pub struct Row {
    /// Its name; for an operation without a gradient, the one in its panic message.
    pub name: &'static str,
    /// Shapes of the inputs, one list a trial.
    pub shapes: Shapes,
    /// Where the inputs' values come from.
    pub domain: (f64, f64),
    /// How often it can be differentiated: 0, 1 or 2 (2 stands for any number).
    pub order: u8,
    /// Equal elements would make the result ambiguous or the function not differentiable.
    pub needs_distinct: bool,
    /// The operation.
    pub f: fn(&[Tensor]) -> Tensor,
}

impl Row {
    fn distinct(self) -> Row {
        Row { needs_distinct: true, ..self }
    }

    fn without_gradient(self) -> Row {
        Row { order: 0, ..self }
    }
}

fn row(name: &'static str, shapes: Shapes, domain: (f64, f64), f: fn(&[Tensor]) -> Tensor) -> Row {
    Row { name, shapes, domain, order: 2, needs_distinct: false, f }
}

/// All rows.
pub fn rows() -> Vec<Row> {
    let families = [
        unary(),
        steps(),
        binary(),
        scalars(),
        choices(),
        reductions(),
        normalisations(),
        recurrences(),
        picks(),
        views(),
        arrangement(),
        indexing(),
        products(),
        attentions(),
        convolutions(),
        windows(),
    ];
    families.into_iter().flatten().collect()
}

const MAP: Shapes = &[&[&[]], &[&[1]], &[&[37]], &[&[3, 5]], &[&[2, 3, 4]], &[&[0]], &[&[2, 0, 3]]];
const PAIR: Shapes = &[
    &[&[], &[]],
    &[&[3, 5], &[3, 5]],
    &[&[3, 5], &[5]],
    &[&[2, 1, 3], &[4, 1]],
    &[&[], &[2, 3]],
    &[&[17], &[1]],
    &[&[0, 3], &[1, 3]],
    &[&[2, 1], &[2, 0]],
];
const CUBE: Shapes = &[&[&[2, 3, 4]], &[&[3, 1, 2]], &[&[1, 5, 3]]];
const CUBE_OR_EMPTY: Shapes = &[&[&[2, 3, 4]], &[&[3, 1, 2]], &[&[0, 3, 2]]];

fn unary() -> Vec<Row> {
    let r = |name, low, high, f| row(name, MAP, (low, high), f);
    vec![
        r("neg", -2.0, 2.0, |x| x[0].neg()),
        r("abs", -2.0, 2.0, |x| x[0].abs()),
        r("exp", -2.0, 2.0, |x| x[0].exp()),
        r("exp_m1", -2.0, 2.0, |x| x[0].exp_m1()),
        r("log", 0.2, 4.0, |x| x[0].log()),
        r("log1p", -0.7, 3.0, |x| x[0].log1p()),
        r("log2", 0.2, 4.0, |x| x[0].log2()),
        r("log10", 0.2, 4.0, |x| x[0].log10()),
        r("sqrt", 0.2, 4.0, |x| x[0].sqrt()),
        r("rsqrt", 0.3, 4.0, |x| x[0].rsqrt()),
        r("square", -2.0, 2.0, |x| x[0].square()),
        r("reciprocal", 0.4, 3.0, |x| x[0].reciprocal()),
        r("sin", -7.0, 7.0, |x| x[0].sin()),
        r("cos", -7.0, 7.0, |x| x[0].cos()),
        r("tan", -1.2, 1.2, |x| x[0].tan()),
        r("asin", -0.8, 0.8, |x| x[0].asin()),
        r("acos", -0.8, 0.8, |x| x[0].acos()),
        r("atan", -4.0, 4.0, |x| x[0].atan()),
        r("sinh", -3.0, 3.0, |x| x[0].sinh()),
        r("cosh", -3.0, 3.0, |x| x[0].cosh()),
        r("tanh", -3.0, 3.0, |x| x[0].tanh()),
        r("asinh", -3.0, 3.0, |x| x[0].asinh()),
        r("acosh", 1.3, 4.0, |x| x[0].acosh()),
        r("atanh", -0.8, 0.8, |x| x[0].atanh()),
        r("erf", -2.0, 2.0, |x| x[0].erf()),
        r("erfc", -2.0, 2.0, |x| x[0].erfc()),
        r("sigmoid", -5.0, 5.0, |x| x[0].sigmoid()),
        r("relu", -2.0, 2.0, |x| x[0].relu()),
        r("gelu", -3.0, 3.0, |x| x[0].gelu()),
        r("silu", -4.0, 4.0, |x| x[0].silu()),
        r("softplus", -4.0, 4.0, |x| x[0].softplus()),
        r("log_sigmoid", -4.0, 4.0, |x| x[0].log_sigmoid()),
        r("gelu_tanh", -3.0, 3.0, |x| x[0].gelu_tanh()),
        r("mish", -4.0, 4.0, |x| x[0].mish()),
        r("softsign", -4.0, 4.0, |x| x[0].softsign()),
        r("hardsigmoid", -5.0, 5.0, |x| x[0].hardsigmoid()),
        r("hardswish", -5.0, 5.0, |x| x[0].hardswish()),
        r("elu", -3.0, 3.0, |x| x[0].elu(0.7)),
        r("softshrink", -2.0, 2.0, |x| x[0].softshrink(0.6)),
        r("leaky_relu", -2.0, 2.0, |x| x[0].leaky_relu(0.1)),
        r("clamp", -2.0, 2.0, |x| x[0].clamp(-0.7, 1.1)),
        r("clamp_open", -2.0, 2.0, |x| x[0].clamp(-0.5, f64::INFINITY)),
        r("to_f64", -2.0, 2.0, |x| x[0].to_dtype(DType::F64).to_dtype(x[0].dtype())),
    ]
}

fn steps() -> Vec<Row> {
    let r = |name, f| row(name, MAP, (-3.0, 3.0), f).without_gradient();
    vec![
        r("sign", |x| x[0].sign()),
        r("floor", |x| x[0].floor()),
        r("ceil", |x| x[0].ceil()),
        r("round", |x| x[0].round()),
        r("trunc", |x| x[0].trunc()),
        r("heaviside", |x| x[0].heaviside()),
        r("isnan", |x| x[0].isnan()),
        r("isinf", |x| x[0].isinf()),
        r("isfinite", |x| x[0].isfinite()),
        r("gt_scalar", |x| x[0].gt_scalar(0.0)),
        r("le_scalar", |x| x[0].le_scalar(0.5)),
        r("logical_not", |x| x[0].gt_scalar(0.0).logical_not()),
    ]
}

fn binary() -> Vec<Row> {
    let r = |name, f| row(name, PAIR, (0.3, 2.0), f);
    vec![
        r("add", |x| &x[0] + &x[1]),
        r("sub", |x| &x[0] - &x[1]),
        r("mul", |x| &x[0] * &x[1]),
        r("div", |x| &x[0] / &x[1]),
        r("maximum", |x| x[0].maximum(&x[1])).distinct(),
        r("minimum", |x| x[0].minimum(&x[1])).distinct(),
        r("pow_tensor", |x| x[0].pow_tensor(&x[1])),
        r("where", |x| x[0].gt(&x[1]).where_(&x[0].square(), &x[1])).distinct(),
        r("same_twice", |x| (&x[0] + &x[0]) * &x[1] * &x[0]),
        r("eq", |x| x[0].eq(&x[1])).without_gradient(),
        r("ne", |x| x[0].ne(&x[1])).without_gradient(),
        r("lt", |x| x[0].lt(&x[1])).without_gradient(),
        r("le", |x| x[0].le(&x[1])).without_gradient(),
        r("gt", |x| x[0].gt(&x[1])).without_gradient(),
        r("ge", |x| x[0].ge(&x[1])).without_gradient(),
        r("logical_and", |x| x[0].gt_scalar(1.0).logical_and(&x[1].lt_scalar(1.5))).without_gradient(),
        r("logical_or", |x| x[0].gt_scalar(1.0).logical_or(&x[1].lt_scalar(1.5))).without_gradient(),
    ]
}

fn scalars() -> Vec<Row> {
    let r = |name, f| row(name, MAP, (0.3, 2.0), f);
    vec![
        r("add_scalar", |x| &x[0] + 1.5),
        r("sub_scalar", |x| &x[0] - 1.5),
        r("rsub_scalar", |x| 1.5 - &x[0]),
        r("mul_scalar", |x| &x[0] * -1.5),
        r("div_scalar", |x| &x[0] / -1.5),
        r("rdiv_scalar", |x| 1.5 / &x[0]),
        r("pow_2", |x| x[0].pow(2.0)),
        r("pow_3", |x| x[0].pow(3.0)),
        r("pow_half", |x| x[0].pow(0.5)),
        r("pow_minus_1", |x| x[0].pow(-1.0)),
        r("pow_1.7", |x| x[0].pow(1.7)),
        r("pow_0", |x| x[0].pow(0.0) + &x[0]),
    ]
}

fn choices() -> Vec<Row> {
    vec![
        row("masked_fill", CUBE_OR_EMPTY, (-2.0, 2.0), |x| x[0].square().masked_fill(&x[0].gt_scalar(0.5), -3.0)),
        row("masked_select", CUBE_OR_EMPTY, (-2.0, 2.0), |x| x[0].masked_select(&x[0].gt_scalar(0.1))).distinct(),
    ]
}

fn reductions() -> Vec<Row> {
    let all: Shapes = &[&[&[]], &[&[1]], &[&[37]], &[&[3, 5]], &[&[2, 3, 4]]];
    let plural: Shapes = &[&[&[37]], &[&[3, 5]], &[&[2, 3, 4]]];
    let r = |name, f| row(name, all, (-2.0, 2.0), f);
    let dim = |name, f| row(name, CUBE, (-2.0, 2.0), f);
    let with_empty = |name, f| row(name, CUBE_OR_EMPTY, (-2.0, 2.0), f);
    vec![
        row("sum", MAP, (-2.0, 2.0), |x| x[0].square().sum()),
        row("prod", MAP, (0.5, 1.5), |x| x[0].prod()),
        r("mean", |x| x[0].square().mean()),
        r("norm", |x| x[0].norm()),
        row("var_0", plural, (-2.0, 2.0), |x| x[0].var(0)),
        row("var_1", plural, (-2.0, 2.0), |x| x[0].var(1)),
        row("std_1", plural, (-2.0, 2.0), |x| x[0].std(1)).distinct(),
        with_empty("sum_dim_1", |x| x[0].square().sum_dim([1], false)),
        with_empty("sum_dims", |x| x[0].square().sum_dim([0, -1], true)),
        with_empty("sum_dims_order", |x| x[0].square().sum_dim([2, 0], false)),
        dim("mean_dim", |x| x[0].square().mean_dim([0, 2], false)),
        dim("mean_dim_last", |x| x[0].square().mean_dim(-1, true)),
        row("var_dim", &[&[&[2, 3, 4]], &[&[3, 2, 2]]], (-2.0, 2.0), |x| x[0].var_dim([0, 2], 1, true)),
        row("var_dim_biased", CUBE, (-2.0, 2.0), |x| x[0].var_dim(1, 0, false)),
        row("std_dim", &[&[&[2, 3, 4]], &[&[3, 2, 2]]], (-2.0, 2.0), |x| x[0].std_dim([0, 2], 0, false)).distinct(),
        row("prod_dim", CUBE_OR_EMPTY, (0.5, 1.5), |x| x[0].prod_dim(1, false)),
        row("prod_dim_keep", CUBE, (-1.5, 1.5), |x| x[0].prod_dim(-1, true)),
        dim("logsumexp", |x| x[0].logsumexp(1, false)),
        dim("logsumexp_keep", |x| x[0].logsumexp(-1, true)),
        row("norm_1", CUBE, (0.2, 2.0), |x| x[0].norm_dim(1.0, [1], false)),
        row("norm_2", CUBE, (0.2, 2.0), |x| x[0].norm_dim(2.0, [0, 2], true)),
        row("norm_3", CUBE, (0.2, 2.0), |x| x[0].norm_dim(3.0, [-1], false)),
        row("norm_inf", CUBE, (-2.0, 2.0), |x| x[0].norm_dim(f64::INFINITY, [1], false)).distinct(),
        with_empty("cumsum", |x| x[0].square().cumsum(0)),
        with_empty("cumsum_last", |x| x[0].square().cumsum(-1)),
        row("cumprod", CUBE, (0.5, 1.5), |x| x[0].cumprod(1)),
        with_empty("softmax", |x| x[0].softmax(-1)),
        dim("softmax_1", |x| x[0].softmax(1)),
        with_empty("log_softmax", |x| x[0].log_softmax(-1)),
        row("cross_entropy", &[&[&[3, 4]], &[&[3, 7]]], (-2.0, 2.0), |x| {
            x[0].cross_entropy_mean(&index([3, 0, 2], &[3]))
        }),
        dim("log_softmax_0", |x| x[0].log_softmax(0)),
        dim("one_hot", |x| x[0].gt_scalar(0.0).to_dtype(DType::I64).one_hot(3)).without_gradient(),
        dim("sum_bool", |x| x[0].gt_scalar(0.0).sum()).without_gradient(),
    ]
}

/// Short planes and long ones, which have loops of their own; a weight and a bias beside the operand.
fn normalisations() -> Vec<Row> {
    const CHANNELS: Shapes = &[
        &[&[4, 3], &[3], &[3]],
        &[&[3, 2, 5], &[2], &[2]],
        &[&[2, 2, 17], &[2], &[2]],
        &[&[3, 2, 2, 2], &[2], &[2]],
        &[&[0, 2, 3], &[2], &[2]],
    ];
    const GROUPS: Shapes = &[
        &[&[2, 4], &[4], &[4]],
        &[&[2, 4, 3], &[4], &[4]],
        &[&[1, 2, 19], &[2], &[2]],
        &[&[3, 2, 2, 2], &[2], &[2]],
        &[&[0, 2, 3], &[2], &[2]],
    ];
    const ROWS: Shapes = &[&[&[3, 6], &[6], &[6]], &[&[2, 2, 37], &[37], &[37]], &[&[0, 3], &[3], &[3]]];
    let r = |name, shapes, f| row(name, shapes, (-2.0, 2.0), f);
    vec![
        r("batch_norm", CHANNELS, |x| x[0].batch_norm(Some(&x[1]), Some(&x[2]), 0.1).0),
        r("batch_norm_bias", CHANNELS, |x| x[0].batch_norm(None, Some(&x[1]), 0.1).0 * x[2].sum()),
        r("layer_norm", ROWS, |x| x[0].layer_norm(x[1].shape(), Some(&x[1]), Some(&x[2]), 0.1)),
        r("layer_norm_matrix", &[&[&[2, 2, 3], &[2, 3]]], |x| x[0].layer_norm([2, 3], Some(&x[1]), None, 0.1)),
        r("rms_norm", ROWS, |x| x[0].rms_norm(x[1].shape(), Some(&x[1]), 0.1) + &x[2]),
        r("group_norm", GROUPS, |x| x[0].group_norm(2, Some(&x[1]), Some(&x[2]), 0.1).0),
        r("group_norm_bias", GROUPS, |x| x[0].group_norm(1, None, Some(&x[1]), 0.1).0 * x[2].sum()),
    ]
}

fn recurrences() -> Vec<Row> {
    const LSTM: Shapes = &[
        &[&[6, 3], &[8, 3], &[8, 2], &[8], &[3, 2], &[3, 2]],
        &[&[6, 1], &[4, 1], &[4, 1], &[4], &[3, 1], &[3, 1]],
        &[&[6, 2], &[68, 2], &[68, 17], &[68], &[3, 17], &[3, 17]],
    ];
    const GRU: Shapes =
        &[&[&[6, 3], &[6, 3], &[6, 2], &[6], &[6], &[3, 2]], &[&[6, 2], &[51, 2], &[51, 17], &[51], &[51], &[3, 17]]];
    const RNN: Shapes =
        &[&[&[6, 3], &[2, 3], &[2, 2], &[2], &[3, 2]], &[&[6, 2], &[17, 2], &[17, 17], &[17], &[3, 17]]];
    let r = |name, shapes, f| row(name, shapes, (-1.0, 1.0), f);
    vec![
        r("lstm_sequence", LSTM, |x| lstm_rows(x, &[3, 2, 1], false)),
        r("lstm_sequence_reverse", LSTM, |x| lstm_rows(x, &[3, 2, 1], true)),
        r("lstm_sequence_even", LSTM, |x| lstm_rows(x, &[3, 3], true).narrow(0, 0, 6)),
        r("gru_sequence", GRU, |x| gru_rows(x, &[3, 2, 1], false, false)),
        r("gru_sequence_writes", GRU, |x| gru_rows(x, &[3, 2, 1], true, true)),
        r("rnn_sequence", RNN, |x| rnn_rows(x, false, &[3, 2, 1], false)),
        r("rnn_sequence_relu", RNN, |x| rnn_rows(x, true, &[3, 3], true)),
    ]
}

fn lstm_rows(x: &[Tensor], sizes: &[usize], reverse: bool) -> Tensor {
    let (y, h, c) = x[0].lstm_sequence(&x[1], &x[2], &x[3], &x[4], &x[5], sizes, reverse);
    Tensor::cat(&[&y, &(h * 0.5), &(c * 0.3)], 0)
}

fn gru_rows(x: &[Tensor], sizes: &[usize], reverse: bool, writes: bool) -> Tensor {
    let (y, h) = x[0].gru_sequence(&x[1], &x[2], &x[3], &x[4], &x[5], sizes, reverse, writes);
    Tensor::cat(&[&y, &(h * 0.5)], 0)
}

fn rnn_rows(x: &[Tensor], relu: bool, sizes: &[usize], reverse: bool) -> Tensor {
    let (y, h) = x[0].rnn_sequence(&x[1], &x[2], &x[3], &x[4], relu, sizes, reverse);
    Tensor::cat(&[&y, &(h * 0.5)], 0)
}

fn picks() -> Vec<Row> {
    let all: Shapes = &[&[&[]], &[&[1]], &[&[37]], &[&[3, 5]], &[&[2, 3, 4]]];
    let r = |name, f| row(name, all, (-2.0, 2.0), f).distinct();
    let dim = |name, f| row(name, CUBE, (-2.0, 2.0), f).distinct();
    vec![
        r("max", |x| x[0].max()),
        r("min", |x| x[0].min()),
        dim("amax", |x| x[0].square().amax([1], false)),
        dim("amax_dims", |x| x[0].square().amax([0, 2], true)),
        dim("amin", |x| x[0].amin([-1], true)),
        dim("max_dim", |x| x[0].max_dim(1, false).0),
        dim("min_dim", |x| x[0].square().min_dim(0, true).0),
        dim("max_dim_index", |x| x[0].max_dim(1, false).1).without_gradient(),
        dim("argmax", |x| x[0].argmax(-1, false)).without_gradient(),
        dim("argmin", |x| x[0].argmin(0, true)).without_gradient(),
        row("sort", CUBE_OR_EMPTY, (-2.0, 2.0), |x| x[0].square().sort(1, false).0).distinct(),
        dim("sort_descending", |x| x[0].sort(-1, true).0),
        dim("sort_index", |x| x[0].sort(0, false).1).without_gradient(),
        dim("argsort", |x| x[0].argsort(-1, true)).without_gradient(),
        dim("median_dim", |x| x[0].square().median_dim(1, false).0),
        r("median", |x| x[0].median()),
        dim("topk", |x| x[0].square().topk(2, 2, true).0),
        dim("topk_smallest", |x| x[0].topk(1, 0, false).0),
        dim("nonzero", |x| x[0].gt_scalar(0.0).nonzero()).without_gradient(),
    ]
}

fn views() -> Vec<Row> {
    let r = |name, f| row(name, CUBE_OR_EMPTY, (-2.0, 2.0), f);
    let c = |name, f| row(name, CUBE, (-2.0, 2.0), f);
    vec![
        r("reshape", |x| x[0].square().reshape([x[0].size(0) * 2, x[0].numel() / (2 * x[0].size(0)).max(1)]).square()),
        r("flatten", |x| x[0].flatten(1, -1).square()),
        r("transpose", |x| x[0].transpose(0, 2).square()),
        r("t", |x| x[0].select(1, 0).t().square()),
        r("permute", |x| x[0].permute(&[1, 2, 0]).square()),
        c("squeeze", |x| x[0].unsqueeze(2).squeeze(2).square()),
        r("unsqueeze", |x| x[0].unsqueeze(-1).square()),
        c("expand", |x| x[0].narrow(1, 0, 1).expand([x[0].size(0), 3, x[0].size(2)]).square()),
        c("broadcast_to", |x| x[0].select(2, 0).select(0, 0).broadcast_to([2, x[0].size(1)]).square()),
        r("narrow", |x| x[0].narrow(2, 1, 1).square()),
        r("select", |x| x[0].select(-1, 1).square()),
        r("slice", |x| x[0].slice(2, 0, x[0].size(2), 2).square()),
        c("slice_chain", |x| x[0].slice(1, 0, x[0].size(1), 2).transpose(0, 2).slice(0, 1, x[0].size(2), 1).square()),
        c("split", |x| x[0].split(1, 2).iter().map(|t| t.square()).reduce(|a, b| a * b).unwrap()),
        c("chunk", |x| x[0].chunk(2, 2)[1].square()),
        row("unfold", &[&[&[7, 2]], &[&[5, 3]]], (-2.0, 2.0), |x| x[0].unfold(0, 3, 2).square()),
        row("unfold_overlap", &[&[&[2, 7]], &[&[3, 4]]], (-2.0, 2.0), |x| x[0].unfold(1, 3, 1).square()),
        r("from_layout", |x| Tensor::from_layout(&x[0], ImageLayout::Whc).square()),
        r("to_layout", |x| x[0].to_layout(ImageLayout::Hwc).square()),
        r("movedim", |x| x[0].movedim(0, -1).square()),
        row("squeeze_all", CUBE_OR_EMPTY, (-2.0, 2.0), |x| x[0].unsqueeze(1).squeeze_all().square()),
        r("view_as", |x| x[0].contiguous().view_as(&x[0].transpose(0, 1)).square()),
        c("unbind", |x| x[0].unbind(1).into_iter().reduce(|a, b| a * b).unwrap()),
        c("split_sizes", |x| x[0].split_sizes(&[1, x[0].size(2) - 1], -1)[1].square()),
        r("contiguous", |x| x[0].transpose(0, 1).contiguous().square()),
    ]
}

fn arrangement() -> Vec<Row> {
    let r = |name, f| row(name, CUBE_OR_EMPTY, (-2.0, 2.0), f);
    let pairs: Shapes = &[&[&[2, 3], &[2, 3]], &[&[1, 4], &[1, 4]], &[&[0, 2], &[0, 2]]];
    let images: Shapes = &[&[&[1, 2, 4, 5]], &[&[2, 1, 3, 3]]];
    vec![
        row("cat_0", pairs, (-2.0, 2.0), |x| Tensor::cat(&[&x[0], &x[1], &x[0]], 0).square()),
        row("cat_last", &[&[&[2, 3], &[2, 1]], &[&[2, 0], &[2, 2]]], (-2.0, 2.0), |x| {
            Tensor::cat(&[&x[0], &x[1]], -1).square()
        }),
        row("stack", pairs, (-2.0, 2.0), |x| Tensor::stack(&[&x[0], &x[1]], 1).square()),
        r("flip", |x| x[0].flip([0, -1]).square()),
        r("roll", |x| x[0].roll(2, 1).square()),
        r("repeat", |x| x[0].repeat([2, 1, 2]).square()),
        r("tril", |x| x[0].tril(0).square()),
        r("triu", |x| x[0].triu(1).square()),
        row("diag", &[&[&[3]], &[&[1]]], (-2.0, 2.0), |x| x[0].diag(0).square()),
        row("diag_of", &[&[&[3, 3]], &[&[1, 1]]], (-2.0, 2.0), |x| x[0].diag(0).square()),
        row("diag_above", &[&[&[3]], &[&[2, 4]]], (-2.0, 2.0), |x| x[0].diag(1).square()),
        r("diagonal", |x| x[0].diagonal(-1, 2, 0).square()),
        row("trace", &[&[&[3, 3]], &[&[2, 4]]], (-2.0, 2.0), |x| x[0].square().trace()),
        r("repeat_interleave", |x| x[0].repeat_interleave(2, 1).square()),
        row("pad_constant", images, (-2.0, 2.0), |x| x[0].square().pad(&[(1, 2), (0, 3)], PadMode::Constant(0.5))),
        row("pad_crop", images, (-2.0, 2.0), |x| x[0].square().pad(&[(-1, 1)], PadMode::Constant(0.0))),
        row("pad_replicate", images, (-2.0, 2.0), |x| x[0].square().pad(&[(1, 2), (3, 1)], PadMode::Replicate)),
        row("pad_circular", images, (-2.0, 2.0), |x| x[0].square().pad(&[(1, 2), (2, 1)], PadMode::Circular)),
        row("pad_reflect", images, (-2.0, 2.0), |x| x[0].square().pad(&[(1, 2), (2, 1)], PadMode::Reflect)),
    ]
}

/// Indices that do not lie contiguously themselves.
fn index<const N: usize>(values: [i64; N], shape: &[usize]) -> Tensor {
    let spaced: Vec<i64> = values.iter().flat_map(|&v| [v, -99]).collect();
    let mut wide = shape.to_vec();
    wide.push(2);
    Tensor::from_vec(spaced, wide).select(-1, 0)
}

fn indexing() -> Vec<Row> {
    let one: Shapes = &[&[&[3, 4]], &[&[2, 5]]];
    let two: Shapes = &[&[&[3, 4], &[2, 3]], &[&[2, 5], &[2, 3]]];
    let r = |name, f| row(name, one, (-2.0, 2.0), f);
    let s = |name, f| row(name, two, (-2.0, 2.0), f);
    vec![
        r("gather_1", |x| x[0].square().gather(1, &index([0, 3, 1, 1, 2, 0], &[2, 3]))),
        r("gather_0", |x| x[0].square().gather(0, &index([0, 1, 1, 0, 1, 0], &[3, 2]))),
        r("gather_empty", |x| x[0].sum() + x[0].gather(1, &index([], &[2, 0])).sum()),
        s("scatter_1", |x| x[0].scatter(1, &index([0, 3, 1, 1, 2, 0], &[2, 3]), &x[1]).square()),
        s("scatter_0", |x| x[0].scatter(0, &index([0, 1, 1, 1, 0, 0], &[2, 3]), &x[1]).square()),
        s("scatter_add", |x| x[0].scatter_add(1, &index([0, 3, 3, 1, 1, 1], &[2, 3]), &x[1]).square()),
        r("index_select_0", |x| x[0].square().index_select(0, &index([1, 0, 1], &[3]))),
        r("index_select_1", |x| x[0].square().index_select(-1, &index([3, 3, 0, 1], &[4]))),
        row("index_add", &[&[&[3, 4], &[2, 4]], &[&[2, 3], &[2, 3]]], (-2.0, 2.0), |x| {
            x[0].index_add(0, &index([1, 1], &[2]), &x[1]).square()
        }),
        r("take", |x| x[0].square().take(&index([0, 7, 7, 3], &[2, 2]))),
    ]
}

/// A bias that hides from each query the keys before it, and from the last but one all of them.
fn hidden(q: &Tensor) -> Tensor {
    let l = q.size(-2);
    let value = |i: usize| if i % l < i / l || i / l + 2 == l { f64::NEG_INFINITY } else { 0.1 * i as f64 };
    Tensor::from_vec((0..l * l).map(value).collect(), [l, l]).to_dtype(q.dtype())
}

/// Long rows, which fill the lanes of the loops over them, and short ones.
fn attentions() -> Vec<Row> {
    const THREE: Shapes = &[
        &[&[3, 4], &[5, 4], &[5, 2]],
        &[&[2, 3, 2], &[2, 3, 2], &[2, 3, 3]],
        &[&[2, 1, 2, 3], &[2, 4, 3], &[1, 4, 1]],
        &[&[1, 1], &[1, 1], &[1, 1]],
        &[&[2, 3], &[37, 3], &[37, 2]],
        &[&[2, 0, 3], &[2, 4, 3], &[2, 4, 2]],
        &[&[2, 3], &[0, 3], &[0, 2]],
    ];
    const BIASED: Shapes = &[
        &[&[2, 3, 4], &[2, 5, 4], &[2, 5, 2], &[3, 5]],
        &[&[3, 2], &[4, 2], &[4, 2], &[2, 1, 4]],
        &[&[2, 3], &[2, 3], &[2, 3], &[2, 1]],
    ];
    const HIDDEN: Shapes = &[&[&[2, 3, 4], &[2, 3, 4], &[2, 3, 2]], &[&[4, 2], &[4, 2], &[4, 17]]];
    const PACKED: Shapes = &[&[&[3, 2, 3, 4]], &[&[3, 4, 2]], &[&[3, 2, 0, 3]], &[&[3, 1, 2, 3, 2]]];
    let r = |name, shapes, f| row(name, shapes, (-1.5, 1.5), f);
    vec![
        r("masked_softmax", &[&[&[2, 3, 4], &[4]], &[&[3, 2], &[3, 2]]], |x| x[0].masked_softmax(Some(&x[1]))),
        r("attention", THREE, |x| x[0].attention(&x[1], &x[2], None, 0.7)),
        r("attention_bias", BIASED, |x| x[0].attention(&x[1], &x[2], Some(&x[3]), 0.7)),
        r("attention_hidden", HIDDEN, |x| x[0].attention(&x[1], &x[2], Some(&hidden(&x[0])), 0.7)),
        r("attention_packed_hidden", PACKED, |x| x[0].attention_packed(Some(&hidden(&x[0])), 0.7)),
        r("attention_packed", PACKED, |x| x[0].attention_packed(None, 0.7)),
        r("attention_causal", THREE, |x| {
            x[0].attention_with(&x[1], &x[2], &AttentionRule { causal: true, ..AttentionRule::new(None, 0.7) })
        }),
    ]
}

fn products() -> Vec<Row> {
    let matmul: Shapes = &[
        &[&[4], &[4]],
        &[&[3, 4], &[4]],
        &[&[4], &[4, 2]],
        &[&[3, 4], &[4, 2]],
        &[&[1, 1], &[1, 1]],
        &[&[2, 3, 4], &[2, 4, 2]],
        &[&[2, 3, 4], &[4, 2]],
        &[&[3, 4], &[2, 4, 2]],
        &[&[2, 1, 3, 4], &[3, 4, 2]],
        &[&[4], &[2, 4, 3]],
        &[&[2, 3, 4], &[4]],
        &[&[2, 0], &[0, 3]],
        &[&[0, 2], &[2, 3]],
        &[&[2, 3, 0], &[2, 0, 1]],
        &[&[17, 33], &[33, 19]],
    ];
    let square: Shapes = &[&[&[3, 4], &[4, 2]], &[&[5, 1], &[1, 5]]];
    let symmetrised: Shapes = &[&[&[3, 3]], &[&[2, 2, 2]], &[&[1, 1]], &[&[0, 0]]];
    let r = |name, shapes, f| row(name, shapes, (-1.0, 1.0), f);
    vec![
        r("matmul", matmul, |x| x[0].matmul(&x[1])),
        r("mm", square, |x| x[0].mm(&x[1])),
        r("mm_squared", square, |x| x[0].mm(&x[1]).square()),
        r("bmm", &[&[&[2, 3, 4], &[2, 4, 2]], &[&[1, 2, 2], &[1, 2, 3]]], |x| x[0].bmm(&x[1])),
        r("dot", &[&[&[5], &[5]], &[&[0], &[0]]], |x| x[0].dot(&x[1])),
        r(
            "linear",
            &[
                &[&[3, 4], &[2, 4], &[2]],
                &[&[2, 2, 3], &[4, 3], &[4]],
                &[&[3], &[2, 3], &[2]],
                &[&[3, 0], &[2, 0], &[2]],
            ],
            |x| x[0].linear(&x[1], Some(&x[2])),
        ),
        r("linear_no_bias", &[&[&[3, 4], &[2, 4]], &[&[0, 4], &[2, 4]]], |x| x[0].linear(&x[1], None)),
        r("einsum_mm", square, |x| Tensor::einsum("ij,jk->ki", &[&x[0], &x[1]])),
        r("einsum_bmm", &[&[&[2, 3, 2], &[2, 2, 4]]], |x| Tensor::einsum("bij,bjk->bik", &[&x[0], &x[1]])),
        r("einsum_outer", &[&[&[3], &[2]]], |x| Tensor::einsum("i,j->ij", &[&x[0], &x[1]])),
        r("einsum_diagonal", &[&[&[3, 3]]], |x| Tensor::einsum("ii->i", &[&x[0]]).square()),
        r("einsum_sum", &[&[&[2, 3, 2], &[3, 2]]], |x| Tensor::einsum("aij,ij->a", &[&x[0], &x[1]])),
        r("einsum_three", &[&[&[2, 3], &[3, 2], &[2, 2]]], |x| Tensor::einsum("ij,jk,kl->il", &[&x[0], &x[1], &x[2]])),
        r("eigh_values", symmetrised, |x| (&x[0] + x[0].transpose(-2, -1)).eigh().0),
        r("eigh_vectors", symmetrised, |x| (&x[0] + x[0].transpose(-2, -1)).eigh().1).distinct(),
    ]
}

fn convolutions() -> Vec<Row> {
    let line: Shapes =
        &[&[&[2, 2, 7], &[4, 2, 3], &[4]], &[&[1, 2, 5], &[2, 2, 2], &[2]], &[&[0, 2, 5], &[1, 2, 3], &[1]]];
    let plane: Shapes = &[
        &[&[1, 2, 5, 6], &[2, 2, 3, 2], &[2]],
        &[&[2, 2, 4, 4], &[4, 2, 1, 1], &[4]],
        &[&[2, 1, 6, 5], &[3, 1, 3, 3], &[3]],
    ];
    let grouped: Shapes = &[
        &[&[1, 4, 5, 4], &[4, 2, 3, 3], &[4]],
        &[&[2, 2, 4, 4], &[2, 1, 2, 2], &[2]],
        &[&[1, 2, 3, 4], &[6, 1, 3, 3], &[6]],
    ];
    let space: Shapes = &[&[&[1, 2, 3, 4, 3], &[2, 2, 2, 3, 2], &[2]]];
    let back_line: Shapes = &[&[&[2, 2, 4], &[2, 3, 3], &[3]], &[&[1, 2, 1], &[2, 1, 2], &[1]]];
    let back: Shapes = &[&[&[1, 2, 3, 4], &[2, 3, 3, 2], &[3]], &[&[2, 2, 2, 2], &[2, 1, 2, 2], &[1]]];
    let back_grouped: Shapes = &[&[&[1, 4, 2, 3], &[4, 2, 2, 3], &[4]], &[&[2, 2, 2, 2], &[2, 1, 3, 3], &[2]]];
    let back_space: Shapes = &[&[&[1, 2, 2, 3, 2], &[2, 2, 2, 2, 2], &[2]]];
    let r = |name, shapes, f| row(name, shapes, (-1.0, 1.0), f);
    vec![
        r("conv1d", line, |x| x[0].conv1d(&x[1], Some(&x[2]), ConvConfig::default())),
        r("conv1d_strided", line, |x| {
            x[0].conv1d(&x[1], Some(&x[2]), ConvConfig::default().stride([2]).padding([2]).dilation([2]))
        }),
        r("conv2d", plane, |x| x[0].conv2d(&x[1], Some(&x[2]), ConvConfig::default())),
        r("conv2d_same", plane, |x| x[0].conv2d(&x[1], Some(&x[2]), ConvConfig::default().padding([1, 1]))),
        r("conv2d_strided", plane, |x| {
            x[0].conv2d(&x[1], Some(&x[2]), ConvConfig::default().stride([2, 3]).padding([1, 2]))
        }),
        r("conv2d_dilated", plane, |x| {
            x[0].conv2d(&x[1], None, ConvConfig::default().dilation([2, 3]).padding([2, 1])) + x[2].sum()
        }),
        r("conv2d_grouped", grouped, |x| {
            x[0].conv2d(&x[1], Some(&x[2]), ConvConfig::default().groups(2).padding([1, 1]))
        }),
        r("conv3d", space, |x| {
            x[0].conv3d(&x[1], Some(&x[2]), ConvConfig::default().stride([1, 2, 1]).padding([1, 1, 0]))
        }),
        r("conv_transpose1d", back_line, |x| {
            let config = ConvConfig::default().stride([2]).padding([1]).output_padding([1]);
            x[0].conv_transpose1d(&x[1], Some(&x[2]), config)
        }),
        r("conv_transpose2d", back, |x| x[0].conv_transpose2d(&x[1], Some(&x[2]), ConvConfig::default())),
        r("conv_transpose2d_strided", back, |x| {
            let config = ConvConfig::default().stride([2, 3]).padding([1, 0]).output_padding([1, 2]);
            x[0].conv_transpose2d(&x[1], Some(&x[2]), config)
        }),
        r("conv_transpose2d_grouped", back_grouped, |x| {
            x[0].conv_transpose2d(&x[1], Some(&x[2]), ConvConfig::default().groups(2).dilation([2, 1]))
        }),
        r("conv_transpose3d", back_space, |x| {
            x[0].conv_transpose3d(&x[1], Some(&x[2]), ConvConfig::default().stride([2, 1, 1]).padding([1, 0, 0]))
        }),
    ]
}

fn windows() -> Vec<Row> {
    let image: Shapes = &[&[&[1, 2, 5, 6]], &[&[2, 1, 4, 4]], &[&[0, 2, 4, 4]], &[&[2, 4, 5]]];
    let line: Shapes = &[&[&[2, 2, 7]], &[&[1, 1, 5]]];
    let space: Shapes = &[&[&[1, 2, 4, 3, 4]]];
    let batch: Shapes = &[&[&[1, 2, 5, 6]], &[&[2, 1, 4, 4]]];
    let r = |name, shapes, f| row(name, shapes, (-2.0, 2.0), f);
    let p2 = |name, f| row(name, image, (-2.0, 2.0), f);
    vec![
        r("max_pool1d", line, |x| x[0].square().max_pool1d([2])).distinct(),
        p2("max_pool2d", |x| x[0].square().max_pool2d([2, 2])).distinct(),
        p2("max_pool2d_overlap", |x| {
            x[0].square().max_pool2d(PoolConfig::new([3, 2]).stride([1, 1]).padding([1, 0]).dilation([1, 2]))
        })
        .distinct(),
        p2("max_pool2d_index", |x| x[0].max_pool2d_with_indices([2, 2]).1).distinct().without_gradient(),
        r("max_pool3d", space, |x| x[0].square().max_pool3d([2, 2, 2])).distinct(),
        r("max_unpool2d", &[&[&[1, 2, 4, 4]]], |x| {
            let (values, places) = x[0].max_pool2d_with_indices([2, 2]);
            values.square().max_unpool2d(&places, [4, 4])
        })
        .distinct(),
        r("avg_pool1d", line, |x| x[0].square().avg_pool1d(PoolConfig::new([3]).stride([2]).padding([1]))),
        p2("avg_pool2d", |x| x[0].square().avg_pool2d([2, 2])),
        p2("avg_pool2d_padded", |x| {
            let config =
                PoolConfig::new([3, 2]).stride([2, 1]).padding([1, 1]).count_include_pad(false).ceil_mode(true);
            x[0].square().avg_pool2d(config)
        }),
        r("avg_pool3d", space, |x| x[0].square().avg_pool3d([2, 2, 2])),
        p2("adaptive_avg_pool2d", |x| x[0].square().adaptive_avg_pool2d([2, 3])),
        p2("adaptive_max_pool2d", |x| x[0].square().adaptive_max_pool2d([2, 3])).distinct(),
        r("unfold2d", batch, |x| x[0].square().unfold2d(PoolConfig::new([2, 3]).stride([1, 2]).padding([1, 0]))),
        r("fold2d", &[&[&[1, 8, 6]]], |x| x[0].square().fold2d([3, 4], PoolConfig::new([2, 2]).stride([1, 1]))),
        r("interpolate_nearest", batch, |x| x[0].square().interpolate([7, 3], Interpolation::Nearest)),
        r("interpolate_exact", batch, |x| x[0].square().interpolate([7, 3], Interpolation::NearestExact)),
        r("interpolate_cubic", batch, |x| {
            x[0].square().interpolate([7, 3], Interpolation::Cubic { align_corners: false })
        }),
        r("interpolate_cubic_aligned", batch, |x| {
            x[0].square().interpolate([3, 9], Interpolation::Cubic { align_corners: true })
        }),
        r("interpolate_linear", batch, |x| {
            x[0].square().interpolate([7, 3], Interpolation::Linear { align_corners: false })
        }),
        r("interpolate_aligned", batch, |x| {
            x[0].square().interpolate([3, 9], Interpolation::Linear { align_corners: true })
        }),
        r("interpolate_scale", line, |x| {
            x[0].square().interpolate_scale(&[1.5], Interpolation::Linear { align_corners: false })
        }),
    ]
}
