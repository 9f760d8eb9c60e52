//! `gradus summary`: the layers of a model and what they cost.

use crate::args::{GraphForm, SummaryArgs};
use crate::commands::{print, print_json};
use crate::table::{bytes, short, table, thousands};
use gradus_models::{LayerRow, ModelRow, Summary, summarize};
use gradus_train::{Result, TrainError};
use serde_json::{Value, json};
use std::process::ExitCode;

/// A model with its summary.
struct Summarized {
    row: &'static ModelRow,
    input: Vec<usize>,
    summary: Summary,
}

pub(crate) fn summary(args: &SummaryArgs) -> Result<ExitCode> {
    let rows = args.models.iter().map(|name| gradus_models::find(name).map_err(|e| TrainError::Recipe(e.to_string())));
    // What the user named is looked at before any time is spent.
    let rows = rows.collect::<Result<Vec<&ModelRow>>>()?;
    let inputs = rows.iter().map(|row| fitting(row, args)).collect::<Result<Vec<_>>>()?;
    let all = rows.into_iter().zip(inputs).map(|(row, input)| summarized(row, input)).collect::<Result<Vec<_>>>()?;
    if let Some(form) = args.graph {
        all.iter().for_each(|one| print(&graph(&one.summary, form)));
    } else if args.json {
        let objects: Vec<Value> = all.iter().map(as_json).collect();
        match &objects[..] {
            [one] => print_json(one),
            several => print_json(&json!({ "models": several })),
        }
    } else if let [one] = &all[..] {
        print(&text(one));
    } else {
        print(&comparison(&all));
    }
    Ok(ExitCode::SUCCESS)
}

/// The shape of the input that is asked for, if the model takes it.
fn fitting(row: &ModelRow, args: &SummaryArgs) -> Result<Vec<usize>> {
    let Some(input) = &args.input else { return Ok(row.input.to_vec()) };
    let input = &input.0;
    let needs = row.needs(&Default::default()).map_err(|e| TrainError::Recipe(e.to_string()))?;
    match needs {
        Some(needs) => needs.check(input).map_err(|what| TrainError::Recipe(format!("model `{}` {what}", row.name)))?,
        None if input == row.input => {}
        None => {
            let (name, own) = (row.name, row.input);
            return Err(TrainError::Recipe(format!("model `{name}` takes inputs {own:?}, not {input:?}")));
        }
    }
    Ok(input.clone())
}

fn summarized(row: &'static ModelRow, input: Vec<usize>) -> Result<Summarized> {
    let model = row.build(&Default::default()).map_err(|e| TrainError::Recipe(e.to_string()))?;
    let summary = summarize(&*model, &input);
    Ok(Summarized { row, input, summary })
}

fn graph(summary: &Summary, form: GraphForm) -> String {
    match form {
        GraphForm::Text => summary.graph_text(),
        GraphForm::Dot => summary.graph_dot(),
        GraphForm::Svg => summary.graph_svg(),
    }
}

/// A quantity of every row as a column of shares, the largest marked.
fn shares(rows: &[LayerRow], of: impl Fn(&LayerRow) -> f64) -> Vec<String> {
    let total: f64 = rows.iter().map(&of).sum();
    let largest = rows.iter().map(&of).fold(0.0, f64::max);
    let cell = |row: &LayerRow| match of(row) {
        0.0 => String::new(),
        n => format!("{:.1} %{}", 100.0 * n / total, if n == largest { " *" } else { "  " }),
    };
    rows.iter().map(cell).collect()
}

fn count(n: usize) -> String {
    if n > 0 { thousands(n) } else { String::new() }
}

/// 7 or 7x5.
fn pair([down, across]: [f64; 2]) -> String {
    let one = |n: f64| format!("{}", (n * 100.0).round() / 100.0);
    if down == across { one(down) } else { format!("{}x{}", one(down), one(across)) }
}

