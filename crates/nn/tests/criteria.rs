//! Losses, divergences, norms and noise: against PyTorch (the files are made by `scripts/goldens/criteria.py`), by
//! finite differences to the second order, at the edges, and their messages.

mod support;

use gradus_nn::distance::{cosine_similarity, pairwise_distance};
use gradus_nn::losses::*;
use gradus_nn::optim::{Adam, Optimizer, WeightNoise};
use gradus_nn::{Forward, GaussianNoise, Linear, Module};
use gradus_tensor::{DType, Tensor, manual_seed};
use support::{Args, Case, cases, check_gradients, panic_of};

fn f64s(values: &[f64], shape: &[usize]) -> Tensor {
    Tensor::from_slice(values, shape)
}

fn labels(values: &[i64]) -> Tensor {
    Tensor::from_slice(values, [values.len()])
}

fn normal(shape: &[usize]) -> Tensor {
    Tensor::randn(shape).to_dtype(DType::F64)
}

#[track_caller]
fn assert_near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-12 * expected.abs().max(1.0), "{found} is not {expected}");
}

fn reduction(args: &Args) -> Reduction {
    match args.text("reduction") {
        "mean" => Reduction::Mean,
        "sum" => Reduction::Sum,
        "none" => Reduction::None,
        other => panic!("reduction {other}"),
    }
}

fn float(args: &Args, name: &str, default: f64) -> f64 {
    if args.has(name) { args.float(name) } else { default }
}

fn flag(args: &Args, name: &str) -> bool {
    args.has(name) && args.flag(name)
}

#[test]
fn losses_agree_with_pytorch() {
    let cases = cases("criteria");
    assert!(cases.len() >= 240, "only {} cases", cases.len());
    for case in &cases {
        case.check_function(|x| vec![evaluate(case, x)]);
    }
}

fn evaluate(case: &Case, x: &[Tensor]) -> Tensor {
    let args = case.args();
    match case.kind() {
        "cosine_similarity" => cosine_similarity(&x[0], &x[1], args.int("dim"), args.float("eps")),
        "pairwise_distance" => {
            pairwise_distance(&x[0], &x[1], args.float("p"), args.float("eps"), args.flag("keepdim"))
        }
        "frobenius_norm" => frobenius_norm(&x[0]),
        "mixed_norm" => mixed_norm(&x[0], args.float("inner"), args.float("outer")),
        "kl_div" => {
            let reduction = match args.text("reduction") {
                "mean" => KlDivReduction::Mean,
                "batchmean" => KlDivReduction::BatchMean,
                "sum" => KlDivReduction::Sum,
                _ => KlDivReduction::None,
            };
            kl_div_with(&x[0], &x[1], KlDivOptions { log_target: flag(&args, "log_target"), reduction })
        }
        "ctc_loss" => {
            let lengths = |name: &str| args.ints(name).into_iter().map(|l| l as usize).collect::<Vec<_>>();
            let options = CtcOptions {
                blank: float(&args, "blank", 0.0) as usize,
                reduction: reduction(&args),
                zero_infinity: flag(&args, "zero_infinity"),
            };
            let (inputs, targets) = (lengths("input_lengths"), lengths("target_lengths"));
            ctc_loss_with(&x[0].log_softmax(-1), &x[1], &inputs, &targets, options)
        }
        kind => elementwise(kind, &args, x)
            .or_else(|| margins(kind, &args, x))
            .or_else(|| overlaps(kind, &args, x))
            .unwrap_or_else(|| panic!("loss {kind}")),
    }
}

fn elementwise(kind: &str, args: &Args, x: &[Tensor]) -> Option<Tensor> {
    let reduction = reduction(args);
    let (a, b) = (&x[0], &x[1]);
    Some(match kind {
        "mse_loss" => mse_loss_with(a, b, reduction),
        "l1_loss" => l1_loss_with(a, b, reduction),
        "smooth_l1_loss" => smooth_l1_loss_with(a, b, SmoothL1Options { beta: float(args, "beta", 1.0), reduction }),
        "huber_loss" => huber_loss_with(a, b, HuberOptions { delta: float(args, "delta", 1.0), reduction }),
        "js_divergence" => js_divergence_with(a, b, reduction),
        "poisson_nll_loss" => {
            let log_input = !args.has("log_input") || args.flag("log_input");
            let (full, eps) = (flag(args, "full"), float(args, "eps", 1e-8));
            poisson_nll_loss_with(a, b, PoissonNllOptions { log_input, full, eps, reduction })
        }
        "gaussian_nll_loss" => {
            let (full, eps) = (flag(args, "full"), float(args, "eps", 1e-6));
            gaussian_nll_loss_with(a, b, &x[2], GaussianNllOptions { full, eps, reduction })
        }
        "sigmoid_focal_loss" => {
            let (alpha, gamma) = (float(args, "alpha", 0.25), float(args, "gamma", 2.0));
            sigmoid_focal_loss_with(a, b, SigmoidFocalOptions { alpha, gamma, reduction })
        }
        "focal_loss" => {
            let ignore_index = Some(float(args, "ignore_index", -100.0) as i64);
            let (alpha, gamma) = (x.get(2).cloned(), args.float("gamma"));
            focal_loss_with(a, b, FocalOptions { alpha, gamma, ignore_index, reduction })
        }
        "info_nce_loss" => {
            let (temperature, negatives) = (args.float("temperature"), x.get(2).cloned());
            info_nce_loss_with(a, b, InfoNceOptions { temperature, negatives, reduction })
        }
        "nt_xent_loss" => nt_xent_loss_with(a, b, NtXentOptions { temperature: args.float("temperature"), reduction }),
        _ => return None,
    })
}

