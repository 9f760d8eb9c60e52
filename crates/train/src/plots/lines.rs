//! Lines in one chart: ROC curves, reliability, runs side by side.

use super::{Drawn, FONT, GRID, INK, MUTED, caption, draw};
use plotters::prelude::*;
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

/// A chart of lines over one pair of axes.
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
        draw((720, 460), |root| self.draw(root))
    }

    fn draw(&self, root: &super::Area) -> Drawn {
        caption(root, self.title, self.subtitle)?;
        let across = |x: f64| if self.log_x { x.log10() } else { x };
        let shown = |points: &[(f64, f64)]| -> Vec<(f64, f64)> {
            points.iter().map(|&(x, y)| (across(x), y)).filter(|(x, y)| x.is_finite() && y.is_finite()).collect()
        };
        let series: Vec<(&str, Vec<(f64, f64)>)> = self.series.iter().map(|(n, p)| (n.as_str(), shown(p))).collect();
        let all = || series.iter().flat_map(|(_, points)| points);
        let [x, y] = self.ends.clone().unwrap_or_else(|| [ends(all().map(|p| p.0)), ends(all().map(|p| p.1))]);
        let area = root.margin(60, 8, 8, 16);
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
        for (i, (name, points)) in series.iter().enumerate() {
            let color = PALETTE[i % PALETTE.len()];
            let dots = if points.len() <= 30 { 2 } else { 0 };
            chart
                .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)).point_size(dots))?
                .label(*name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
        }
        if !series.is_empty() {
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::MiddleRight)
                .background_style(WHITE.mix(0.85))
                .border_style(GRID)
                .label_font((FONT, 12).into_font().color(&INK))
                .draw()?;
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
        let empty = Lines { series: vec![], log_x: true, ..lines }.svg();
        assert!(empty.contains("<svg"));
        assert_eq!(["0", "0.5", "12", "1.0e5"].map(String::from), [0.0, 0.5, 12.0, 1e5].map(number));
    }
}
