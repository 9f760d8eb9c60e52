//! A picture over a plane with axes, points and a legend: decision regions, loss surfaces, maps of examples.

use super::grid::{escape, png};
use super::lines::{PALETTE, ends, number};
use gradus_tensor::Tensor;
use std::fmt::Write;
use std::ops::Range;

/// The side of the plane as it is shown.
const SIDE: f64 = 420.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 64.0;

/// A plane and what lies on it.
pub struct Plane<'a> {
    /// The title.
    pub title: &'a str,
    /// What it shows, in a line under the title.
    pub subtitle: &'a str,
    /// What the axes are, across and up.
    pub axes: [&'a str; 2],
    /// The ends of the axes.
    pub ends: [Range<f64>; 2],
    /// The ground, [3, H, W] in [0, 1], its first row at the top; white if there is none.
    pub ground: Option<Tensor>,
    /// Points and the number of their colour.
    pub points: Vec<(f64, f64, usize)>,
    /// What the colours are.
    pub legend: Vec<String>,
}

/// The colour of a number as red, green and blue in [0, 1].
pub fn color(i: usize) -> [f32; 3] {
    let c = PALETTE[i % PALETTE.len()];
    [c.0, c.1, c.2].map(|v| f32::from(v) / 255.0)
}

fn hex(i: usize) -> String {
    let c = PALETTE[i % PALETTE.len()];
    format!("#{:02x}{:02x}{:02x}", c.0, c.1, c.2)
}

impl Plane<'_> {
    /// The plane as SVG. Points that are not finite are left out.
    ///
    /// # Panics
    /// If the ground is not [3, H, W].
    pub fn svg(&self) -> String {
        let longest = self.legend.iter().map(|s| s.chars().count()).max().unwrap_or(0);
        let beside = if self.legend.is_empty() { 24.0 } else { 44.0 + 7.5 * longest as f64 };
        let (width, height) =
            ((LEFT + SIDE + beside).max(32.0 + 7.0 * self.subtitle.chars().count() as f64), TOP + SIDE + 60.0);
        let mut svg = format!(
            "<svg width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             xmlns=\"http://www.w3.org/2000/svg\" font-family=\"sans-serif\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
             <text x=\"16\" y=\"28\" font-size=\"19\" fill=\"#1f2933\">{}</text>\n\
             <text x=\"16\" y=\"48\" font-size=\"13\" fill=\"#6b7785\">{}</text>\n",
            escape(self.title),
            escape(self.subtitle)
        );
        if let Some(ground) = &self.ground {
            let _ = writeln!(
                svg,
                "<image x=\"{LEFT}\" y=\"{TOP}\" width=\"{SIDE}\" height=\"{SIDE}\" preserveAspectRatio=\"none\" \
                 href=\"data:image/png;base64,{}\"/>",
                png(ground)
            );
        }
        let _ = writeln!(
            svg,
            "<rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{SIDE}\" height=\"{SIDE}\" fill=\"none\" stroke=\"#6b7785\"/>"
        );
        self.labels(&mut svg);
        let [across, up] = &self.ends;
        let radius = if self.points.len() > 600 { 1.8 } else { 3.2 };
        for (x, y, c) in self.points.iter().filter(|(x, y, _)| x.is_finite() && y.is_finite()) {
            let px = LEFT + SIDE * (x - across.start) / (across.end - across.start);
            let py = TOP + SIDE * (up.end - y) / (up.end - up.start);
            let _ = writeln!(
                svg,
                "<circle cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"{radius}\" fill=\"{}\" stroke=\"#ffffff\" stroke-width=\"0.5\"/>",
                hex(*c)
            );
        }
        for (i, name) in self.legend.iter().enumerate() {
            let (x, y) = (LEFT + SIDE + 18.0, TOP + 12.0 + 19.0 * i as f64);
            let _ = writeln!(
                svg,
                "<circle cx=\"{x}\" cy=\"{y}\" r=\"5\" fill=\"{}\"/>\
                 <text x=\"{}\" y=\"{}\" font-size=\"12\" fill=\"#1f2933\">{}</text>",
                hex(i),
                x + 11.0,
                y + 4.0,
                escape(name)
            );
        }
        svg + "</svg>\n"
    }

    /// Numbers along the axes and what the axes are.
    fn labels(&self, svg: &mut String) {
        const TICKS: usize = 5;
        let [across, up] = &self.ends;
        let mut text = |x: f64, y: f64, anchor: &str, words: &str, turn: &str| {
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"12\" fill=\"#6b7785\" text-anchor=\"{anchor}\"{turn}>{}</text>",
                escape(words)
            );
        };
        for i in 0..TICKS {
            let part = i as f64 / (TICKS - 1) as f64;
            let at = |range: &Range<f64>| number(range.start + part * (range.end - range.start));
            text(LEFT + part * SIDE, TOP + SIDE + 18.0, "middle", &at(across), "");
            text(LEFT - 8.0, TOP + (1.0 - part) * SIDE + 4.0, "end", &at(up), "");
        }
        text(LEFT + SIDE / 2.0, TOP + SIDE + 42.0, "middle", self.axes[0], "");
        let (x, y) = (18.0, TOP + SIDE / 2.0);
        text(x, y, "middle", self.axes[1], &format!(" transform=\"rotate(-90 {x} {y})\""));
    }
}

/// The ends of both coordinates of points, with a margin.
pub fn ends_of(points: impl Iterator<Item = (f64, f64)> + Clone) -> [Range<f64>; 2] {
    [ends(points.clone().map(|p| p.0)), ends(points.map(|p| p.1))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_lie_where_they_should_and_up_is_up() {
        let plane = Plane {
            title: "a < b",
            subtitle: "s",
            axes: ["across", "up"],
            ends: [0.0..2.0, -1.0..1.0],
            ground: Some(Tensor::zeros([3, 2, 2])),
            points: vec![(1.0, 1.0, 0), (f64::NAN, 0.0, 1)],
            legend: vec!["one".into()],
        };
        let svg = plane.svg();
        for word in ["a &lt; b", "across", "rotate(-90", "data:image/png", "cx=\"280.0\" cy=\"64.0\"", "one"] {
            assert!(svg.contains(word), "no {word} in {svg}");
        }
        assert!(!svg.contains("NaN"));
        let [x, y] = ends_of([(0.0, 5.0), (10.0, 5.0)].into_iter());
        assert!(x.start < 0.0 && x.end > 10.0 && y.start < 5.0 && y.end > 5.0);
    }
}
