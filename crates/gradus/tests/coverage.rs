//! The registry of requirements: each row's id, what it is, its public paths and its test. The compiler checks the
//! paths; the tests here check that no row is missing, that every named test exists, and that `docs/coverage.md` is
//! what the registry gives (`GRADUS_WRITE_DOCS=1 cargo test -p gradus --test coverage` writes it).

use std::fs;
use std::ops::RangeInclusive;
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
    pub mod analysis;
    pub mod attention;
    pub mod conv;
    pub mod data;
    pub mod evaluation;
    pub mod losses;
    pub mod models;
    pub mod norm;
    pub mod optim;
    pub mod recurrent;
    pub mod units;
}

/// A group of rows, which may be registered in several places.
struct Group {
    heading: &'static str,
    letter: char,
    /// The numbers that must be there.
    numbers: RangeInclusive<usize>,
    /// Those of them that are not built yet.
    later: &'static [usize],
    rows: &'static [&'static [Row]],
}

const GROUPS: &[Group] = &[
    Group { heading: "Activations", letter: 'B', numbers: 1..=15, later: &[], rows: &[coverage::activations::ROWS] },
    Group {
        heading: "Layers",
        letter: 'C',
        numbers: 1..=31,
        later: &[],
        rows: &[coverage::conv::ROWS, coverage::units::ROWS],
    },
    Group { heading: "Losses", letter: 'D', numbers: 1..=21, later: &[], rows: &[coverage::losses::ROWS] },
    Group { heading: "Optimisers", letter: 'E', numbers: 1..=21, later: &[], rows: &[coverage::optim::ROWS] },
    Group {
        heading: "Initialisers",
        letter: 'F',
        numbers: 1..=8,
        later: &[],
        rows: &[coverage::norm::initialisers::ROWS, coverage::recurrent::state::ROWS],
    },
    Group {
        heading: "Normalisation",
        letter: 'G',
        numbers: 1..=12,
        later: &[],
        rows: &[coverage::norm::normalisation::ROWS],
    },
    Group {
        heading: "Models of pictures",
        letter: 'J',
        numbers: 1..=15,
        later: &[],
        rows: &[coverage::models::classification::ROWS],
    },
    Group {
        heading: "Dense prediction",
        letter: 'K',
        numbers: 1..=6,
        later: &[],
        rows: &[coverage::models::dense::ROWS],
    },
    Group {
        heading: "Sequences",
        letter: 'O',
        numbers: 1..=29,
        later: &[22, 23, 24, 25, 26, 27, 28],
        rows: &[coverage::recurrent::ROWS, coverage::conv::tables::ROWS],
    },
    Group {
        heading: "Data",
        letter: 'H',
        numbers: 1..=33,
        later: &[],
        rows: &[coverage::data::ROWS, coverage::analysis::data::ROWS],
    },
    Group {
        heading: "Practice",
        letter: 'I',
        numbers: 1..=14,
        later: &[],
        rows: &[coverage::evaluation::practice::ROWS],
    },
    Group {
        heading: "Evaluation and analysis",
        letter: 'Q',
        numbers: 1..=28,
        later: &[],
        rows: &[coverage::evaluation::measures::ROWS, coverage::analysis::models::ROWS, coverage::models::costs::ROWS],
    },
    Group {
        heading: "Adversarial examples",
        letter: 'R',
        numbers: 1..=5,
        later: &[4],
        rows: &[coverage::evaluation::adversarial::ROWS],
    },
    Group {
        heading: "Rules of thumb",
        letter: 'T',
        numbers: 1..=17,
        later: &[],
        rows: &[coverage::evaluation::rules::ROWS],
    },
    Group { heading: "Attention", letter: 'P', numbers: 2..=19, later: &[8, 9], rows: &[coverage::attention::ROWS] },
];

impl Group {
    fn sorted(&self) -> Vec<(usize, &'static Row)> {
        let number = |row: &Row| row.id.strip_prefix(self.letter).and_then(|n| n.parse().ok());
        let found = self.rows.iter().flat_map(|rows| rows.iter());
        let mut all: Vec<_> =
            found.map(|r| (number(r).unwrap_or_else(|| panic!("{}: row {}", self.heading, r.id)), r)).collect();
        all.sort_by_key(|r| r.0);
        all
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn no_row_is_missing() {
    for group in GROUPS {
        let found: Vec<usize> = group.sorted().iter().map(|r| r.0).collect();
        let must: Vec<usize> = group.numbers.clone().filter(|n| !group.later.contains(n)).collect();
        let missing: Vec<_> = must.iter().filter(|n| !found.contains(n)).collect();
        assert!(missing.is_empty(), "{}: rows {missing:?} are missing", group.heading);
        let strange: Vec<_> = found.iter().filter(|n| !group.numbers.contains(n)).collect();
        assert!(strange.is_empty(), "{}: there are no rows {strange:?}", group.heading);
        assert!(found.windows(2).all(|w| w[0] < w[1]), "{}: a row stands twice in {found:?}", group.heading);
    }
}

#[test]
fn every_named_test_exists() {
    for row in GROUPS.iter().flat_map(Group::sorted).map(|r| r.1) {
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
    for group in GROUPS {
        out += &format!("\n## {}\n\n| Row | What | Public path | Test |\n|---|---|---|---|\n", group.heading);
        for (_, row) in group.sorted() {
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