fn margins(kind: &str, args: &Args, x: &[Tensor]) -> Option<Tensor> {
    let reduction = reduction(args);
    let margin = |default: f64| float(args, "margin", default);
    let (a, b) = (&x[0], &x[1]);
    Some(match kind {
        "multi_margin_loss" => {
            let (p, weight) = (float(args, "p", 1.0) as u32, x.get(2).cloned());
            multi_margin_loss_with(a, b, MultiMarginOptions { p, margin: margin(1.0), weight, reduction })
        }
        "multilabel_margin_loss" => multilabel_margin_loss_with(a, b, reduction),
        "multilabel_soft_margin_loss" => {
            let weight = x.get(2).cloned();
            multilabel_soft_margin_loss_with(a, b, MultilabelSoftMarginOptions { weight, reduction })
        }
        "soft_margin_loss" => soft_margin_loss_with(a, b, reduction),
        "margin_ranking_loss" => {
            margin_ranking_loss_with(a, b, &x[2], MarginRankingOptions { margin: margin(0.0), reduction })
        }
        "hinge_embedding_loss" => {
            hinge_embedding_loss_with(a, b, HingeEmbeddingOptions { margin: margin(1.0), reduction })
        }
        "cosine_embedding_loss" => {
            cosine_embedding_loss_with(a, b, &x[2], CosineEmbeddingOptions { margin: margin(0.0), reduction })
        }
        "triplet_margin_loss" => {
            let (p, eps, swap) = (float(args, "p", 2.0), float(args, "eps", 1e-6), flag(args, "swap"));
            let options = TripletMarginOptions { margin: margin(1.0), p, eps, swap, reduction };
            triplet_margin_loss_with(a, b, &x[2], options)
        }
        "triplet_margin_with_distance_loss" => {
            let distance = |a: &Tensor, b: &Tensor| 1.0 - cosine_similarity(a, b, 1, 1e-8);
            let swap = flag(args, "swap");
            let options = TripletMarginWithDistanceOptions { margin: margin(1.0), swap, reduction };
            triplet_margin_with_distance_loss_with(a, b, &x[2], distance, options)
        }
        _ => return None,
    })
}

fn overlaps(kind: &str, args: &Args, x: &[Tensor]) -> Option<Tensor> {
    let reduction = reduction(args);
    let masks = || OverlapOptions { smooth: args.float("smooth"), squared: args.flag("squared"), reduction };
    let boxes = BoxIouOptions { eps: float(args, "eps", 1e-7), reduction };
    let (a, b) = (&x[0], &x[1]);
    Some(match kind {
        "dice_loss" => dice_loss_with(a, b, masks()),
        "jaccard_loss" => jaccard_loss_with(a, b, masks()),
        "generalized_box_iou_loss" => generalized_box_iou_loss_with(a, b, boxes),
        "distance_box_iou_loss" => distance_box_iou_loss_with(a, b, boxes),
        "complete_box_iou_loss" => complete_box_iou_loss_with(a, b, boxes),
        _ => return None,
    })
}

/// Compares the gradients of both orders with finite differences; every input takes a gradient.
#[track_caller]
fn check(inputs: &[&Tensor], f: impl Fn(&[Tensor]) -> Tensor) {
    let inputs: Vec<Tensor> = inputs.iter().map(|t| t.detach().requires_grad_(true)).collect();
    check_gradients(&Vec::<Linear>::new(), &inputs, |_, x| vec![f(x)]);
}

#[test]
fn gradients_of_elementwise_losses() {
    manual_seed(5);
    let (x, y) = (normal(&[3, 4]) * 2.0, normal(&[3, 4]));
    check(&[&x, &y], |t| l1_loss_with(&t[0], &t[1], Reduction::None));
    check(&[&x, &y], |t| smooth_l1_loss_with(&t[0], &t[1], SmoothL1Options { beta: 0.7, ..Default::default() }));
    check(&[&x, &y], |t| huber_loss_with(&t[0], &t[1], HuberOptions { delta: 1.3, ..Default::default() }));
    // Also at equal elements, in the middle of the parabola.
    let same = &x * 1.0;
    check(&[&x], |t| huber_loss(&t[0], &same) + smooth_l1_loss(&t[0], &same));
    let (p, q) = ((&x * 0.2).softmax(1), (&y * 0.3).softmax(1)); // nowhere near 0, where p ln p bends sharply
    let kl = KlDivOptions { reduction: KlDivReduction::BatchMean, ..Default::default() };
    check(&[&q.log(), &p], |t| kl_div_with(&t[0], &t[1], kl));
    check(&[&q.log(), &p.log()], |t| kl_div_with(&t[0], &t[1], KlDivOptions { log_target: true, ..kl }));
    check(&[&p, &q], |t| js_divergence(&t[0], &t[1]));
    let counts = f64s(&[0.5, 2.0, 3.0, 7.0, 1.5, 4.0, 2.5, 6.0, 0.2, 5.0, 8.0, 9.0], &[3, 4]);
    let full = PoissonNllOptions { full: true, ..Default::default() };
    check(&[&x, &counts], |t| poisson_nll_loss_with(&t[0], &t[1], full));
    let rates = PoissonNllOptions { log_input: false, eps: 1e-3, ..full };
    check(&[&x.exp(), &counts], |t| poisson_nll_loss_with(&t[0], &t[1], rates));
    check(&[&x, &y, &(y.square() + 0.3)], |t| gaussian_nll_loss(&t[0], &t[1], &t[2]));
    check(&[&x, &y, &(y.square().sum_dim(1, false) + 0.3)], |t| gaussian_nll_loss(&t[0], &t[1], &t[2]));
    let hard = y.gt_scalar(0.0).to_dtype(DType::F64);
    for (alpha, gamma) in [(0.25, 2.0), (-1.0, 0.0), (0.7, 1.5)] {
        let options = SigmoidFocalOptions { alpha, gamma, ..Default::default() };
        check(&[&x], |t| sigmoid_focal_loss_with(&t[0], &hard, options));
        check(&[&x, &p], |t| sigmoid_focal_loss_with(&t[0], &t[1], options));
        let options = FocalOptions { gamma, alpha: Some(f64s(&[0.5, 1.0, 2.0, 0.3], &[4])), ..Default::default() };
        check(&[&x], |t| focal_loss_with(&t[0], &labels(&[3, -100, 0]), options.clone()));
    }
    check(&[&x.sigmoid().unsqueeze(0), &p.unsqueeze(0)], |t| dice_loss(&t[0], &t[1]) + jaccard_loss(&t[0], &t[1]));
    let squared = OverlapOptions { squared: true, ..Default::default() };
    check(&[&x.sigmoid().unsqueeze(0), &p.unsqueeze(0)], |t| dice_loss_with(&t[0], &t[1], squared));
}

