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
    let options = EvaluateOptions { data: args.data.clone(), ..EvaluateOptions::default() };
    let Evaluation::Classes(measured) = trained.evaluate(&options)? else {
        return Err(TrainError::Input(format!("{} foretells numbers; an analysis needs classes", run.display())));
    };
    let dir = match (&args.out, trained.checkpoint.parent()) {
        (Some(dir), _) => dir.clone(),
        (None, parent) => parent.unwrap_or_else(|| std::path::Path::new(".")).join("analysis"),
    };
    let study = Study::new(&trained, &measured, args.examples, args.seed.into())?;
    let mut object = Map::new();
    for analysis in wanted {
        let (numbers, pictures) = study.run(analysis, &dir)?;
        if args.json {
            object.insert(analysis.name.into(), json!({ "numbers": numbers, "pictures": pictures }));
            continue;
        }
        print(&format!("{}: {}\n", analysis.name, analysis.description));
        for line in lines(&numbers) {
            print(&format!("  {line}\n"));
        }
        for picture in pictures {
            print(&format!("  drew {}\n", picture.display()));
        }
    }
    if args.json {
        print_json(&Value::Object(object));
    }
    Ok(ExitCode::SUCCESS)
}

/// Numbers as lines of words; long lists are left to `--json`.
fn lines(numbers: &Value) -> Vec<String> {
    const LONG: usize = 12;
    let short = |v: &Value| match v {
        Value::Number(n) => n.as_f64().map_or_else(|| n.to_string(), |x| format!("{}", (x * 1e6).round() / 1e6)),
        Value::String(s) => s.clone(),
        Value::Array(list) if list.len() <= LONG && list.iter().all(Value::is_number) => {
            list.iter().map(|x| format!("{:.4}", x.as_f64().unwrap_or(f64::NAN))).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    };
    let fields = |object: &Map<String, Value>| {
        object
            .iter()
            .filter(|(_, v)| !v.is_object())
            .map(|(k, v)| format!("{k} {}", short(v)))
            .collect::<Vec<_>>()
            .join(", ")
    };
    match numbers {
        Value::Array(rows) => rows
            .iter()
            .filter_map(Value::as_object)
            .map(|row| {
                let inner = row.values().filter_map(Value::as_object).map(fields);
                inner.chain([fields(row)]).filter(|s| !s.is_empty()).collect::<Vec<_>>().join(", ")
            })
            .collect(),
        Value::Object(object) => {
            let inner = object.iter().filter_map(|(k, v)| Some((k, v.as_object()?)));
            let inner = inner.filter(|(_, v)| !v.values().any(|x| x.as_array().is_some_and(|a| a.len() > LONG)));
            let own = fields(object);
            inner.map(|(k, v)| format!("{k}: {}", fields(v))).chain((!own.is_empty()).then_some(own)).collect()
        }
        _ => vec![],
    }
}
