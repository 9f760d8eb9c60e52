//! The claims of the example `perceptron`.

#[allow(dead_code)]
#[path = "../../examples/perceptron.rs"]
mod example;

#[test]
fn the_rule_converges_exactly_where_a_line_separates() {
    let _alone = crate::alone();
    let dir = tempfile::tempdir().unwrap();
    let report = example::run(dir.path()).unwrap();
    assert_eq!((report.mistakes.last(), report.accuracy), (Some(&0), 1.0));
    let total: usize = report.mistakes.iter().sum();
    assert!(report.mistakes[0] > 0 && total as f64 <= report.bound, "{total} of {}", report.bound);
    assert!(report.xor_mistakes.len() == 40 && report.xor_mistakes.iter().all(|&n| n > 0));
    let picture = std::fs::read_to_string(dir.path().join("perceptron.svg")).unwrap();
    assert!(picture.contains("the line it found") && picture.contains("<circle"));
}