#[test]
fn gradients_of_margin_losses() {
    manual_seed(6);
    let x = normal(&[4, 3]) * 2.0;
    let y = labels(&[2, 0, 1, 1]);
    for p in [1, 2] {
        let options = MultiMarginOptions { p, weight: Some(f64s(&[0.5, 1.0, 2.0], &[3])), ..Default::default() };
        check(&[&x], |t| multi_margin_loss_with(&t[0], &y, options.clone()));
    }
    let lists = Tensor::from_slice(&[2i64, 0, -1, -1, 1, 0, 1, 2, 0, 0, -1, 2], [4, 3]);
    check(&[&x], |t| multilabel_margin_loss(&t[0], &lists));
    check(&[&x, &normal(&[4, 3])], |t| multilabel_soft_margin_loss(&t[0], &t[1]));
    let signs = f64s(&[1.0, -1.0, -1.0, 1.0, 1.0, -1.0, 1.0, 1.0, -1.0, 1.0, -1.0, -1.0], &[4, 3]);
    check(&[&x], |t| soft_margin_loss(&t[0], &signs));
    let b = normal(&[4, 3]);
    check(&[&x, &b], |t| margin_ranking_loss(&t[0], &t[1], &signs));
    check(&[&x], |t| hinge_embedding_loss(&t[0], &signs));
    let one = f64s(&[1.0, -1.0, 1.0, -1.0], &[4]);
    let cosine = CosineEmbeddingOptions { margin: -0.4, ..Default::default() };
    check(&[&x, &b], |t| cosine_embedding_loss_with(&t[0], &t[1], &one, cosine));
    let n = normal(&[4, 3]);
    for (p, swap) in [(2.0, false), (2.0, true), (3.0, false)] {
        let options = TripletMarginOptions { margin: 2.0, p, swap, ..Default::default() };
        check(&[&x, &b, &n], |t| triplet_margin_loss_with(&t[0], &t[1], &t[2], options));
    }
    let distance = |a: &Tensor, b: &Tensor| 1.0 - cosine_similarity(a, b, 1, 1e-8);
    check(&[&x, &b, &n], |t| triplet_margin_with_distance_loss(&t[0], &t[1], &t[2], distance));
    check(&[&x, &b], |t| cosine_similarity(&t[0], &t[1], 0, 1e-8));
    check(&[&x, &b], |t| pairwise_distance(&t[0], &t[1], 2.5, 1e-6, true));
    check(&[&x, &b], |t| info_nce_loss(&t[0], &t[1]));
    let negatives = |t: &Tensor| InfoNceOptions { temperature: 0.5, negatives: Some(t.clone()), ..Default::default() };
    check(&[&x, &b, &normal(&[2, 3])], |t| info_nce_loss_with(&t[0], &t[1], negatives(&t[2])));
    check(&[&x, &b], |t| nt_xent_loss(&t[0], &t[1]));
}

#[test]
fn gradients_of_norms_boxes_and_penalties() {
    manual_seed(7);
    let v = normal(&[2, 3, 4]);
    check(&[&v], |t| frobenius_norm(&t[0]));
    for (inner, outer) in [(1.0, 2.0), (2.0, 1.0), (3.0, 1.5)] {
        check(&[&v], |t| mixed_norm(&t[0], inner, outer));
    }
    check(&[&v, &normal(&[3])], |t| l1_penalty(t, 0.3) + l2_penalty(t, 0.2));
    let a = f64s(&[0.1, 0.0, 2.0, 3.0, 1.0, 1.0, 4.0, 2.0, 0.0, 0.0, 1.0, 1.0], &[3, 4]);
    let b = f64s(&[1.0, 1.1, 3.0, 5.0, 0.25, 0.5, 4.5, 3.0, 3.0, 0.2, 4.0, 1.5], &[3, 4]);
    check(&[&a, &b], |t| generalized_box_iou_loss(&t[0], &t[1]));
    check(&[&a, &b], |t| distance_box_iou_loss(&t[0], &t[1]));
    // The factor alpha of the complete loss counts as a constant: where the ratios agree, so does its part.
    let square = f64s(&[0.0, 0.5, 2.0, 2.5], &[1, 4]);
    let wide = f64s(&[1.0, 1.0, 4.0, 4.0], &[1, 4]);
    let (x, y) = (square.requires_grad_(true), wide.requires_grad_(true));
    complete_box_iou_loss(&x, &y).sum().backward();
    let found = x.grad().unwrap().to_vec::<f64>();
    x.zero_grad();
    distance_box_iou_loss(&x, &y).sum().backward();
    assert_eq!(found, x.grad().unwrap().to_vec::<f64>());
}

/// Alignments of a target, by trying every path of classes.
fn likelihood(p: &[Vec<f64>], target: &[usize], blank: usize) -> f64 {
    let (steps, classes) = (p.len(), p[0].len());
    let mut total = 0.0;
    for code in 0..classes.pow(steps as u32) {
        let path: Vec<usize> = (0..steps).map(|t| code / classes.pow(t as u32) % classes).collect();
        let mut read = path.clone();
        read.dedup();
        read.retain(|&c| c != blank);
        if read == target {
            total += path.iter().enumerate().map(|(t, &c)| p[t][c]).product::<f64>();
        }
    }
    total
}

#[test]
fn ctc_sums_over_all_alignments() {
    manual_seed(8);
    for (target, blank) in [(vec![1, 2], 0), (vec![1, 1], 0), (vec![0, 2, 0], 1), (vec![], 2), (vec![2, 2, 2], 0)] {
        let log_p = normal(&[5, 1, 3]).log_softmax(2);
        let rows: Vec<Vec<f64>> = log_p.exp().to_vec::<f64>().chunks(3).map(<[f64]>::to_vec).collect();
        let y = labels(&target.iter().map(|&c| c as i64).collect::<Vec<_>>()).unsqueeze(0);
        let options = CtcOptions { blank, reduction: Reduction::Sum, ..Default::default() };
        let loss = ctc_loss_with(&log_p, &y, &[5], &[target.len()], options).item_f64();
        assert_near(loss, -likelihood(&rows, &target, blank).ln());
    }
}

