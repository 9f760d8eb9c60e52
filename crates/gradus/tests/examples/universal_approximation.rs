//! The claims of the example `universal_approximation`.

#[allow(dead_code)]
#[path = "../../examples/universal_approximation.rs"]
mod example;

#[test]
fn the_error_falls_with_every_widening() {
    let _alone = crate::alone();
    let dir = tempfile::tempdir().unwrap();
    let fits = example::run(dir.path()).unwrap();
    assert_eq!(fits.iter().map(|f| f.width).collect::<Vec<_>>(), example::WIDTHS);
    let errors: Vec<f64> = fits.iter().map(|f| f.error).collect();
    assert!(errors.windows(2).all(|e| e[1] < e[0]), "{errors:?}");
    assert!(errors[0] > 0.3 && *errors.last().unwrap() < 1e-3, "{errors:?}");
    let picture = std::fs::read_to_string(dir.path().join("universal_approximation.svg")).unwrap();
    assert!(picture.contains("the function") && picture.contains("16 units"));
}
