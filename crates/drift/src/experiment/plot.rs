//! Satisfaction over iterations as a picture: a line a method, its interval as a whisker, the base model as a band.

use super::figures::{Figure, Row};
use std::fmt::Write;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 18.0;
const BOTTOM: f64 = 40.0;

/// Okabe and Ito's palette, apart for every kind of colour vision; dashes tell the lines apart without colour.
const LINES: [(&str, &str); 6] = [
    ("#0072b2", ""),
    ("#d55e00", "6 3"),
    ("#009e73", "2 3"),
    ("#cc79a7", "8 3 2 3"),
    ("#e69f00", "1 3"),
    ("#56b4e9", "10 4"),
];

/// One file that needs nothing else; readable on light and on dark ground. `None` without an iteration.
pub fn plot(rows: &[Row]) -> Option<String> {
    let (base, others) = rows.split_first()?;
    let mut methods: Vec<(&str, Vec<&Row>)> = Vec::new();
    for row in others {
        match methods.iter_mut().find(|(name, _)| *name == row.method) {
            Some((_, rows)) => rows.push(row),
            None => methods.push((&row.method, vec![row])),
        }
    }
    let steps = methods.iter().map(|(_, rows)| rows.len()).max()?;
    let all = || rows.iter().map(|row| row.satisfied);
    let low = all().map(|figure| figure.low).fold(1.0, f64::min).max(0.0);
    let high = all().map(|figure| figure.high).fold(0.0, f64::max).min(1.0);
    // Whole steps of five points around all intervals.
    let (low, high) = ((20.0 * low).floor() / 20.0, ((20.0 * high).ceil() / 20.0).max(low + 0.05));
    let x = |at: f64| LEFT + (WIDTH - LEFT - RIGHT) * at / (steps as f64 + 0.2);
    let y = |share: f64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (share - low) / (high - low);

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Satisfaction by method \
         and iteration\">\n<style>text {{ font: 12px system-ui, sans-serif; fill: #5b636d }} .grid {{ stroke: #8b949e44 }} \
         .base {{ fill: #8b949e33 }} @media (prefers-color-scheme: dark) {{ text {{ fill: #9aa4af }} }}</style>\n"
    );
    let ticks = ((high - low) * 20.0).round() as usize;
    for tick in (0..=ticks).step_by(ticks.div_ceil(8).max(1)) {
        let share = low + tick as f64 / 20.0;
        let at = y(share);
        _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>",
            WIDTH - RIGHT
        );
        _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{:.0} %</text>",
            LEFT - 8.0,
            at + 4.0,
            100.0 * share
        );
    }
    let Figure { mean, low, high, .. } = base.satisfied;
    _ = writeln!(
        svg,
        "<rect class=\"base\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"/><text x=\"{}\" y=\"{:.1}\">base</text>",
        y(high),
        WIDTH - RIGHT - LEFT,
        y(low) - y(high),
        LEFT + 6.0,
        y(mean) - 4.0
    );
    for (at, name) in methods.first()?.1.iter().map(|row| &row.model).enumerate() {
        _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            x(at as f64 + 1.0),
            HEIGHT - 16.0,
            name
        );
    }
    for (at, (method, rows)) in methods.iter().enumerate() {
        let (color, dashes) = LINES[at % LINES.len()];
        // A little apart, so that whiskers do not cover each other.
        let aside = 0.06 * (at as f64 - (methods.len() as f64 - 1.0) / 2.0);
        let points: Vec<(f64, &Figure)> =
            rows.iter().enumerate().map(|(k, row)| (x(k as f64 + 1.0 + aside), &row.satisfied)).collect();
        let path: Vec<String> = std::iter::once((x(0.0), &base.satisfied))
            .chain(points.iter().copied())
            .map(|(x, figure)| format!("{x:.1},{:.1}", y(figure.mean)))
            .collect();
        _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{color}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\" points=\"{}\"/>",
            path.join(" ")
        );
        for (x, figure) in &points {
            let (low, mean, high) = (y(figure.low), y(figure.mean), y(figure.high));
            _ = writeln!(
                svg,
                "<line stroke=\"{color}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{low:.1}\" y2=\"{high:.1}\"/>"
            );
            _ = writeln!(svg, "<circle fill=\"{color}\" cx=\"{x:.1}\" cy=\"{mean:.1}\" r=\"4\"/>");
        }
        let (left, top) = (WIDTH - RIGHT + 14.0, TOP + 14.0 + 20.0 * at as f64);
        _ = writeln!(
            svg,
            "<line stroke=\"{color}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\" x1=\"{left}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/><text \
             x=\"{}\" y=\"{top}\">{method}</text>",
            left + 24.0,
            top - 4.0,
            top - 4.0,
            left + 32.0
        );
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_method_within_the_picture() {
        let row = |method: &str, model: &str, mean: f64| Row {
            method: method.into(),
            model: model.into(),
            satisfied: Figure { mean, low: mean - 0.05, high: mean + 0.05, runs: 1, prompts: 9 },
            change: None,
            words: 0.0,
            repetition: 0.0,
            refusal: 0.0,
            distinct_2: 0.0,
        };
        let rows = [
            row("base", "base", 0.2),
            row("drift", "iter-1", 0.3),
            row("drift", "iter-2", 0.4),
            row("spin", "iter-1", 0.1),
        ];
        let svg = plot(&rows).unwrap();
        assert_eq!((svg.matches("<polyline").count(), svg.matches("<circle").count()), (2, 3));
        for at in svg.match_indices("cy=\"").map(|(at, _)| &svg[at + 4..]) {
            let y: f64 = at[..at.find('"').unwrap()].parse().unwrap();
            assert!((TOP..=HEIGHT - BOTTOM).contains(&y), "{y}");
        }
        assert_eq!(plot(&rows[..1]), None);
    }
}
