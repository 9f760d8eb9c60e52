//! The claims of the example `depth`.

#[path = "../../examples/depth.rs"]
#[allow(dead_code)]
mod example;

#[test]
fn depth_harms_plain_nets_and_not_residual_ones() {
    let _alone = crate::alone();
    let dir = tempfile::tempdir().unwrap();
    // Few channels and epochs, so that it takes seconds; at 32 layers the plain net hardly learns.
    let settings = ["model.inplanes=8", "epochs=3", "batch_size=64"].map(String::from);
    let nets = example::run("digits", &settings, &[1, 5], dir.path()).unwrap();
    let [plain8, residual8, plain32, residual32] = &nets[..] else { panic!("{} nets", nets.len()) };
    assert_eq!(
        nets.iter().map(|n| (n.depth, n.residual)).collect::<Vec<_>>(),
        [(8, false), (8, true), (32, false), (32, true)]
    );
    let shown = nets.iter().map(|n| (n.train_error, n.test_error)).collect::<Vec<_>>();
    assert!(plain32.train_error > 2.0 * plain8.train_error, "{shown:?}");
    assert!(residual32.train_error < 0.5 * plain32.train_error, "{shown:?}");
    assert!(residual32.train_error < 2.0 * residual8.train_error, "{shown:?}");
    let svg = std::fs::read_to_string(dir.path().join("depth.svg")).unwrap();
    assert!(svg.contains("residual, test") && svg.contains("<polyline"));
}
