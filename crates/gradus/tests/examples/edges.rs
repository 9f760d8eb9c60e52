//! The claims of the example `edges`.

#[path = "../../examples/edges.rs"]
#[allow(dead_code)]
mod example;

#[test]
fn sobel_finds_the_edges_and_high_pass_kernels_ignore_even_surfaces() {
    let _alone = crate::alone();
    let dir = tempfile::tempdir().unwrap();
    let report = example::run(dir.path(), None).unwrap();
    assert_eq!(report.sobel_outputs, 2);
    assert!(report.edges_found > 0.95, "{}", report.edges_found);
    assert_eq!(report.false_edges, 0);
    assert_eq!(report.responses.len(), 5);
    for r in &report.responses {
        let even = r.on_even_surface.expect("the drawing has even surfaces");
        if r.name == "sum_of_1.5" {
            // Half as bright again.
            assert!((r.mean / report.mean - 1.5).abs() < 0.02 && even > 1.0, "{} {}", r.mean, even);
        } else {
            assert!(r.kernel_sum.abs() < 1e-6 && even < 1e-6 && r.mean.abs() < 0.02, "{}: {even} {}", r.name, r.mean);
            assert!(r.largest > 0.3, "{}: {}", r.name, r.largest);
        }
    }
    assert_eq!(report.files.len(), 7);
    for file in &report.files {
        assert!(image::open(file).unwrap().width() >= 150, "{}", file.display());
    }
}

#[test]
fn a_picture_of_ones_own_is_filtered() {
    let _alone = crate::alone();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bars.png");
    image::GrayImage::from_fn(40, 30, |x, _| image::Luma([if x / 8 % 2 == 0 { 0 } else { 255 }])).save(&file).unwrap();
    let report = example::run(dir.path(), Some(&file)).unwrap();
    let named = |name: &str| report.responses.iter().find(|r| r.name == name).unwrap();
    // Bars that stand upright: no gradient downwards.
    assert_eq!((named("sobel_down").largest, named("sobel_right").largest), (0.0, 4.0));
    assert_eq!((report.edges_found, report.false_edges), (1.0, 0));
    assert!(example::run(dir.path(), Some(&dir.path().join("missing.png"))).is_err());
}
