//! Rules that hold for the source itself: which crate may know which, how long files and functions may be,
//! and that nothing names a path of somebody's machine.
//!
//! A file or function over its limit carries `// tidy: long, because <reason>` in its first five lines or in
//! the five lines above it.

use std::fs;
use std::path::{Path, PathBuf};

/// Each crate and the crates of this workspace it may depend on.
const MAY_USE: [(&str, &[&str]); 9] = [
    ("tensor", &[]),
    ("derive", &[]),
    ("nn", &["tensor", "derive"]),
    ("data", &["tensor"]),
    ("models", &["tensor", "nn"]),
    ("train", &["tensor", "nn", "data", "models"]),
    ("bench", &["tensor", "nn"]),
    ("cli", &["tensor", "nn", "data", "models", "train", "bench"]),
    ("gradus", &["tensor", "nn", "data", "models", "train", "cli"]),
];
const FILE_LINES: usize = 800;
const MODEL_FILE_LINES: usize = 350;
const FUNCTION_LINES: usize = 80;
const MARKER: &str = concat!("// tidy: ", "long, because ");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Every file under the workspace that belongs to the repository.
fn files() -> Vec<PathBuf> {
    fn walk(dir: &Path, out: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            let name = entry.file_name();
            let path = entry.path();
            if path.is_dir() {
                if !["target", ".git", "runs", "__pycache__", "data"].contains(&name.to_str().unwrap_or(""))
                    || is_crate(&path)
                {
                    walk(&path, out);
                }
            } else if name != ".git" {
                out.push(path);
            }
        }
    }
    fn is_crate(path: &Path) -> bool {
        path.join("Cargo.toml").exists()
    }
    let mut out = Vec::new();
    walk(&root(), &mut out);
    out.sort();
    out
}

