//! Lines in one chart: ROC curves, reliability, runs side by side.

use super::{Drawn, FONT, GRID, INK, MUTED, caption, draw, text};
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;
use std::ops::Range;

pub(super) const PALETTE: [RGBColor; 10] = [
    RGBColor(0x2f, 0x6f, 0xde),
    RGBColor(0xe0, 0x7a, 0x1f),
    RGBColor(0x2a, 0x9d, 0x5c),
    RGBColor(0xc2, 0x3b, 0x56),
    RGBColor(0x7d, 0x56, 0xc4),
    RGBColor(0x12, 0x8f, 0xa8),
    RGBColor(0x9a, 0x6a, 0x2f),
    RGBColor(0xd8, 0x5f, 0xb4),
    RGBColor(0x5f, 0x7a, 0x1e),
    RGBColor(0x4b, 0x55, 0x63),
];

/// Lines that have colours of their own; more take theirs from a scale, in order.
const SCALE: [RGBColor; 4] = [PALETTE[0], PALETTE[4], PALETTE[3], PALETTE[1]];
/// Width of the chart without the names of its lines, height, and names that fit beside it.
const SIZE: (i32, i32) = (600, 460);
const NAMES: usize = 21;

/// The colour of line `i` of `n`.
fn color_of(i: usize, n: usize) -> RGBColor {
    if n <= PALETTE.len() {
        return PALETTE[i];
    }
    let at = i as f64 / (n - 1) as f64 * (SCALE.len() - 1) as f64;
    let (from, part) = ((at as usize).min(SCALE.len() - 2), at.fract() + (at as usize / (SCALE.len() - 1)) as f64);
    let mix = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * part).round() as u8;
    let (a, b) = (SCALE[from], SCALE[from + 1]);
    RGBColor(mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}

/// A chart of lines over one pair of axes.
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    /// The title.
    pub title: &'a str,
    /// What it shows, in a line under the title.
    pub subtitle: &'a str,
    /// What the axes are, across and up.
    pub axes: [&'a str; 2],
    /// Names and points.
    pub series: Vec<(String, Vec<(f64, f64)>)>,
    /// The ends of both axes; nothing for those of the points.
    pub ends: Option<[Range<f64>; 2]>,
    /// Whether the axis across is logarithmic.
    pub log_x: bool,
    /// Whether a grey diagonal marks what is to be expected.
    pub diagonal: bool,
}

impl Lines<'_> {
    /// The chart as SVG. Points that are not finite are left out.
    pub fn svg(&self) -> String {
        let longest = self.series.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0) as i32;
        let beside = if self.series.is_empty() { 16 } else { 40 + 7 * longest.max(8) };
        draw(((SIZE.0 + beside) as u32, SIZE.1 as u32), |root| self.draw(root, beside))
    }

    /// The names of the lines beside the chart, where they cover none; some of them if there are many.
    fn names(&self, root: &super::Area) -> Drawn {
        let n = self.series.len();
        let shown = n.min(NAMES);
        for row in 0..shown {
            let i = if shown < n { row * (n - 1) / (shown - 1) } else { row };
            let (x, y) = (SIZE.0, 72 + 17 * row as i32);
            root.draw(&PathElement::new([(x, y), (x + 18, y)], color_of(i, n).stroke_width(2)))?;
            text(root, &self.series[i].0, (x + 24, y), 12, INK, HPos::Left)?;
        }
        if shown < n {
            text(root, &format!("{shown} of {n}"), (SIZE.0, 72 + 17 * shown as i32), 12, MUTED, HPos::Left)?;
        }
        Ok(())
    }

    fn draw(&self, root: &super::Area, beside: i32) -> Drawn {
        caption(root, self.title, self.subtitle)?;
        self.names(root)?;
        let across = |x: f64| if self.log_x { x.log10() } else { x };
        let shown = |points: &[(f64, f64)]| -> Vec<(f64, f64)> {
            points.iter().map(|&(x, y)| (across(x), y)).filter(|(x, y)| x.is_finite() && y.is_finite()).collect()
        };
        let series: Vec<(&str, Vec<(f64, f64)>)> = self.series.iter().map(|(n, p)| (n.as_str(), shown(p))).collect();
        let all = || series.iter().flat_map(|(_, points)| points);
        let [x, y] = self.ends.clone().unwrap_or_else(|| [ends(all().map(|p| p.0)), ends(all().map(|p| p.1))]);
        let area = root.margin(60, 8, 8, beside + 8);
        let mut chart = ChartBuilder::on(&area)
            .x_label_area_size(40)
            .y_label_area_size(62)
            .build_cartesian_2d(x.clone(), y.clone())?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(MUTED)
            .label_style((FONT, 12).into_font().color(&MUTED))
            .x_label_formatter(&|&v| if self.log_x { format!("{:.1e}", 10f64.powf(v)) } else { number(v) })
            .y_label_formatter(&|&v| number(v))
            .x_desc(self.axes[0])
            .y_desc(self.axes[1])
            .axis_desc_style((FONT, 12).into_font().color(&MUTED))
            .draw()?;
        if self.diagonal {
            let line = [(x.start, y.start), (x.end, y.end)];
            chart.draw_series(LineSeries::new(line, MUTED.mix(0.5).stroke_width(1)))?;
        }
        for (i, (_, points)) in series.iter().enumerate() {
            let color = color_of(i, series.len());
            let dots = if points.len() <= 30 { 2 } else { 0 };
            chart.draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)).point_size(dots))?;
        }
        Ok(())
    }
}

/// The ends of values with a margin; 0 to 1 where there are none.
pub(super) fn ends(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if !low.is_finite() {
        return 0.0..1.0;
    }
    let margin = 0.04 * (high - low).max(1e-9 + 1e-3 * low.abs());
    low - margin..high + margin
}

/// A label without digits that say nothing.
pub(super) fn number(v: f64) -> String {
    match v.abs() {
        a if a < 1e-9 => "0".into(),
        a if !(1e-3..1e4).contains(&a) => format!("{v:.1e}"),
        _ => {
            let text = format!("{v:.3}");
            text.trim_end_matches('0').trim_end_matches('.').to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_names_its_lines_and_leaves_out_what_is_not_finite() {
        let lines = Lines {
            title: "runs",
            subtitle: "loss",
            axes: ["epoch", "loss"],
            series: vec![("one".into(), vec![(1.0, 2.0), (2.0, f64::NAN), (3.0, 1.0)]), ("none".into(), vec![])],
            ends: None,
            log_x: false,
            diagonal: true,
        };
        let svg = lines.svg();
        for word in ["runs", "one", "none", "epoch", "<polyline"] {
            assert!(svg.contains(word), "no {word}");
        }
        assert!(!svg.contains("NaN"));
        // Names stand to the right of the axes.
        let right = svg.split("<polyline").count();
        assert!(svg.contains("x=\"624\"") && right > 3, "{svg}");
        let many = (0..50).map(|i| (format!("layer {i}"), vec![(0.0, i as f64), (1.0, 0.0)])).collect();
        let many = Lines { series: many, ..lines.clone() }.svg();
        for word in ["layer 0<", "layer 49<", "21 of 50", "#2F6FDE", "#E07A1F"] {
            assert!(many.contains(word) || many.replace('\n', "").contains(word), "no {word} in {many}");
        }
        let empty = Lines { series: vec![], log_x: true, ..lines }.svg();
        assert!(empty.contains("<svg"));
        assert_eq!(["0", "0.5", "12", "1.0e5"].map(String::from), [0.0, 0.5, 12.0, 1e5].map(number));
    }
}