#[test]
fn ctc_has_the_exact_gradient_once() {
    manual_seed(9);
    // Of the log-probabilities themselves, not only through log_softmax.
    let log_p = (normal(&[6, 2, 4]) - 4.0).requires_grad_(true);
    let y = Tensor::from_slice(&[1i64, 1, 3, 2, 3, 0], [2, 3]);
    let loss = |x: &Tensor| ctc_loss(x, &y, &[6, 4], &[3, 2]);
    gradus_tensor::autograd::gradcheck(|x| loss(&x[0]), std::slice::from_ref(&log_p)).unwrap();
    let x = normal(&[6, 2, 4]);
    gradus_tensor::autograd::gradcheck(|x| loss(&x[0].log_softmax(2)), &[x]).unwrap();
    let options = gradus_tensor::autograd::GradOptions { create_graph: true, ..Default::default() };
    let g = gradus_tensor::autograd::grad(&[&loss(&log_p)], &[&log_p], options).remove(0);
    let message = panic_of(|| g.square().sum().backward());
    assert!(message.contains("ctc_loss: can be differentiated once only"), "{message}");
}

/// The mean over nothing is NaN, the sum 0, as in PyTorch.
#[test]
fn empty_inputs() {
    type Loss = fn(&[Tensor], Reduction) -> Tensor;
    let vectors: &[(&str, Loss)] = &[
        ("mse", |t, r| mse_loss_with(&t[0], &t[1], r)),
        ("l1", |t, r| l1_loss_with(&t[0], &t[1], r)),
        ("smooth_l1", |t, r| smooth_l1_loss_with(&t[0], &t[1], SmoothL1Options { reduction: r, ..Default::default() })),
        ("huber", |t, r| huber_loss_with(&t[0], &t[1], HuberOptions { reduction: r, ..Default::default() })),
        ("bce", |t, r| binary_cross_entropy_with(&t[0], &t[1], BceOptions { reduction: r, ..Default::default() })),
        ("bce_logits", |t, r| {
            let options = BceWithLogitsOptions { reduction: r, ..Default::default() };
            binary_cross_entropy_with_logits_with(&t[0], &t[1], options)
        }),
        ("cross_entropy", |t, r| {
            let y = labels(&[]);
            cross_entropy_with(&t[0], &y, CrossEntropyOptions { reduction: r, ..Default::default() })
        }),
        ("nll", |t, r| nll_loss_with(&t[0], &labels(&[]), NllOptions { reduction: r, ..Default::default() })),
        ("js", |t, r| js_divergence_with(&t[0], &t[1], r)),
        ("poisson", |t, r| {
            poisson_nll_loss_with(&t[0], &t[1], PoissonNllOptions { reduction: r, ..Default::default() })
        }),
        ("gaussian", |t, r| {
            gaussian_nll_loss_with(&t[0], &t[1], &t[2], GaussianNllOptions { reduction: r, ..Default::default() })
        }),
        ("multi_margin", |t, r| {
            multi_margin_loss_with(&t[0], &labels(&[]), MultiMarginOptions { reduction: r, ..Default::default() })
        }),
        ("multilabel_margin", |t, r| multilabel_margin_loss_with(&t[0], &t[1].to_dtype(DType::I64), r)),
        ("multilabel_soft_margin", |t, r| {
            let options = MultilabelSoftMarginOptions { reduction: r, ..Default::default() };
            multilabel_soft_margin_loss_with(&t[0], &t[1], options)
        }),
        ("soft_margin", |t, r| soft_margin_loss_with(&t[0], &t[1], r)),
        ("margin_ranking", |t, r| {
            margin_ranking_loss_with(&t[0], &t[1], &t[2], MarginRankingOptions { reduction: r, ..Default::default() })
        }),
        ("hinge_embedding", |t, r| {
            hinge_embedding_loss_with(&t[0], &t[1], HingeEmbeddingOptions { reduction: r, ..Default::default() })
        }),
        ("cosine_embedding", |t, r| {
            let options = CosineEmbeddingOptions { reduction: r, ..Default::default() };
            cosine_embedding_loss_with(&t[0], &t[1], &Tensor::zeros([0]), options)
        }),
        ("triplet", |t, r| {
            let options = TripletMarginOptions { reduction: r, ..Default::default() };
            triplet_margin_loss_with(&t[0], &t[1], &t[2], options)
        }),
        ("sigmoid_focal", |t, r| {
            sigmoid_focal_loss_with(&t[0], &t[1], SigmoidFocalOptions { reduction: r, ..Default::default() })
        }),
        ("focal", |t, r| focal_loss_with(&t[0], &labels(&[]), FocalOptions { reduction: r, ..Default::default() })),
        ("dice", |t, r| {
            let masks = |t: &Tensor| t.unsqueeze(2);
            dice_loss_with(&masks(&t[0]), &masks(&t[1]), OverlapOptions { reduction: r, ..Default::default() })
        }),
        ("info_nce", |t, r| info_nce_loss_with(&t[0], &t[1], InfoNceOptions { reduction: r, ..Default::default() })),
        ("nt_xent", |t, r| nt_xent_loss_with(&t[0], &t[1], NtXentOptions { reduction: r, ..Default::default() })),
        ("ctc", |t, r| {
            let options = CtcOptions { reduction: r, ..Default::default() };
            let y = Tensor::zeros([0, 2]).to_dtype(DType::I64);
            ctc_loss_with(&t[0].unsqueeze(0), &y, &[], &[], options)
        }),
    ];
    let empty = || Tensor::zeros([0, 3]).requires_grad_(true);
    for (name, loss) in vectors {
        let inputs = [empty(), empty(), empty()];
        assert!(loss(&inputs, Reduction::Mean).item().is_nan(), "{name}: the mean is not NaN");
        let sum = loss(&inputs, Reduction::Sum);
        assert_eq!(sum.item(), 0.0, "{name}: the sum");
        sum.backward();
        assert_eq!(inputs[0].grad().map(|g| g.numel()), Some(0), "{name}: the gradient");
        assert_eq!(loss(&inputs, Reduction::None).numel(), 0, "{name}: the elements");
    }
    let kl = |reduction| kl_div_with(&empty(), &empty(), KlDivOptions { reduction, ..Default::default() }).item();
    assert!(kl(KlDivReduction::Mean).is_nan() && kl(KlDivReduction::BatchMean).is_nan());
    assert_eq!(kl(KlDivReduction::Sum), 0.0);
    assert_eq!((l1_penalty(&[], 1.0).item(), l2_penalty(&[empty()], 1.0).item()), (0.0, 0.0));
}

