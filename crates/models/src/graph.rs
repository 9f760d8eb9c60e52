//! The graph of a forward pass as plain data, read from its DOT text.

use gradus_tensor::Tensor;
use std::collections::HashMap;

/// A tensor of the graph: a leaf or the result of an operation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Vertex {
    /// The operation, or `leaf`.
    pub op: String,
    /// The path of the layer it ran in, or the name of a leaf.
    pub place: String,
    pub shape: Vec<usize>,
    /// What it was computed from, as indices.
    pub inputs: Vec<usize>,
}

/// The vertices behind `y` from the oldest to the newest.
pub(crate) fn vertices(y: &Tensor) -> Vec<Vertex> {
    let dot = y.graph_dot();
    let mut labels: Vec<(u64, &str)> = Vec::new();
    let mut edges: Vec<(u64, u64)> = Vec::new();
    for line in dot.lines() {
        let Some(rest) = line.strip_prefix("  n") else { continue };
        let Some((id, rest)) = rest.split_once(' ') else { continue };
        let Ok(id) = id.parse() else { continue };
        if let Some(to) = rest.strip_prefix("-> n") {
            edges.extend(to.trim_end_matches(';').parse().map(|to: u64| (id, to)));
        } else if let Some(label) = rest.strip_prefix("[label=\"") {
            labels.push((id, label));
        }
    }
    labels.sort_unstable();
    let index: HashMap<u64, usize> = labels.iter().enumerate().map(|(i, (id, _))| (*id, i)).collect();
    let mut all: Vec<Vertex> = labels.iter().map(|(_, label)| vertex(label)).collect();
    // The text lists the edges into a vertex in the order of the operation's arguments.
    for (from, to) in edges {
        all[index[&to]].inputs.push(index[&from]);
    }
    all
}

/// Reads "conv in layer `features.0` [1, 64, 55, 55] f32 #7" and "leaf `fc.weight` [10, 3] f32 #2".
fn vertex(label: &str) -> Vertex {
    let (head, tail) = label.rsplit_once('[').unwrap_or((label, "]"));
    let numbers = tail.split(']').next().unwrap_or_default();
    let mut quoted = head.split('`');
    let op = quoted.next().unwrap_or_default().split(' ').next().unwrap_or_default();
    Vertex {
        op: op.to_string(),
        place: quoted.next().unwrap_or_default().to_string(),
        shape: numbers.split(", ").filter_map(|n| n.parse().ok()).collect(),
        inputs: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_nn::{Forward, Linear, Module};

    #[test]
    fn a_linear_layer_and_a_sum() {
        let layers = gradus_nn::sequential![Linear::new(3, 2)];
        assert_eq!(layers.named_parameters().len(), 2);
        let x = Tensor::ones([4, 3]).requires_grad_(true);
        x.set_name("input");
        let found = vertices(&(layers.forward(&x) + 1.0));
        let places: Vec<(&str, &str)> = found.iter().map(|v| (&*v.op, &*v.place)).collect();
        assert_eq!(places, [("leaf", "0.weight"), ("leaf", "0.bias"), ("leaf", "input"), ("linear", "0"), ("add", "")]);
        assert_eq!((&found[3].inputs[..], &found[3].shape[..]), (&[2, 0, 1][..], &[4, 2][..]));
        assert!(vertices(&Tensor::ones([2])).is_empty());
    }
}
