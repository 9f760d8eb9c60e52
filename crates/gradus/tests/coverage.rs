//! The registry of requirements: each row's id, what it is, its public paths and its test. The compiler checks the
//! paths; the tests here check that no row is missing, that every named test exists, and that `docs/coverage.md` is
//! what the registry gives (`GRADUS_WRITE_DOCS=1 cargo test -p gradus --test coverage` writes it).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// One requirement.
pub struct Row {
    id: &'static str,
    what: &'static str,
    paths: &'static [&'static str],
    /// `FILE::FUNCTION`, or `FILE` alone for an example in a doc comment.
    tests: &'static [&'static str],
}

/// Rows of a group: `B1 "what it is" [public::path, ...] ["file::test", ...];`
macro_rules! rows {
    ($($id:ident $what:literal [$($path:path),+ $(,)?] [$($test:literal),+ $(,)?];)*) => {
        pub const ROWS: &[crate::Row] = &[$(crate::Row {
            id: stringify!($id),
            what: $what,
            paths: &[$(stringify!($path)),+],
            tests: &[$($test),+],
        }),*];
        // That each path exists is checked by importing it.
        $($(#[allow(unused_imports)] use $path as _;)+)*
    };
}

mod coverage {
    pub mod activations;
}

/// Heading, letter, last number, and rows of each group; a list of numbers where not every row is built yet.
const GROUPS: &[(&str, char, &[usize], &[Row])] = &[("Activations", 'B', &[1], coverage::activations::ROWS)];

#[allow(dead_code, reason = "until the first group is whole")]
const fn numbers<const N: usize>() -> [usize; N] {
    let mut all = [0; N];
    let mut i = 0;
    while i < N {
        all[i] = i + 1;
        i += 1;
    }
    all
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn no_row_is_missing() {
    for (heading, letter, expected, rows) in GROUPS {
        let mut found: BTreeMap<usize, usize> = BTreeMap::new();
        for row in *rows {
            let number = row.id.strip_prefix(*letter).and_then(|n| n.parse().ok());
            *found.entry(number.unwrap_or_else(|| panic!("{heading}: row {}", row.id))).or_default() += 1;
        }
        for n in *expected {
            assert_eq!(found.remove(n), Some(1), "{heading}: {letter}{n} must stand once");
        }
        assert!(found.is_empty(), "{heading}: unexpected rows {found:?}");
    }
}

#[test]
fn every_named_test_exists() {
    for row in GROUPS.iter().flat_map(|g| g.3) {
        for test in row.tests {
            let (file, function) = test.split_once("::").unwrap_or((test, ""));
            let text = fs::read_to_string(root().join(file)).unwrap_or_else(|e| panic!("{}: {file}: {e}", row.id));
            let exists = match function {
                "" => text.contains("/// ```"),
                name => text.contains(&format!("fn {name}(")) && text.contains("#[test]"),
            };
            assert!(exists, "{}: no test {function:?} in {file}", row.id);
        }
    }
}

fn page() -> String {
    let mut out = String::from(
        "# Coverage\n\nEvery requirement, where it is found and what tests it. Written from the registry in \
         `crates/gradus/tests/coverage/`.\n",
    );
    for (heading, _, _, rows) in GROUPS {
        out += &format!("\n## {heading}\n\n| Row | What | Public path | Test |\n|---|---|---|---|\n");
        for row in *rows {
            let code =
                |list: &[&str]| list.iter().map(|s| format!("`{}`", s.replace(' ', ""))).collect::<Vec<_>>().join(", ");
            out += &format!("| {} | {} | {} | {} |\n", row.id, row.what, code(row.paths), code(row.tests));
        }
    }
    out
}

#[test]
fn the_page_is_up_to_date() {
    let file = root().join("docs/coverage.md");
    if std::env::var_os("GRADUS_WRITE_DOCS").is_some() {
        fs::write(&file, page()).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == page(),
        "docs/coverage.md is not what the registry gives: set GRADUS_WRITE_DOCS=1 and run this test"
    );
}
