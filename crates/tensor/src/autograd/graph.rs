//! The graph as text and as DOT.

use super::Vertex;
use crate::Tensor;
use std::collections::HashSet;
use std::fmt::Write;
use std::sync::Arc;

impl Tensor {
    /// The graph that computed this tensor, one operation a line, results before their inputs.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// let w = Tensor::ones([3]).requires_grad_(true);
    /// let text = (&w * 2.0).sum().graph_text();
    /// assert!(text.starts_with("sum ["), "{text}");
    /// ```
    pub fn graph_text(&self) -> String {
        let mut out = String::new();
        let Some(v) = &self.0.vertex else { return "(no graph)\n".to_string() };
        let mut seen = HashSet::new();
        let mut stack = vec![(v.clone(), 0usize)];
        while let Some((v, depth)) = stack.pop() {
            let again = !seen.insert(v.seq);
            let note = if again && !v.is_leaf { format!(" (see #{} above)", v.seq) } else { String::new() };
            let _ = writeln!(out, "{:indent$}{}{note}", "", label(&v), indent = depth * 2);
            if !again {
                stack.extend(v.edges.iter().rev().flatten().map(|e| (e.clone(), depth + 1)));
            }
        }
        out
    }

    /// The graph that computed this tensor in Graphviz' DOT language; edges point where data flows.
    pub fn graph_dot(&self) -> String {
        let mut out = String::from("digraph gradus {\n  rankdir=BT;\n  node [shape=box, fontname=\"sans-serif\"];\n");
        let mut seen = HashSet::new();
        let mut stack: Vec<Arc<Vertex>> = self.0.vertex.iter().cloned().collect();
        while let Some(v) = stack.pop() {
            if !seen.insert(v.seq) {
                continue;
            }
            let style = if v.is_leaf { ", style=filled, fillcolor=\"#dbe9f6\"" } else { "" };
            let _ = writeln!(out, "  n{} [label={:?}{style}];", v.seq, label(&v));
            for e in v.edges.iter().flatten() {
                let _ = writeln!(out, "  n{} -> n{};", e.seq, v.seq);
                stack.push(e.clone());
            }
        }
        out.push_str("}\n");
        out
    }
}

fn label(v: &Vertex) -> String {
    format!("{} {} {} #{}", v.describe(), v.shape, v.dtype, v.seq)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_parts_are_drawn_once() {
        let w = Tensor::ones([2]).requires_grad_(true);
        w.set_name("fc.weight");
        let h = w.exp();
        let y = (&h * &h).sum();
        assert_eq!(y.graph_text().matches("see #").count(), 1);
        let dot = y.graph_dot();
        assert_eq!(dot.matches("label=").count(), 4, "{dot}");
        assert!(dot.contains("leaf `fc.weight` [2] f32"), "{dot}");
    }
}
