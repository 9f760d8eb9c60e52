//! `gradus analyze`: looking into a trained model.

use crate::args::AnalyzeArgs;
use crate::commands::{open, print, print_json};
use crate::table::table;
use gradus_train::Result;
use gradus_train::analysis::{ANALYSES, Study, find_analyses};
use serde_json::{Map, Value, json};
use std::process::ExitCode;

pub(crate) fn analyze(args: &AnalyzeArgs) -> Result<ExitCode> {
    let wanted = find_analyses(&args.what)?;
    let Some(run) = &args.run else {
        let rows: Vec<Vec<String>> = ANALYSES.iter().map(|a| vec![a.name.into(), a.description.into()]).collect();
        print(&table(&["analysis", "what it shows"], &rows, &[]));
        return Ok(ExitCode::SUCCESS);
    };
    let trained = open(run)?;
    let dir = match (&args.out, trained.checkpoint.parent()) {
        (Some(dir), _) => dir.clone(),
        (None, parent) => parent.unwrap_or_else(|| std::path::Path::new(".")).join("analysis"),
    };
    let study = Study::new(&trained, args.data.as_deref(), args.examples, args.seed.into())?;
    let mut object = Map::new();
    for analysis in wanted {
        // Of all that there are, those that this model has nothing for are left out.
        if args.what.is_empty() && study.fits(analysis).is_err() {
            continue;
        }
        let (numbers, pictures) = study.run(analysis, &dir)?;
        if args.json {
            object.insert(analysis.name.into(), json!({ "numbers": numbers, "pictures": pictures }));
            continue;
        }
        print(&format!("{}: {}\n", analysis.name, analysis.description));
        print(&text(&numbers));
        for picture in pictures {
            print(&format!("  drew {}\n", picture.display()));
        }
    }
    if args.json {
        print_json(&Value::Object(object));
    }
    Ok(ExitCode::SUCCESS)
}

/// Numbers as a table or as lines of words; long lists are left to `--json`.
fn text(numbers: &Value) -> String {
    match numbers {
        Value::Array(rows) if !rows.is_empty() => {
            let rows: Vec<Vec<(String, String)>> = rows.iter().map(|row| cells("", row)).collect();
            let header: Vec<&str> = rows[0].iter().map(|(name, _)| name.as_str()).collect();
            let right: Vec<usize> = (0..header.len()).filter(|&i| rows[0][i].1.parse::<f64>().is_ok()).collect();
            let body: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|(_, v)| v.clone()).collect()).collect();
            table(&header, &body, &right)
        }
        other => cells("", other).iter().map(|(name, value)| format!("  {name}: {value}\n")).collect(),
    }
}

/// The fields of an object, and of those within it, with what they hold.
fn cells(within: &str, value: &Value) -> Vec<(String, String)> {
    const LONG: usize = 12;
    let number = |v: &Value| match (v.as_i64(), v.as_f64()) {
        (Some(whole), _) => whole.to_string(),
        (None, Some(x)) if x == 0.0 || (1e-3..1e4).contains(&x.abs()) => format!("{x:.4}"),
        (None, Some(x)) => format!("{x:.2e}"),
        (None, None) => "-".to_string(), // JSON has no word for what is not finite
    };
    match value {
        Value::Object(fields) => {
            let path = |name: &str| if within.is_empty() { name.to_string() } else { format!("{within} {name}") };
            // Names come before numbers.
            let (names, rest): (Vec<_>, Vec<_>) = fields.iter().partition(|(_, v)| v.is_string());
            names.into_iter().chain(rest).flat_map(|(name, v)| cells(&path(&name.replace('_', " ")), v)).collect()
        }
        Value::Array(list) if list.is_empty() || list.len() > LONG => vec![],
        Value::Array(list) => {
            vec![(within.to_string(), list.iter().map(number).collect::<Vec<_>>().join(" "))]
        }
        Value::String(words) => vec![(within.to_string(), words.clone())],
        v => vec![(within.to_string(), number(v))],
    }
}
