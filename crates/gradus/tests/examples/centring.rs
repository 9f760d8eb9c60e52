//! The claims of the example `centring`.

#[allow(dead_code)]
#[path = "../../examples/centring.rs"]
mod example;

#[test]
fn centring_lowers_the_condition_number_and_the_steps() {
    let _alone = crate::alone();
    let dir = tempfile::tempdir().unwrap();
    let found = example::run(dir.path()).unwrap();
    let [raw, centred, standardised] = &found[..] else { panic!("three ways") };
    assert!(raw.condition_number > 20.0 * centred.condition_number, "{}", raw.condition_number);
    assert!(centred.condition_number > 3.0 * standardised.condition_number, "{}", centred.condition_number);
    assert!(standardised.condition_number < 2.0, "{}", standardised.condition_number);
    assert!(raw.top_eigenvalue > 5.0 * centred.top_eigenvalue);
    assert!(raw.steps > 10 * centred.steps && centred.steps > standardised.steps, "{} {}", raw.steps, centred.steps);
    assert!(dir.path().join("centring.svg").exists());
}
