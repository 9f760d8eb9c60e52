//! `gradus list`: what can be named.

use crate::args::{ListArgs, Section};
use crate::commands::{print, print_json};
use crate::table::short;
use gradus_data::DATASETS;
use gradus_models::{MODELS, ModelRow};
use gradus_train::{RECIPES, Recipe, Result, SOURCES};
use serde_json::{Map, Value, json};
use std::process::ExitCode;

/// A section's title and rows: name, what stands between it and the description, description.
type Rows = (Section, &'static str, Vec<(String, String, String)>);

pub(crate) fn list(args: &ListArgs) -> Result<ExitCode> {
    let wanted = |section: &Rows| args.section.is_none_or(|wanted| wanted == section.0);
    let sections: Vec<Rows> = [recipes()?, models(), data(), sources()].into_iter().filter(wanted).collect();
    if args.json {
        let object = sections.iter().map(|(section, _, rows)| {
            let rows = rows.iter().map(|(n, _, d)| json!({ "name": n, "description": d }));
            let (key, rows) = match section {
                Section::Recipes => ("recipes", rows.collect()),
                Section::Models => ("models", MODELS.iter().map(model_json).collect()),
                Section::Data => ("data_sets", rows.collect()),
                Section::Sources => ("sources", rows.collect()),
            };
            (key.to_string(), Value::Array(rows))
        });
        print_json(&Value::Object(object.collect::<Map<_, _>>()));
        return Ok(ExitCode::SUCCESS);
    }
    let width = sections.iter().flat_map(|(_, _, rows)| rows).map(|(n, _, _)| n.len()).max().unwrap_or(0);
    for (_, title, rows) in &sections {
        print(&format!("{title}\n"));
        for (name, middle, description) in rows {
            print(&format!("  {name:<width$}  {middle}{description}\n"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn recipes() -> Result<Rows> {
    let all: Vec<Recipe> = RECIPES.iter().map(|(name, _)| Recipe::load(name, &[] as &[&str])).collect::<Result<_>>()?;
    let rows = all.into_iter().map(|r| (r.name, String::new(), r.description));
    Ok((Section::Recipes, "recipes", rows.collect()))
}

fn models() -> Rows {
    let row = |m: &ModelRow| {
        let (parameters, macs) = (short(m.parameters() as f64), short(m.macs() as f64));
        (m.name.to_string(), format!("{parameters:>8} {macs:>8}  "), m.description.to_string())
    };
    (Section::Models, "models (parameters, multiply-accumulates)", MODELS.iter().map(row).collect())
}

fn model_json(m: &ModelRow) -> Value {
    json!({
        "name": m.name, "description": m.description, "input": m.input, "classes": m.classes,
        "parameters": m.parameters(), "macs": m.macs(), "flops": 2 * m.macs(),
    })
}

fn data() -> Rows {
    let row = |d: &gradus_data::DatasetInfo| (d.name.to_string(), String::new(), d.description.to_string());
    (Section::Data, "data sets", DATASETS.iter().map(row).collect())
}

fn sources() -> Rows {
    let row = |&(name, description): &(&str, &str)| (name.to_string(), String::new(), description.to_string());
    (Section::Sources, "sources", SOURCES.iter().map(row).collect())
}