/// Values that saturate: losses stay finite and exact, gradients finite.
#[test]
fn extreme_logits() {
    let x = || Tensor::from_slice(&[1e4f32, -1e4, -1e4, 1e4], [2, 2]).requires_grad_(true);
    let (hit, miss) = (labels(&[0, 1]), labels(&[1, 0]));
    let right = Tensor::from_slice(&[1.0f32, 0.0, 0.0, 1.0], [2, 2]);
    let wrong = 1.0 - &right;
    let nll = |x: &Tensor, y: &Tensor| nll_loss(&x.log_softmax(1), y);
    let focal = |x: &Tensor, y: &Tensor| sigmoid_focal_loss(x, y).mean();
    let signed = |x: &Tensor, y: &Tensor| soft_margin_loss(x, &(y * 2.0 - 1.0));
    type Loss<'a> = &'a dyn Fn(&Tensor, &Tensor) -> Tensor;
    let all: [(&str, Loss, &Tensor, &Tensor, f32); 8] = [
        ("cross_entropy", &cross_entropy, &hit, &miss, 2e4),
        ("nll", &nll, &hit, &miss, 2e4),
        ("focal", &focal_loss, &hit, &miss, 2e4),
        ("multi_margin", &multi_margin_loss, &hit, &miss, 20001.0 / 2.0),
        ("bce_with_logits", &binary_cross_entropy_with_logits, &right, &wrong, 1e4),
        ("multilabel_soft_margin", &multilabel_soft_margin_loss, &right, &wrong, 1e4),
        ("soft_margin", &signed, &right, &wrong, 1e4),
        // Of four elements two are positive (factor 1/4) and two negative (3/4).
        ("sigmoid_focal", &focal, &right, &wrong, 0.5e4),
    ];
    for (name, loss, sure, mistaken, cost) in all {
        for (y, expected) in [(sure, 0.0), (mistaken, cost)] {
            let x = x();
            let l = loss(&x, y);
            assert_eq!(l.item(), expected, "{name}");
            l.backward();
            let g = x.grad().unwrap();
            assert!(g.isfinite().all(), "{name}: {g:?}");
            assert!((expected == 0.0) == (g.abs().max().item() == 0.0), "{name}: {g:?}");
        }
    }
    // Powers below 1 have no derivative at 0: saturated logits must not make NaN of it.
    for gamma in [0.5, 1.5] {
        let z = x();
        sigmoid_focal_loss_with(&z, &right, SigmoidFocalOptions { gamma, ..Default::default() }).sum().backward();
        focal_loss_with(&z, &hit, FocalOptions { gamma, ..Default::default() }).backward();
        assert_eq!(z.grad().unwrap().to_vec::<f32>(), [0.0; 4]);
    }
}

#[test]
fn likelihoods_are_one_thing() {
    manual_seed(3);
    let (x, y) = (normal(&[6, 4]), labels(&[3, 1, 1, 0, 2, 1]));
    // Cross entropy is log-softmax followed by the negative log-likelihood.
    assert_near(cross_entropy(&x, &y).item_f64(), nll_loss(&x.log_softmax(1), &y).item_f64());
    // A label of probability 1 costs nothing.
    assert_eq!(nll_loss(&Tensor::from_slice(&[0.0f32, -1e9], [1, 2]), &labels(&[0])).item(), 0.0);
    // The likelihood is e^(-N loss), so the least loss is at the frequencies: here 1/6, 3/6, 1/6, 1/6.
    let p = x.softmax(1);
    let likelihood: f64 = [3, 1, 1, 0, 2, 1].iter().enumerate().map(|(i, &c)| p.at(&[i, c])).product();
    assert_near((-6.0 * cross_entropy(&x, &y).item_f64()).exp(), likelihood);
    let shared = Tensor::zeros([4]).requires_grad_(true);
    let mut optimizer = Adam::new(vec![shared.clone()], 0.05);
    for _ in 0..600 {
        optimizer.zero_grad();
        nll_loss(&shared.log_softmax(0).expand([6, 4]), &y).backward();
        optimizer.step();
    }
    let found = shared.detach().softmax(0).to_vec::<f32>();
    let near = found.iter().zip([1.0, 3.0, 1.0, 1.0]).all(|(p, n)| (p - n / 6.0).abs() < 1e-3);
    assert!(near, "{found:?}");
    // Without the class weights and the factors, focal loss is cross entropy.
    let plain = FocalOptions { gamma: 0.0, ..Default::default() };
    assert_near(focal_loss_with(&x, &y, plain).item_f64(), cross_entropy(&x, &y).item_f64());
}

#[test]
fn nll_refuses_what_is_no_log_probability() {
    let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 1.0], [2, 2]);
    let y = labels(&[0, 1]);
    let part = "nll_loss: log-probabilities are never positive, but some of these are";
    for wrong in [x.softmax(1), x.clone(), Tensor::from_slice(&[0.0f32, 1.0, 1.0, 0.0], [2, 2])] {
        let message = panic_of(|| nll_loss(&wrong, &y));
        assert!(message.contains(part), "{message}");
    }
    let message = panic_of(|| ctc_loss(&x.unsqueeze(1), &Tensor::ones([1, 1]).to_dtype(DType::I64), &[2], &[1]));
    assert!(message.contains("ctc_loss: log-probabilities are never positive"), "{message}");
    // What rounding can do to a log-softmax passes.
    nll_loss(&Tensor::full([2, 2], 1e-6), &y);
    nll_loss(&Tensor::from_slice(&[f32::NEG_INFINITY, 0.0], [1, 2]), &labels(&[1]));
}

