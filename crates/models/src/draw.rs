//! The graph of a model's layers as text, as DOT and as SVG.

use crate::{LayerRow, Summary};
use std::fmt::Write;

impl Summary {
    /// A line for each row: its number, layer, kind and shape, and the rows it takes.
    pub fn graph_text(&self) -> String {
        let mut out = String::new();
        for (i, row) in self.rows.iter().enumerate() {
            let inputs: Vec<String> = row.inputs.iter().map(|i| format!("#{i}")).collect();
            let from = if inputs.is_empty() { String::new() } else { format!(" <- {}", inputs.join(", ")) };
            let _ = writeln!(out, "#{i} {} {}{from}", title(row), row.output);
        }
        out
    }

    /// The graph in Graphviz' DOT language; edges point where data flows.
    pub fn graph_dot(&self) -> String {
        let mut out = String::from("digraph model {\n  node [shape=box, fontname=\"sans-serif\"];\n");
        for (i, row) in self.rows.iter().enumerate() {
            let label = format!("{}\n{}", title(row), row.output);
            let _ = writeln!(out, "  n{i} [label={label:?}, style=filled, fillcolor=\"{}\"];", colour(row));
        }
        for (i, row) in self.rows.iter().enumerate() {
            for from in &row.inputs {
                let _ = writeln!(out, "  n{from} -> n{i};");
            }
        }
        out + "}\n"
    }

    /// The graph as a picture: rows from top to bottom, and an arc for each edge that skips some.
    pub fn graph_svg(&self) -> String {
        let (height, step, width) = (26, 38, 420);
        let longest = self.edges().map(|(from, to)| to - from).max().unwrap_or(1);
        let bow = |skipped: usize| 16.0 * ((skipped as f64).log2() + 1.0);
        let full = (width as f64 + 40.0 + bow(longest)) as usize;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{full}\" height=\"{}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
            self.rows.len() * step + 20
        );
        let top = |row: usize| 10 + row * step;
        for (from, to) in self.edges() {
            let (y, end) = (top(from) + height, top(to));
            let path = match to - from {
                1 => format!("M{x} {y}V{end}", x = width / 2),
                skipped => {
                    let (x, out) = (10 + width, (10 + width) as f64 + 1.3 * bow(skipped));
                    let (y, end) = (y - height / 2, end + height / 2);
                    format!("M{x} {y}C{out} {y} {out} {end} {x} {end}")
                }
            };
            let _ = writeln!(out, "<path d=\"{path}\" fill=\"none\" stroke=\"#555\"/>");
        }
        for (i, row) in self.rows.iter().enumerate() {
            let (y, fill) = (top(i), colour(row));
            let text = format!("{} {}", title(row), row.output);
            let text = text.replace('&', "&amp;").replace('<', "&lt;");
            let _ = writeln!(
                out,
                "<rect x=\"10\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"4\" fill=\"{fill}\" \
                 stroke=\"#555\"/><text x=\"18\" y=\"{}\">{text}</text>",
                y + 17
            );
        }
        out + "</svg>\n"
    }

    fn edges(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.rows.iter().enumerate().flat_map(|(to, row)| row.inputs.iter().map(move |&from| (from, to)))
    }
}

fn title(row: &LayerRow) -> String {
    if row.path.is_empty() { row.kind.clone() } else { format!("{}: {}", row.path, row.kind) }
}

/// By what the row costs: products, learnt numbers alone, or neither.
fn colour(row: &LayerRow) -> &'static str {
    match (row.macs, row.parameters()) {
        (1.., _) => "#dbe9f6",
        (0, 1..) => "#e5f3dc",
        _ => "#f4f4f4",
    }
}

#[cfg(test)]
mod tests {
    use crate::{ModelConfig, ResNetConfig, summarize};

    #[test]
    fn a_residual_block_is_drawn_with_its_skip_connection() {
        let model = ResNetConfig { inplanes: 4, layers: vec![1, 1, 1], ..Default::default() }.init();
        let summary = summarize(&model, &[3, 32, 32]);
        let text = summary.graph_text();
        let add = text.lines().find(|line| line.contains("layer1.0: add")).unwrap();
        // The pooled input and what the second batch norm gives.
        assert_eq!(add.matches('#').count(), 3, "{text}");
        let edges: usize = summary.rows.iter().map(|row| row.inputs.len()).sum();
        let dot = summary.graph_dot();
        assert_eq!((dot.matches("->").count(), dot.matches("label=").count()), (edges, summary.rows.len()), "{dot}");
        let svg = summary.graph_svg();
        assert_eq!((svg.matches("<path").count(), svg.matches("<text").count()), (edges, summary.rows.len()));
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        assert!(summary.rows.iter().skip(1).all(|row| !row.inputs.is_empty()), "{text}");
    }
}
