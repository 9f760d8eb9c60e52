//! Pictures of a recurrent layer: folded, as a state machine, and unfolded over its steps.

use super::cell::RecurrentCell;
use super::stack::Recurrent;
use std::fmt::Write;

impl<C: RecurrentCell> Recurrent<C> {
    /// The folded view in Graphviz' DOT language: a state machine, in which every layer feeds itself a step later.
    ///
    /// ```
    /// let dot = gradus_nn::RNN::new(3, 4).folded_dot();
    /// assert!(dot.contains("l0 -> l0 [label=\"1 step\"]"));
    /// ```
    pub fn folded_dot(&self) -> String {
        let mut out = head();
        self.edges(&mut out, "");
        for k in 0..self.cells().len() {
            let label = if self.is_reverse(k) { "1 step, from the end" } else { "1 step" };
            let _ = writeln!(out, "  {0} -> {0} [label=\"{label}\"];", self.name(k));
        }
        out + "}\n"
    }

    /// The unfolded view in Graphviz' DOT language: one copy of every layer for each of `steps` steps, all with the
    /// same parameters. The chain rule follows its edges backwards.
    ///
    /// (The graph of the operations themselves is that of an output:
    /// [`Tensor::graph_text`](gradus_tensor::Tensor::graph_text) and
    /// [`Tensor::graph_dot`](gradus_tensor::Tensor::graph_dot).)
    ///
    /// ```
    /// let dot = gradus_nn::RNN::new(3, 4).unfolded_dot(3);
    /// assert!(dot.contains("l0_1 -> l0_2") && dot.contains("x_2 -> l0_2") && !dot.contains("l0_3"));
    /// ```
    pub fn unfolded_dot(&self, steps: usize) -> String {
        let mut out = head();
        for t in 0..steps {
            self.edges(&mut out, &format!("_{t}"));
        }
        for k in 0..self.cells().len() {
            let name = self.name(k);
            for t in 1..steps {
                let (from, to) = if self.is_reverse(k) { (t, t - 1) } else { (t - 1, t) };
                let _ = writeln!(out, "  {name}_{from} -> {name}_{to};");
            }
        }
        out + "}\n"
    }

    /// What flows within one step: input, layers, output.
    fn edges(&self, out: &mut String, step: &str) {
        let directions = self.num_directions();
        for k in 0..self.cells().len() {
            let name = self.name(k);
            if k < directions {
                let _ = writeln!(out, "  x{step} -> {name}{step};");
            } else {
                let below = (k / directions - 1) * directions;
                for b in below..below + directions {
                    let _ = writeln!(out, "  {}{step} -> {name}{step};", self.name(b));
                }
            }
            if k + directions >= self.cells().len() {
                let _ = writeln!(out, "  {name}{step} -> y{step};");
            }
        }
    }

    fn is_reverse(&self, k: usize) -> bool {
        k % self.num_directions() == 1
    }

    fn name(&self, k: usize) -> String {
        format!("l{}{}", k / self.num_directions(), if self.is_reverse(k) { "_reverse" } else { "" })
    }
}

fn head() -> String {
    "digraph recurrent {\n  rankdir=BT;\n  node [shape=box, fontname=\"sans-serif\"];\n".to_string()
}