/// The textbook's hinge: the sum over the other classes, without 1/C.
#[test]
fn hinge_in_the_sum_form() {
    let rows = [[3.2f64, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]];
    let y = [0usize, 1, 2];
    for delta in [1.0, 0.25] {
        let expected: Vec<f64> = (0..3)
            .map(|i| (0..3).filter(|&j| j != y[i]).map(|j| (rows[i][j] - rows[i][y[i]] + delta).max(0.0)).sum())
            .collect();
        let options = MultiMarginOptions { margin: delta, reduction: Reduction::None, ..Default::default() };
        let found = multi_margin_loss_with(&f64s(rows.as_flattened(), &[3, 3]), &labels(&[0, 1, 2]), options) * 3.0;
        found.to_vec::<f64>().iter().zip(&expected).for_each(|(f, e)| assert_near(*f, *e));
        // No loss once the label is ahead by the threshold.
        assert_eq!(found.at(&[1]), 0.0);
    }
}

#[test]
fn divergences_have_their_properties() {
    manual_seed(4);
    let sum = KlDivOptions { reduction: KlDivReduction::Sum, ..Default::default() };
    for _ in 0..50 {
        let (p, q) = ((normal(&[5]) * 3.0).softmax(0), (normal(&[5]) * 3.0).softmax(0));
        let (pv, qv) = (p.to_vec::<f64>(), q.to_vec::<f64>());
        let d = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * (a / b).ln()).sum::<f64>();
        assert_near(kl_div_with(&q.log(), &p, sum).item_f64(), d(&pv, &qv));
        let m: Vec<f64> = pv.iter().zip(&qv).map(|(a, b)| (a + b) / 2.0).collect();
        let js = js_divergence(&p, &q).item_f64();
        assert_near(js, (d(&pv, &m) + d(&qv, &m)) / 2.0);
        assert_near(js, js_divergence(&q, &p).item_f64());
        assert!((0.0..=std::f64::consts::LN_2).contains(&js), "{js}");
    }
    // Disjoint: ln 2, with finite gradients; equal: 0.
    let p = f64s(&[0.5, 0.5, 0.0, 0.0], &[4]).requires_grad_(true);
    let q = f64s(&[0.0, 0.0, 0.25, 0.75], &[4]).requires_grad_(true);
    let js = js_divergence(&p, &q);
    assert_near(js.item_f64(), std::f64::consts::LN_2);
    js.backward();
    assert!(p.grad().unwrap().isfinite().all() && q.grad().unwrap().isfinite().all());
    assert_eq!(js_divergence(&p, &p).item_f64(), 0.0);
    let both = kl_div_with(&p.detach().softmax(0).log(), &p, sum);
    p.zero_grad();
    both.backward();
    assert!(p.grad().unwrap().isfinite().all());
}

#[test]
fn penalties_are_sums_without_a_half() {
    let (spread, sparse) = (f64s(&[0.5, 0.5], &[2]), f64s(&[1.0, 0.0], &[2]));
    let of = |w: &Tensor| {
        (l1_penalty(std::slice::from_ref(w), 1.0).item_f64(), l2_penalty(std::slice::from_ref(w), 1.0).item_f64())
    };
    assert_eq!(of(&spread), (1.0, 0.5));
    assert_eq!(of(&sparse), (1.0, 1.0));
    let model = Linear::new(3, 2);
    let all: Vec<f64> =
        model.parameters().iter().flat_map(|p| p.detach().to_dtype(DType::F64).to_vec::<f64>()).collect();
    let l2 = l2_penalty(&model.parameters(), 0.01);
    assert!((l2.item_f64() - 0.01 * all.iter().map(|v| v * v).sum::<f64>()).abs() < 1e-8);
    // Its gradient is that of a weight decay of twice the factor.
    l2.backward();
    let decay = model.weight.detach() * 0.02;
    assert!((model.weight.grad().unwrap() - decay).abs().max().item() < 1e-8);
    // Descent on the L1 penalty reaches zero and stays near; on the L2 penalty it only shrinks.
    let descend = |penalty: &dyn Fn(&[Tensor], f64) -> Tensor| {
        let w = Tensor::full([1], 0.1).requires_grad_(true);
        let mut optimizer = gradus_nn::optim::Sgd::new(vec![w.clone()], 0.01);
        for _ in 0..20 {
            optimizer.zero_grad();
            penalty(std::slice::from_ref(&w), 1.0).backward();
            optimizer.step();
        }
        w.detach().item()
    };
    assert!(descend(&l1_penalty).abs() <= 0.0101);
    assert!(descend(&l2_penalty) > 0.06);
}

/// |x.y| <= |x| |y|, and with y of ones: the mixed norm is at most sqrt(h) times Frobenius' norm.
#[test]
fn cauchy_schwarz_bounds_the_mixed_norm() {
    manual_seed(12);
    let mut widest = 0.0f64;
    for trial in 0..200usize {
        let (m, h) = (1 + trial % 5, 1 + trial / 5 % 7);
        let v = normal(&[m, h]) * if trial % 3 == 0 { 1e3 } else { 1.0 };
        let (x, y) = (normal(&[h]), normal(&[h]));
        assert!(x.dot(&y).item_f64().abs() <= x.norm().item_f64() * y.norm().item_f64() * (1.0 + 1e-12));
        let (mixed, frobenius) = (mixed_norm(&v, 1.0, 2.0).item_f64(), frobenius_norm(&v).item_f64());
        let rows: Vec<f64> = v.to_vec::<f64>().chunks(h).map(|r| r.iter().map(|v| v.abs()).sum()).collect();
        assert_near(mixed, rows.iter().map(|r: &f64| r * r).sum::<f64>().sqrt());
        let bound = (h as f64).sqrt() * frobenius;
        assert!(mixed <= bound * (1.0 + 1e-12) && mixed >= frobenius * (1.0 - 1e-12), "{mixed} of {frobenius}");
        widest = widest.max(mixed / bound);
        assert_near(mixed_norm(&v, 2.0, 2.0).item_f64(), frobenius);
    }
    assert!(widest > 0.95);
    // Equal magnitudes reach the bound.
    assert_near(mixed_norm(&f64s(&[2.0, -2.0, 2.0, 2.0], &[1, 4]), 1.0, 2.0).item_f64(), 8.0);
}

