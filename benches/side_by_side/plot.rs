//! A scaling curve as an SVG: two logarithmic axes, a line for each competitor, a dashed one for the floor.

use crate::bench::{Bench, Measured, Plot};
use crate::harness::Who;
use crate::report::number;
use crate::tokens::NAMES;
use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 560.0;
const TOP: f64 = 52.0;
const BOTTOM: f64 = 356.0;

/// Told apart by the colour-blind, too.
const COLOURS: [&str; 3] = ["#d55e00", "#0072b2", "#009e73"];
const FLOOR_COLOUR: &str = "#777777";

struct Series {
    name: String,
    colour: &'static str,
    dashed: bool,
    points: Vec<(f64, f64)>,
}

/// The plot, if it has something to show.
pub(crate) fn svg(bench: &Bench, plot: &Plot) -> Option<String> {
    let rows: Vec<&Measured> = bench
        .sections
        .iter()
        .flat_map(|(_, rows)| rows)
        .filter(|measured| measured.row.on.is_some_and(|(file, _)| file == plot.file))
        .collect();
    let series = series(&rows);
    let points = || series.iter().flat_map(|line| &line.points);
    points().next()?;
    let mut places: Vec<f64> = points().map(|(x, _)| *x).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    let x = Axis::over(places.iter().map(|x| place(*x)), (LEFT, RIGHT), 1.04);
    let y = Axis::over(points().map(|(_, y)| *y), (BOTTOM, TOP), 1.35);

    let mut out = String::new();
    write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"13\" fill=\"#222222\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"28\" font-size=\"16\" font-weight=\"bold\">{}</text>\n",
        escaped(plot.title)
    )
    .ok()?;
    for value in y.ticks() {
        let at = y.at(value);
        grid(&mut out, (LEFT, at), (RIGHT, at));
        label(&mut out, (LEFT - 8.0, at + 4.5), "end", &number_short(value));
    }
    for value in &places {
        let at = x.at(place(*value));
        grid(&mut out, (at, BOTTOM), (at, TOP));
        label(&mut out, (at, BOTTOM + 20.0), "middle", &number_short(*value));
    }
    label(&mut out, (f64::midpoint(LEFT, RIGHT), BOTTOM + 44.0), "middle", plot.x_label);
    let middle = f64::midpoint(TOP, BOTTOM);
    writeln!(
        out,
        "<text x=\"20\" y=\"{middle}\" text-anchor=\"middle\" transform=\"rotate(-90 20 {middle})\">{}</text>",
        escaped(plot.y_label)
    )
    .ok()?;
    for (number, line) in series.iter().enumerate() {
        draw(&mut out, line, &x, &y);
        legend(&mut out, line, TOP + 14.0 + 34.0 * number as f64);
    }
    out.push_str("</svg>\n");
    Some(out)
}

/// Zero has no place on a logarithmic axis; it stands where one would be.
fn place(x: f64) -> f64 {
    x.max(1.0)
}

fn series(rows: &[&Measured]) -> Vec<Series> {
    let mut all: Vec<Series> = Vec::new();
    for measured in rows {
        let Some((_, x)) = measured.row.on else { continue };
        for (who, figure) in &measured.figures {
            let Some(figure) = figure else { continue };
            let (name, colour, dashed) = match who {
                Who::Token(name) => (*name, COLOURS[NAMES.iter().position(|n| n == name).unwrap_or(0)], false),
                Who::Floor(name) => (*name, FLOOR_COLOUR, true),
            };
            let point = (x, *figure);
            match all.iter_mut().find(|line| line.name == name) {
                Some(line) => line.points.push(point),
                None => all.push(Series { name: name.to_owned(), colour, dashed, points: vec![point] }),
            }
        }
    }
    all
}

/// A logarithmic axis.
struct Axis {
    least: f64,
    most: f64,
    pixels: (f64, f64),
}

impl Axis {
    fn over(values: impl Iterator<Item = f64>, pixels: (f64, f64), margin: f64) -> Self {
        let (least, most) = values.fold((f64::INFINITY, 0.0f64), |(least, most), v| (least.min(v), most.max(v)));
        let least = least.max(1e-3);
        Self { least: least / margin, most: most.max(least) * margin, pixels }
    }

    fn at(&self, value: f64) -> f64 {
        let share = (value.max(1e-9) / self.least).ln() / (self.most / self.least).ln();
        self.pixels.0 + share * (self.pixels.1 - self.pixels.0)
    }

    /// Powers of ten, and what lies between them if there would be few.
    fn ticks(&self) -> Vec<f64> {
        let steps: &[f64] = if self.most / self.least > 500.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let decades = self.least.log10().floor() as i32..=self.most.log10().ceil() as i32;
        decades
            .flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade)))
            .filter(|value| (self.least..=self.most).contains(value))
            .collect()
    }
}

fn grid(out: &mut String, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        out,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#dddddd\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn label(out: &mut String, at: (f64, f64), anchor: &str, text: &str) {
    let _ =
        writeln!(out, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>", at.0, at.1, escaped(text));
}

fn draw(out: &mut String, line: &Series, x: &Axis, y: &Axis) {
    let points: Vec<(f64, f64)> = line.points.iter().map(|(px, py)| (x.at(place(*px)), y.at(*py))).collect();
    let path: Vec<String> = points.iter().map(|(px, py)| format!("{px:.1},{py:.1}")).collect();
    let dashes = if line.dashed { " stroke-dasharray=\"6 4\"" } else { "" };
    let _ = writeln!(
        out,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2.5\"{dashes}/>",
        path.join(" "),
        line.colour
    );
    for (px, py) in points {
        let _ = writeln!(out, "<circle cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"3.5\" fill=\"{}\"/>", line.colour);
    }
}

fn legend(out: &mut String, line: &Series, y: f64) {
    let dashes = if line.dashed { " stroke-dasharray=\"6 4\"" } else { "" };
    let (from, to) = (RIGHT + 18.0, RIGHT + 46.0);
    let _ = writeln!(
        out,
        "<line x1=\"{from}\" y1=\"{y}\" x2=\"{to}\" y2=\"{y}\" stroke=\"{}\" stroke-width=\"2.5\"{dashes}/>",
        line.colour
    );
    label(out, (to + 6.0, y + 4.5), "start", &line.name);
    if let Some((_, last)) = line.points.last() {
        let text = format!("last: {} ns", number(*last));
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"11\" fill=\"#666666\">{text}</text>",
            to + 6.0,
            y + 18.5
        );
    }
}

fn number_short(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{}M", v / 1e6),
        v if v >= 1e3 => format!("{}k", v / 1e3),
        v => format!("{}", (v * 1000.0).round() / 1000.0),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
