//! What the example on the paths of optimisers claims.

#[path = "../../examples/optimizer_paths.rs"]
#[allow(dead_code)]
mod example;

#[test]
fn momentum_skips_a_local_minimum_and_more_is_not_always_better() {
    let _alone = crate::alone();
    let out = tempfile::tempdir().unwrap();
    let report = example::run(out.path()).unwrap();
    let svg = std::fs::read_to_string(out.path().join("optimizer_paths.svg")).unwrap();
    assert!(svg.contains("<polyline") && svg.contains("shallow minimum"));
    let [plain, weak, good, strong, rmsprop, adam] = &report.walks[..] else { panic!("six optimisers") };
    assert!((report.lowest + 0.155).abs() < 1e-3, "{}", report.lowest);
    // The same rate, start and steps: only enough momentum leaves the shallow minimum on the right.
    for w in [plain, weak, rmsprop, adam] {
        let [x, _] = w.points[200];
        assert!((0.85..1.0).contains(&x) && w.settled.is_none(), "{} ends at {x}", w.name);
    }
    assert!(good.points[200][0] < -1.0 && good.settled.is_some_and(|s| s < 60), "{:?}", good.settled);
    // It went over the ridge between the two, which the others never reached.
    let crossed = |w: &example::Walk| w.points.iter().any(|p| p[0] < 0.0);
    assert!(crossed(good) && ![plain, weak, rmsprop, adam].into_iter().any(crossed));
    // More momentum: not settled after all these steps.
    assert!(strong.settled.is_none() && strong.heights[200] > good.heights[200] + 0.01, "{}", strong.heights[200]);
    // Larger batches have less variance, in proportion to 1 / B.
    let [first, .., last] = &report.scatter[..] else { panic!("several sizes") };
    assert!(report.scatter.windows(2).all(|w| w[1].variance < w[0].variance / 2.0));
    let ratio = first.variance / last.variance / (last.batch / first.batch) as f64;
    assert!((0.6..1.6).contains(&ratio), "{ratio}");
}