#[test]
fn terms_are_weighted_and_reported() {
    let x = f64s(&[1.0, 2.0], &[2]).requires_grad_(true);
    let loss = LossTerms::new().add("square", 0.5, &x.square().sum()).add("size", 3.0, &x.abs().sum());
    assert_eq!(loss.total().item_f64(), 2.5 + 9.0);
    assert_eq!(loss.values(), [("square", 0.5, 5.0), ("size", 3.0, 3.0)]);
    assert_eq!((loss.value("size"), loss.value("other")), (Some(3.0), None));
    loss.total().backward();
    assert_eq!(x.grad().unwrap().to_vec::<f64>(), [4.0, 5.0]);
    let one = || Tensor::scalar(1.0);
    for (message, part) in [
        (panic_of(|| LossTerms::new().add("box", 1.0, &Tensor::zeros([2]))), "term `box` must be a scalar, got [2]"),
        (panic_of(|| loss.clone().add("size", 1.0, &one())), "there are two terms `size`"),
        (panic_of(|| LossTerms::new().add("nan", f64::NAN, &one())), "term `nan` has the weight NaN"),
        (panic_of(|| LossTerms::new().total()), "there are no terms to add"),
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn noise_on_inputs_and_on_weights() {
    manual_seed(21);
    let layer = GaussianNoise::new(0.3);
    let x = Tensor::full([20_000], 2.0).requires_grad_(true);
    let y = layer.forward(&x);
    assert!((y.mean().item() - 2.0).abs() < 0.01 && (y.std(1).item() - 0.3).abs() < 0.01);
    y.sum().backward();
    assert_eq!(x.grad().unwrap().to_vec::<f32>(), [1.0; 20_000]);
    assert_ne!(layer.forward(&x).to_vec::<f32>(), y.to_vec::<f32>());
    layer.eval();
    assert_eq!(layer.forward(&x).to_vec::<f32>(), x.to_vec::<f32>());
    assert!(panic_of(|| GaussianNoise::new(-1.0)).contains("-1 is not a standard deviation"));
    let stack = vec![GaussianNoise::new(0.1)];
    stack.train();
    let message = panic_of(|| stack[0].forward(&labels(&[1])));
    assert!(message.contains("GaussianNoise in layer `0`: needs float elements, got i64"), "{message}");

    // A linear function's gradient shows where it was taken: for w^2 it is 2 w at the noisy weights.
    let model = Linear::new(50, 40);
    let bias = model.bias.as_ref().unwrap();
    let before = (model.weight.to_vec::<f32>(), bias.to_vec::<f32>());
    let noise = WeightNoise::new(&model.parameters(), 0.05);
    let noisy = model.weight.detach() * 1.0;
    let moved = &noisy - Tensor::from_slice(&before.0, [40, 50]);
    assert!((moved.std(1).item() - 0.05).abs() < 0.005 && moved.mean().item().abs() < 0.005);
    model.weight.square().sum().backward();
    assert_eq!(model.weight.grad().unwrap().to_vec::<f32>(), (noisy * 2.0).to_vec::<f32>());
    noise.remove();
    assert_eq!((model.weight.to_vec::<f32>(), bias.to_vec::<f32>()), before);
    // Taken off too early, it is noticed.
    let noise = WeightNoise::new(&model.parameters(), 0.05);
    let loss = model.weight.square().sum();
    noise.remove();
    assert!(panic_of(|| loss.backward()).contains("was changed in place after it was used"));
    // Frozen parameters are left alone, and a panic takes the noise off as well.
    model.freeze();
    let noise = WeightNoise::new(&model.parameters(), 1.0);
    assert_eq!(model.weight.to_vec::<f32>(), before.0);
    drop(noise);
    model.unfreeze();
    panic_of(|| {
        let _noise = WeightNoise::new(&model.parameters(), 1.0);
        model.forward(&Tensor::ones([1, 3]))
    });
    assert_eq!(model.weight.to_vec::<f32>(), before.0);
}

#[test]
fn similarity_of_zero_vectors_is_zero() {
    let a = Tensor::zeros([2, 3]).requires_grad_(true);
    let b = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 0.0, 0.0, 0.0], [2, 3]);
    let s = cosine_similarity(&a, &b, 1, 1e-8);
    assert_eq!(s.to_vec::<f32>(), [0.0, 0.0]);
    s.sum().backward();
    assert!(a.grad().unwrap().isfinite().all());
    // The angle is the arc cosine: 60 degrees, whatever the lengths.
    let (u, v) = (f64s(&[5.0, 0.0], &[2]), f64s(&[0.5, 0.75f64.sqrt()], &[2]));
    assert_near(cosine_similarity(&u, &v, 0, 1e-8).acos().item_f64(), std::f64::consts::PI / 3.0);
    let message = panic_of(|| cosine_similarity(&a, &Tensor::zeros([2, 4]), 1, 1e-8));
    assert!(message.contains("cosine_similarity: needs vectors whose shapes broadcast, got [2, 3] and [2, 4]"));
}

/// Classification takes smoothed labels (Szegedy et al. use 0.1): 1 - s + s/C for the label, s/C for the others.
#[test]
fn label_smoothing_is_a_mixture_with_the_uniform_distribution() {
    manual_seed(13);
    let (x, y) = (normal(&[4, 5]), labels(&[1, 4, 0, 2]));
    let smooth = CrossEntropyOptions { label_smoothing: 0.1, ..Default::default() };
    let soft = y.one_hot(5).to_dtype(DType::F64) * 0.9 + 0.02;
    assert_near(cross_entropy_with(&x, &y, smooth).item_f64(), cross_entropy(&x, &soft).item_f64());
    assert_eq!(CrossEntropyOptions::default().label_smoothing, 0.0);
}

