//! The claims of the example `dilation`.

#[path = "../../examples/dilation.rs"]
#[allow(dead_code)]
mod example;

#[test]
fn dilation_widens_the_field_at_the_same_cost() {
    let _alone = crate::alone();
    let dir = tempfile::tempdir().unwrap();
    let fields = example::run(dir.path()).unwrap();
    let [plain, dilated, holes, strided] = &fields[..] else { panic!("{} stacks", fields.len()) };
    for f in &fields {
        assert_eq!((f.span, f.parameters), (f.expected, 27), "{:?}", f.dilations);
    }
    assert_eq!((plain.span, plain.seen), (7, 49));
    // Every pixel of the wider field is seen, with as many weights, multiplications and outputs.
    assert_eq!((dilated.span, dilated.seen), (15, 225));
    assert_eq!((dilated.multiplications, dilated.output), (plain.multiplications, plain.output));
    assert_eq!(dilated.output, example::SIZE);
    // Equal dilations leave holes.
    assert_eq!((holes.span, holes.seen), (13, 49));
    // A stride widens the field too, but costs resolution.
    assert_eq!((strided.span, strided.output), (15, 9));
    let svg = std::fs::read_to_string(dir.path().join("dilation.svg")).unwrap();
    assert!(svg.contains("dilations 1, 2, 4") && svg.contains("</svg>"));
}
