//! The trace format of Chrome, which Perfetto reads.

use super::{Event, Kind, Profile};
use crate::io::atomic_write;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

impl Profile {
    /// Writes the spans as a trace to open in <https://ui.perfetto.dev> or `chrome://tracing`. The file is whole or
    /// absent.
    ///
    /// Each span is a complete event with its times in microseconds, and its shape, bytes, layer and pass as
    /// arguments; a counter shows the bytes held by tensors.
    ///
    /// # Errors
    /// What the file system returned.
    pub fn export_chrome_trace(&self, path: impl AsRef<Path>) -> io::Result<()> {
        atomic_write(path, |file| self.write_chrome_trace(file))
    }

    /// As [`Profile::export_chrome_trace`], to any writer.
    ///
    /// # Errors
    /// What the writer returned.
    pub fn write_chrome_trace(&self, mut out: impl Write) -> io::Result<()> {
        out.write_all(b"{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n")?;
        write!(out, "{}", json!({ "name": "process_name", "ph": "M", "pid": 1, "args": { "name": "gradus" } }))?;
        for thread in self.events.iter().map(|e| e.thread).collect::<BTreeSet<_>>() {
            let name = json!({ "name": format!("thread {thread}") });
            line(&mut out, &json!({ "name": "thread_name", "ph": "M", "pid": 1, "tid": thread, "args": name }))?;
        }
        for event in &self.events {
            line(&mut out, &complete(event))?;
        }
        let mut held: Vec<(Duration, usize)> = self.events.iter().map(|e| (e.end(), e.allocated)).collect();
        held.sort();
        held.dedup_by_key(|(_, bytes)| *bytes);
        for (at, bytes) in held {
            let args = json!({ "bytes": bytes });
            line(&mut out, &json!({ "name": "memory", "ph": "C", "ts": micros(at), "pid": 1, "args": args }))?;
        }
        out.write_all(b"\n]}\n")
    }
}

fn line(out: &mut impl Write, value: &Value) -> io::Result<()> {
    write!(out, ",\n{value}")
}

fn micros(d: Duration) -> f64 {
    d.as_nanos() as f64 / 1e3
}

fn complete(event: &Event) -> Value {
    let (name, category) = match event.kind {
        Kind::Operation => (event.name().to_string(), "operation"),
        Kind::Layer => (event.name().to_string(), "layer"),
        Kind::Backward => (format!("{} backward", event.name()), "backward"),
        Kind::Function => (event.name().to_string(), "function"),
    };
    let mut args = json!({ "bytes": event.bytes, "pass": event.pass.to_string() });
    if let Some(layer) = event.layer() {
        args["layer"] = layer.into();
    }
    if let Some(shape) = event.shape {
        args["shape"] = shape.to_vec().into();
    }
    json!({
        "name": name,
        "cat": category,
        "ph": "X",
        "ts": micros(event.start),
        "dur": micros(event.duration),
        "pid": 1,
        "tid": event.thread,
        "args": args,
    })
}
