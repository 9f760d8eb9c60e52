//! Sums over the spans: by operation and by layer.

use super::{Event, Kind, Pass, Profile};
use crate::Shape;
use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::time::Duration;

/// All calls of one operation, function or backward rule in one pass.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OpStats {
    /// Its name; of layers, what they do outside operations is one row, `(layers)`.
    pub name: String,
    /// What it stands for.
    pub kind: Kind,
    /// The part of the training step it ran in.
    pub pass: Pass,
    /// How often it ran.
    pub calls: usize,
    /// Time in it without what it called.
    pub self_time: Duration,
    /// Time in it.
    pub total_time: Duration,
    /// Part of the self time of everything.
    pub share: f64,
    /// Bytes that its results and what it kept took from the allocator, without what it called.
    pub bytes: usize,
    /// The largest shape of a result.
    pub shape: Option<Shape>,
    /// How many different shapes its results had.
    pub shapes: usize,
}

impl OpStats {
    /// The name as tables show it: `conv backward` for the backward rule of `conv`.
    pub fn label(&self) -> String {
        match self.kind {
            Kind::Backward => format!("{} backward", self.name),
            _ => self.name.clone(),
        }
    }
}

/// One row for each operation, the longest self time first. Shown as a table.
#[derive(Clone, Debug)]
pub struct KeyAverages(Vec<OpStats>);

impl Deref for KeyAverages {
    type Target = [OpStats];
    fn deref(&self) -> &[OpStats] {
        &self.0
    }
}

impl KeyAverages {
    /// The first `rows` rows as a table, and what the others come to.
    pub fn table(&self, rows: usize) -> String {
        let header = ["operation", "pass", "calls", "self ms", "self %", "total ms", "us a call", "MiB", "result"];
        let cells = self.iter().take(rows).map(|s| {
            vec![
                s.label(),
                s.pass.to_string(),
                s.calls.to_string(),
                millis(s.self_time),
                format!("{:.1}", 100.0 * s.share),
                millis(s.total_time),
                format!("{:.1}", s.total_time.as_secs_f64() * 1e6 / s.calls as f64),
                mebibytes(s.bytes),
                shapes(s),
            ]
        });
        let mut text = columns(&header, &cells.collect::<Vec<_>>(), 2..8);
        let rest = self.get(rows..).unwrap_or_default();
        if !rest.is_empty() {
            let share: f64 = rest.iter().map(|s| s.share).sum();
            text += &format!("and {} more with {:.1} % of the time\n", rest.len(), 100.0 * share);
        }
        text
    }
}

impl fmt::Display for KeyAverages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.table(usize::MAX))
    }
}

/// All calls of one layer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LayerStats {
    /// Its path in the model.
    pub path: String,
    /// How often it ran forwards.
    pub calls: usize,
    /// Time in its forward pass, with the layers inside it.
    pub forward: Duration,
    /// Time in the backward rules of its own operations, without the layers inside it.
    pub backward: Duration,
    /// Bytes taken from the allocator in the forward pass.
    pub forward_bytes: usize,
    /// Bytes taken from the allocator in the backward rules.
    pub backward_bytes: usize,
}

impl Profile {
    /// Calls, self and total time, and bytes of each operation, function and backward rule, sorted by self time. The
    /// self times sum to the recorded time.
    pub fn key_averages(&self) -> KeyAverages {
        let mut rows: Vec<OpStats> = Vec::new();
        let mut at: HashMap<(&str, Kind, Pass), usize> = HashMap::new();
        let mut seen: Vec<Vec<Shape>> = Vec::new();
        for e in &self.events {
            let name = if e.kind == Kind::Layer { "(layers)" } else { e.name() };
            let i = *at.entry((name, e.kind, e.pass)).or_insert_with(|| {
                seen.push(Vec::new());
                rows.push(OpStats::empty(name, e));
                rows.len() - 1
            });
            rows[i].add(e);
            if let Some(shape) = e.shape
                && !seen[i].contains(&shape)
            {
                seen[i].push(shape);
            }
        }
        let all = self.recorded().as_secs_f64();
        for (row, seen) in rows.iter_mut().zip(&seen) {
            row.share = if all > 0.0 { row.self_time.as_secs_f64() / all } else { 0.0 };
            row.shape = seen.iter().copied().max_by_key(Shape::numel);
            row.shapes = seen.len();
        }
        rows.sort_by(|a, b| b.self_time.cmp(&a.self_time).then_with(|| a.name.cmp(&b.name)));
        KeyAverages(rows)
    }

