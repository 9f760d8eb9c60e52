//! The claim of the example `zero_init`.

#[path = "../../examples/zero_init.rs"]
#[allow(dead_code)]
mod example;

#[test]
fn equal_units_stay_equal_and_cannot_learn() {
    let _alone = crate::alone();
    let dir = tempfile::tempdir().unwrap();
    let runs = example::run(dir.path()).unwrap();
    for run in &runs[..2] {
        let last = run.losses.last().unwrap();
        assert!(run.difference < 1e-6, "{}: {}", run.start, run.difference);
        // The best that one unit can do leaves at least a corner wrong.
        assert!(run.accuracy < 0.85 && *last > 0.4, "{}: {} {last}", run.start, run.accuracy);
    }
    let random = &runs[2];
    assert!(random.difference > 0.5 && random.accuracy == 1.0 && *random.losses.last().unwrap() < 0.1);
    assert!(std::fs::read_to_string(dir.path().join("zero_init.svg")).unwrap().contains("</svg>"));
}
