//! The claims of the example `xor`.

#[allow(dead_code)]
#[path = "../../examples/xor.rs"]
mod example;

#[test]
fn one_hidden_layer_learns_what_a_linear_model_cannot() {
    let _alone = crate::alone();
    let dir = tempfile::tempdir().unwrap();
    let report = example::run(dir.path()).unwrap();
    // The best a linear model can do is to say one half everywhere: ln 2.
    assert!(report.linear.accuracy <= 0.75 && report.linear.loss > 0.69, "{}", report.linear.loss);
    assert!(report.hidden.accuracy == 1.0 && report.hidden.loss < 0.02, "{}", report.hidden.loss);
    assert!(report.separable);
    let picture = std::fs::read_to_string(dir.path().join("xor.svg")).unwrap();
    assert!(picture.contains("what the hidden units make of it") && picture.contains("<circle"));
}
