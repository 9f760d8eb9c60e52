//! Every layer is built, trained and saved, and the table is whole.

use std::collections::BTreeSet;

#[path = "../../examples/every_layer/main.rs"]
#[allow(dead_code)]
mod example;

#[test]
fn every_layer_is_built_trained_and_saved() {
    let _alone = crate::alone();
    let dir = tempfile::tempdir().unwrap();
    let rows = example::run(dir.path()).unwrap();
    let names: BTreeSet<&str> = rows.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), rows.len(), "a layer has two rows");
    assert!(rows.len() >= 165, "{} rows", rows.len());
    for row in &rows {
        match row.losses {
            Some((first, last)) => assert!(last < first, "{}: {first} -> {last}", row.name),
            None => assert!(["Heaviside", "Sign"].contains(&row.name), "{} was not trained", row.name),
        }
    }
    let files = std::fs::read_dir(dir.path().join("every_layer")).unwrap();
    assert_eq!(files.count(), rows.len());
}