fn sources() -> Vec<(PathBuf, String)> {
    let rust: Vec<_> = files()
        .into_iter()
        .filter(|p| p.extension().is_some_and(|e| e == "rs"))
        .map(|p| (p.clone(), fs::read_to_string(&p).unwrap()))
        .collect();
    assert!(rust.len() > 9, "only {} source files found", rust.len());
    rust
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

fn excused(lines: &[&str]) -> bool {
    lines.iter().any(|l| l.trim_start().strip_prefix(MARKER).is_some_and(|reason| reason.len() > 10))
}

/// The source with the content of comments, strings and character literals blanked; lines stay where they are.
fn blank(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = bytes.to_vec();
    let mut i = 0;
    while i < bytes.len() {
        let rest = &bytes[i..];
        let end = if rest.starts_with(b"//") {
            i + rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            i + source[i..].find("*/").map_or(rest.len(), |n| n + 2)
        } else if let Some(hashes) = raw_string(bytes, i) {
            let close = format!("\"{}", "#".repeat(hashes));
            let body = i + hashes + 2;
            body + source[body..].find(&close).map_or(bytes.len() - body, |n| n + close.len())
        } else if rest[0] == b'"' {
            i + quoted(rest, b'"')
        } else if rest[0] == b'\'' && (rest.get(1) == Some(&b'\\') || char_literal(&source[i..])) {
            i + quoted(rest, b'\'')
        } else {
            i += 1;
            continue;
        };
        out[i..end].iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b' ');
        i = end;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The number of `#` of a raw string that starts at `i`.
fn raw_string(bytes: &[u8], i: usize) -> Option<usize> {
    let word_before = i > 0 && (bytes[i - 1].is_ascii_alphanumeric() || bytes[i - 1] == b'_') && bytes[i - 1] != b'b';
    if bytes[i] != b'r' || word_before {
        return None;
    }
    let hashes = bytes[i + 1..].iter().take_while(|&&b| b == b'#').count();
    (bytes.get(i + 1 + hashes) == Some(&b'"')).then_some(hashes)
}

/// Whether the text starts with a one-character literal, not with a lifetime.
fn char_literal(text: &str) -> bool {
    text.chars().nth(2) == Some('\'')
}

/// The length of a quoted literal, quotes included.
fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut i = 1;
    while i < rest.len() && rest[i] != quote {
        i += if rest[i] == b'\\' { 2 } else { 1 };
    }
    (i + 1).min(rest.len())
}

/// Name, first line (from 0) and number of lines of each function with a body.
fn functions(source: &str) -> Vec<(String, usize, usize)> {
    let code = blank(source);
    let bytes = code.as_bytes();
    let line_of = |at: usize| code[..at].matches('\n').count();
    let mut found = Vec::new();
    for (start, _) in code.match_indices("fn ") {
        let alone = start == 0 || !(bytes[start - 1].is_ascii_alphanumeric() || bytes[start - 1] == b'_');
        let name: String = code[start + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if !alone || name.is_empty() {
            continue;
        }
        let (mut nested, mut braces) = (0i32, 0i32);
        for (i, &b) in bytes.iter().enumerate().skip(start) {
            match b {
                b'(' | b'[' => nested += 1,
                b')' | b']' => nested -= 1,
                b';' if nested == 0 && braces == 0 => break,
                b'{' => braces += 1,
                b'}' => {
                    braces -= 1;
                    if braces == 0 {
                        let first = line_of(start);
                        found.push((name, first, line_of(i) - first + 1));
                        break;
                    }
                }
                _ => {}
            }
        }
    }
    found
}

#[test]
fn crates_depend_in_one_direction() {
    let mut wrong = Vec::new();
    for entry in fs::read_dir(root().join("crates")).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let Some((_, allowed)) = MAY_USE.iter().find(|(n, _)| *n == name) else {
            wrong.push(format!("crate `{name}` has no row in MAY_USE"));
            continue;
        };
        let manifest: toml::Table =
            toml::from_str(&fs::read_to_string(entry.path().join("Cargo.toml")).unwrap()).unwrap();
        let Some(dependencies) = manifest.get("dependencies").and_then(|d| d.as_table()) else { continue };
        for dependency in dependencies.keys() {
            let Some(inner) = dependency.strip_prefix("gradus-").or((dependency == "gradus").then_some("gradus"))
            else {
                continue;
            };
            if !allowed.contains(&inner) {
                wrong.push(format!("`{name}` may not depend on `{inner}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_are_short_enough() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        let limit = if path.starts_with(root().join("crates/models/src")) { MODEL_FILE_LINES } else { FILE_LINES };
        if lines.len() > limit && !excused(&lines[..5]) {
            wrong.push(format!("{}: {} lines, limit {limit}", shown(&path), lines.len()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn functions_are_short_enough() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (name, first, length) in functions(&text) {
            if length > FUNCTION_LINES && !excused(&lines[first.saturating_sub(5)..first]) {
                wrong.push(format!(
                    "{}:{}: `{name}` has {length} lines, limit {FUNCTION_LINES}",
                    shown(&path),
                    first + 1
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_names_a_path_of_one_machine() {
    let forbidden = [
        concat!("../", "shared"),
        concat!("/", "work/"),
        concat!("/", "root/"),
        concat!("/", "opt/"),
        concat!("/", "home/"),
    ];
    let mut wrong = Vec::new();
    for path in files() {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (number, line) in text.lines().enumerate() {
            for word in forbidden {
                let absolute = |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-}".contains(c));
                if line.match_indices(word).any(|(at, _)| absolute(at)) {
                    wrong.push(format!("{}:{}: `{word}`", shown(&path), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_function_counter_reads_rust() {
    let source = "fn a() {\n  let s = \"}\"; // }\n  let c = '}';\n  let r = r#\"}\"#;\n}\ntrait T { fn b(x: [u8; 2]); }\nfn c<'a>(x: &'a str) {}\n";
    assert_eq!(functions(source), [("a".into(), 0, 5), ("c".into(), 6, 1)]);
    assert!(excused(&["    // tidy: long, because it is one table"]));
    assert!(!excused(&["// tidy: long, because "]));
}
