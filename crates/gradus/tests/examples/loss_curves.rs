//! The claims of the example `loss_curves`.

#[allow(dead_code)]
#[path = "../../examples/loss_curves.rs"]
mod example;

#[test]
fn cross_entropy_pulls_where_least_squares_of_a_sigmoid_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let report = example::run(dir.path()).unwrap();
    let [entropy, sigmoid, squares] = report.wrong;
    // s(6) = 0.9975: the slopes are -s(6), -2 s(6)^2 s(-6), and -2 (1 + 6).
    assert!((entropy + 0.99753).abs() < 1e-4 && (sigmoid + 0.00492).abs() < 1e-4 && (squares + 14.0).abs() < 1e-9);
    assert!(
        report.right[0].abs() < 0.01 && report.right[1].abs() < 0.01 && report.right[2] == 10.0,
        "{:?}",
        report.right
    );
    assert!(std::fs::read_to_string(dir.path().join("loss_curves.svg")).unwrap().contains("cross-entropy"));
}
