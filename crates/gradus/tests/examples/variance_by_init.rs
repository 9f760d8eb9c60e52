//! The claims of the example `variance_by_init`.

#[path = "../../examples/variance_by_init.rs"]
#[allow(dead_code)]
mod example;

use example::DEPTH;

#[test]
fn only_centred_data_and_scaled_weights_keep_the_variance() {
    let _alone = crate::alone();
    let dir = tempfile::tempdir().unwrap();
    let curves = example::run(dir.path()).unwrap();
    let of = |label: &str| &curves.iter().find(|c| c.label == label).unwrap().variances;
    let kept = |label: &str| of(label)[DEPTH] / of(label)[0];
    // Scaled to the activation: kept. (ReLU's zeros make it wander a little.)
    let kaiming = kept("ReLU, Kaiming, centred");
    assert!((0.1..10.0).contains(&kaiming), "{kaiming}");
    // tanh takes a little away as long as values are not small: one over twice the depth is left.
    let xavier = kept("tanh, Xavier, centred") * 2.0 * DEPTH as f64;
    assert!((0.5..1.5).contains(&xavier), "{xavier}");
    // Scaled, but not to ReLU, which halves the mean square at each layer.
    let halved = (kept("ReLU, Xavier, centred") / kaiming).log2();
    assert!((-34.0..-26.0).contains(&halved), "{halved}");
    // Centred data does not save weights that are not scaled.
    for activation in ["tanh", "ReLU"] {
        assert!(kept(&format!("{activation}, normal, std 0.01, centred")) < 1e-20);
    }
    assert!(kept("ReLU, normal, std 0.3, centred") > 1e15);
    // tanh bounds what is too large: it saturates instead.
    assert!(of("tanh, normal, std 0.3, centred")[DEPTH] > 5.0);
    // Data of mean 3 and variance 1 has the mean square 10: with gain 2 and 1, the first layer has so much more.
    let first = of("ReLU, Kaiming, mean 3")[1] / of("ReLU, Kaiming, centred")[1];
    assert!((6.0..14.0).contains(&first), "{first}");
    let later = of("ReLU, Kaiming, mean 3")[DEPTH] / of("ReLU, Kaiming, centred")[DEPTH];
    assert!(later > 2.0, "{later}");
    assert!(std::fs::read_to_string(dir.path().join("variance_by_init.svg")).unwrap().contains("</svg>"));
}