fn text(one: &Summarized) -> String {
    let (row, s) = (one.row, &one.summary);
    let [parameters, macs, memory] = columns(&s.rows);
    let cells = s.rows.iter().enumerate().map(|(i, l)| {
        vec![
            l.path.clone(),
            l.kind.clone(),
            l.output.to_string(),
            count(l.weights),
            count(l.biases),
            parameters[i].clone(),
            if l.macs > 0 { short(l.macs as f64) } else { String::new() },
            macs[i].clone(),
            if l.activations > 0 { bytes(4 * l.activations) } else { String::new() },
            memory[i].clone(),
            l.receptive_field.map_or(String::new(), pair),
            l.stride.map_or(String::new(), pair),
        ]
    });
    let header = [
        "layer", "kind", "output", "weights", "biases", "share", "MACs", "share", "memory", "share", "field", "stride",
    ];
    let layers = table(&header, &cells.collect::<Vec<_>>(), &[3, 4, 5, 6, 7, 8, 9, 10, 11]);
    let unused = match s.unused {
        0 => String::new(),
        n => format!(", {} in layers that only training uses", thousands(n)),
    };
    format!(
        "{}: {}\n\n{layers}\n{}\n{} parameters ({} of f32): {} weights, {} biases{unused}\n\
         {} MACs, {} FLOPs (a multiply-accumulate is two; of convolutions, linear layers and matrix products)\n\
         {} of activations in f32 for one input of {:?}; fields and strides in its pixels; * is the largest share\n",
        row.name,
        row.description,
        kinds(s),
        thousands(s.parameters()),
        bytes(4 * s.parameters()),
        thousands(s.weights()),
        thousands(s.biases()),
        short(s.macs() as f64),
        short(s.flops() as f64),
        bytes(4 * s.activations()),
        one.input
    )
}

/// The columns of shares: parameters, multiply-accumulates, memory.
fn columns(rows: &[LayerRow]) -> [Vec<String>; 3] {
    [shares(rows, |l| l.parameters() as f64), shares(rows, |l| l.macs as f64), shares(rows, |l| l.activations as f64)]
}

/// Where memory, parameters and operations sit, by kind of layer.
fn kinds(s: &Summary) -> String {
    let kinds: Vec<LayerRow> = s.by_kind().into_iter().filter(|k| k.parameters() + k.activations > 0).collect();
    let [parameters, macs, memory] = columns(&kinds);
    let cells = kinds
        .iter()
        .enumerate()
        .map(|(i, k)| vec![k.kind.clone(), parameters[i].clone(), macs[i].clone(), memory[i].clone()]);
    table(&["kind", "parameters", "MACs", "memory"], &cells.collect::<Vec<_>>(), &[1, 2, 3])
}

fn comparison(all: &[Summarized]) -> String {
    let cells = all.iter().map(|one| {
        let s = &one.summary;
        let learning = s.rows.iter().filter(|l| l.weights > 0 && l.macs > 0).count();
        let field = s.rows.last().and_then(|l| l.receptive_field);
        vec![
            one.row.name.to_string(),
            one.input.iter().map(usize::to_string).collect::<Vec<_>>().join("x"),
            learning.to_string(),
            thousands(s.parameters()),
            short(s.macs() as f64),
            short(s.flops() as f64),
            bytes(4 * s.parameters()),
            bytes(4 * s.activations()),
            field.map_or(String::new(), pair),
        ]
    });
    let header = ["model", "input", "layers", "parameters", "MACs", "FLOPs", "weights", "activations", "field"];
    format!(
        "{}\nlayers: those with products of weights; FLOPs: two for a multiply-accumulate; memory in f32 for one input\n",
        table(&header, &cells.collect::<Vec<_>>(), &[2, 3, 4, 5, 6, 7, 8])
    )
}

fn as_json(one: &Summarized) -> Value {
    let s = &one.summary;
    let row = |l: &LayerRow| {
        json!({
            "layer": l.path, "kind": l.kind, "output": l.output[..], "inputs": l.inputs, "weights": l.weights,
            "biases": l.biases, "parameters": l.parameters(), "macs": l.macs, "activation_bytes": 4 * l.activations,
            "receptive_field": l.receptive_field, "stride": l.stride,
        })
    };
    json!({
        "model": one.row.name, "input": one.input, "layers": s.rows.iter().map(row).collect::<Vec<_>>(),
        "weights": s.weights(), "biases": s.biases(), "unused_parameters": s.unused, "parameters": s.parameters(),
        "macs": s.macs(), "flops": s.flops(), "activation_bytes": 4 * s.activations(),
    })
}