#[test]
fn messages_name_the_loss_and_the_shapes() {
    let (x, y) = (Tensor::zeros([2, 3]), Tensor::zeros([3]));
    let pair = "input [2, 3] and target [3] must have the same shape";
    type Loss = fn(&Tensor, &Tensor) -> Tensor;
    let same: &[(&str, Loss)] = &[
        ("l1_loss", l1_loss),
        ("smooth_l1_loss", smooth_l1_loss),
        ("huber_loss", huber_loss),
        ("kl_div", kl_div),
        ("js_divergence", js_divergence),
        ("poisson_nll_loss", poisson_nll_loss),
        ("soft_margin_loss", soft_margin_loss),
        ("hinge_embedding_loss", hinge_embedding_loss),
        ("multilabel_margin_loss", multilabel_margin_loss),
        ("multilabel_soft_margin_loss", multilabel_soft_margin_loss),
        ("sigmoid_focal_loss", sigmoid_focal_loss),
        ("dice_loss", dice_loss),
        ("jaccard_loss", jaccard_loss),
    ];
    for (name, loss) in same {
        assert_eq!(panic_of(|| loss(&x, &y)), format!("{name}: {pair}"));
    }
    let signs = "needs targets 1 or -1";
    for (message, part) in [
        (panic_of(|| gaussian_nll_loss(&x, &y, &x)), pair),
        (panic_of(|| gaussian_nll_loss(&x, &x, &y)), "gaussian_nll_loss: var [3] does not fit the input [2, 3]"),
        (panic_of(|| gaussian_nll_loss(&x, &x, &(&x - 1.0))), "a variance is negative"),
        (panic_of(|| multi_margin_loss(&x, &labels(&[0]))), "labels [N, ...], got [2, 3] and [1]"),
        (panic_of(|| multi_margin_loss(&x, &labels(&[0, 3]))), "label 3 at position 1 is not a class index in 0..3"),
        (panic_of(|| multi_margin_loss(&Tensor::zeros([2, 3, 4]), &x)), "needs scores [N, C] or [C] and labels, got"),
        (
            panic_of(|| multilabel_margin_loss(&x, &Tensor::full([2, 3], 3.0).to_dtype(DType::I64))),
            "label 3 at position 0 is not a class index in 0..3",
        ),
        (panic_of(|| triplet_margin_loss(&x, &x, &y)), "anchor [2, 3], positive [2, 3] and negative [3] must have"),
        (panic_of(|| margin_ranking_loss(&x, &x, &y)), "inputs [2, 3] and [2, 3] and target [3] must have"),
        (panic_of(|| cosine_embedding_loss(&x, &x, &y)), "a target [N], got [2, 3], [2, 3] and [3]"),
        (panic_of(|| soft_margin_loss(&x, &x)), signs),
        (panic_of(|| hinge_embedding_loss(&x, &x)), signs),
        (panic_of(|| cosine_embedding_loss(&x, &x, &Tensor::zeros([2]))), signs),
        (panic_of(|| js_divergence(&x, &(&x - 1.0))), "needs probabilities, but some are negative"),
        (panic_of(|| dice_loss(&x, &x)), "dice_loss: needs masks [N, C, ...] with dimensions of positions, got [2, 3]"),
        (
            panic_of(|| generalized_box_iou_loss(&x, &x)),
            "needs boxes [..., 4] of the same shape, got [2, 3] and [2, 3]",
        ),
        (panic_of(|| focal_loss(&x, &labels(&[0]))), "focal_loss: needs an input [N, C, ...] and labels [N, ...]"),
        (panic_of(|| info_nce_loss(&x, &y)), "needs queries and keys [N, D], got [2, 3] and [3]"),
        (panic_of(|| nt_xent_loss(&x, &y)), "needs views and views [N, D], got [2, 3] and [3]"),
        (panic_of(|| frobenius_norm(&y)), "frobenius_norm: needs matrices [..., M, H], got [3]"),
        (panic_of(|| mixed_norm(&x, 0.5, 2.0)), "inner 0.5 and outer 2 must be orders of norms"),
        (
            panic_of(|| huber_loss_with(&x, &x, HuberOptions { delta: 0.0, ..Default::default() })),
            "delta 0 is not positive",
        ),
        (
            panic_of(|| smooth_l1_loss_with(&x, &x, SmoothL1Options { beta: -1.0, ..Default::default() })),
            "beta -1 is negative",
        ),
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn messages_of_ctc() {
    let x = Tensor::zeros([4, 2, 3]).log_softmax(2);
    let y = Tensor::from_slice(&[1i64, 2, 2, 1], [2, 2]);
    let blank = |blank| CtcOptions { blank, ..Default::default() };
    for (message, part) in [
        (panic_of(|| ctc_loss(&x.reshape([24]), &y, &[4, 4], &[2, 2])), "got [24] and [2, 2]"),
        (panic_of(|| ctc_loss(&x, &y.narrow(0, 0, 1), &[4, 4], &[2, 2])), "got [4, 2, 3] and [1, 2]"),
        (panic_of(|| ctc_loss(&x, &y, &[4], &[2, 2])), "needs 2 lengths each, got 1 and 2"),
        (panic_of(|| ctc_loss(&x, &y, &[4, 5], &[2, 2])), "input length 5 at position 1 is above the 4 steps"),
        (panic_of(|| ctc_loss(&x, &y, &[4, 4], &[3, 2])), "target length 3 at position 0 is above the 2 labels"),
        (panic_of(|| ctc_loss(&x, &y.flatten(0, 1), &[4, 4], &[2, 1])), "make 3, but there are 4 labels"),
        (panic_of(|| ctc_loss_with(&x, &y, &[4, 4], &[2, 2], blank(3))), "blank 3 is not a class index in 0..3"),
        (panic_of(|| ctc_loss_with(&x, &y, &[4, 4], &[2, 2], blank(1))), "label 1 of target 0 is the blank"),
        (panic_of(|| ctc_loss(&x, &y.to_dtype(DType::F32), &[4, 4], &[2, 2])), "needs i64 targets"),
        (panic_of(|| ctc_loss(&x, &(&y + &y), &[4, 4], &[2, 2])), "label 4 of target 0 is not a class index"),
    ] {
        assert!(message.contains(part), "{message}");
    }
}