    /// The time in spans: of all threads together, without what no span was open for.
    pub fn recorded(&self) -> Duration {
        self.events.iter().map(|e| e.self_duration).sum()
    }

    /// Calls, time forwards and backwards, and bytes of each layer, in the order in which they first ran.
    pub fn layers(&self) -> Vec<LayerStats> {
        let mut rows: Vec<LayerStats> = Vec::new();
        let mut at: HashMap<&str, usize> = HashMap::new();
        for e in self.events.iter().filter(|e| !e.repeated) {
            let path = match e.kind {
                Kind::Layer if e.pass == Pass::Forward => Some(e.name()),
                Kind::Backward => e.layer(),
                _ => None,
            };
            let Some(path) = path else { continue };
            let i = *at.entry(path).or_insert_with(|| {
                rows.push(LayerStats::empty(path));
                rows.len() - 1
            });
            let row = &mut rows[i];
            if e.kind == Kind::Layer {
                row.calls += 1;
                row.forward += e.duration;
                row.forward_bytes += e.bytes;
            } else {
                row.backward += e.duration;
                row.backward_bytes += e.bytes;
            }
        }
        rows
    }
}

impl LayerStats {
    fn empty(path: &str) -> LayerStats {
        let zero = Duration::ZERO;
        LayerStats {
            path: path.to_string(),
            calls: 0,
            forward: zero,
            backward: zero,
            forward_bytes: 0,
            backward_bytes: 0,
        }
    }
}

impl OpStats {
    fn empty(name: &str, e: &Event) -> OpStats {
        OpStats {
            name: name.to_string(),
            kind: e.kind,
            pass: e.pass,
            calls: 0,
            self_time: Duration::ZERO,
            total_time: Duration::ZERO,
            share: 0.0,
            bytes: 0,
            shape: None,
            shapes: 0,
        }
    }

    fn add(&mut self, e: &Event) {
        self.calls += 1;
        self.self_time += e.self_duration;
        self.bytes += e.self_bytes;
        match e.kind {
            Kind::Layer => self.total_time += e.self_duration,
            _ if !e.repeated => self.total_time += e.duration,
            _ => (),
        }
    }
}

fn millis(d: Duration) -> String {
    format!("{:.3}", d.as_secs_f64() * 1e3)
}

fn mebibytes(n: usize) -> String {
    format!("{:.2}", n as f64 / 1_048_576.0)
}

fn shapes(s: &OpStats) -> String {
    match (s.shape, s.shapes) {
        (None, _) => String::new(),
        (Some(shape), 1) => shape.to_string(),
        (Some(shape), n) => format!("{shape} and {} more", n - 1),
    }
}

/// Rows of text under a header, columns as wide as their widest cell; those in `right` are aligned right.
#[doc(hidden)]
pub fn columns(header: &[&str], rows: &[Vec<String>], right: std::ops::Range<usize>) -> String {
    let width = |c: usize| rows.iter().map(|r| r[c].chars().count()).fold(header[c].chars().count(), usize::max);
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let mut text = String::new();
    let mut line = |cell: &dyn Fn(usize) -> String| {
        let cells = (0..header.len()).map(|c| match right.contains(&c) {
            true => format!("{:>w$}", cell(c), w = widths[c]),
            false => format!("{:<w$}", cell(c), w = widths[c]),
        });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    };
    line(&|c| header[c].to_string());
    line(&|c| "-".repeat(widths[c]));
    rows.iter().for_each(|r| line(&|c| r[c].clone()));
    text
}
