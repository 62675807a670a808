//! The table, in Markdown.

use crate::bench::{Bench, Measured, Ratio};
use crate::harness::Who;
use crate::options::{Mode, cores};
use crate::scenarios::memory::Footprint;
use crate::tokens::{NAMES, REFERENCE};
use std::fmt::Write;
use std::fs;
use std::process::Command;

/// What the figures were taken on.
pub(crate) struct Machine {
    description: String,
    load_before: String,
}

impl Machine {
    pub(crate) fn look() -> Self {
        let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model =
            processor.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let compiler =
            Command::new("rustc").arg("-V").output().ok().and_then(|output| String::from_utf8(output.stdout).ok());
        let description = format!(
            "{}, {} cores, {} {}, {}, tokio-util {}",
            model.unwrap_or("unknown processor"),
            cores(),
            std::env::consts::OS,
            kernel.trim(),
            compiler.as_deref().map_or("rustc unknown", str::trim),
            locked_version("tokio-util").as_deref().unwrap_or("unknown"),
        );
        Self { description, load_before: load() }
    }
}

fn load() -> String {
    let averages = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    averages.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn locked_version(name: &str) -> Option<String> {
    let lock = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).ok()?;
    let entry = lock.split("[[package]]").find(|entry| entry.contains(&format!("name = \"{name}\"\n")))?;
    Some(entry.split("version = \"").nth(1)?.split('"').next()?.to_owned())
}

pub(crate) fn markdown(bench: &Bench, machine: &Machine, footprints: &[Footprint]) -> String {
    let mut out = String::new();
    let mode = match bench.options.mode {
        Mode::Test => "test run (figures mean nothing)",
        Mode::Quick => "quick run",
        Mode::Full => "full run",
    };
    writeln!(out, "# cancel-tree, side by side: {mode}\n\n{}.", machine.description).expect("a string takes it");
    writeln!(out, "Load average before and after: {} / {}.\n", machine.load_before, load()).expect("a string takes it");
    for (title, rows) in bench.sections.iter().filter(|(_, rows)| !rows.is_empty()) {
        writeln!(out, "## {title}\n").expect("a string takes it");
        writeln!(out, "| | | {} | floor | ÷ tokio-util | ÷ floor | target |", NAMES.join(" | "))
            .expect("a string takes it");
        writeln!(out, "|---|---|---:|---:|---:|---:|---:|---:|---|").expect("a string takes it");
        for row in rows {
            out.push_str(&line(row));
        }
        out.push('\n');
    }
    if !footprints.is_empty() {
        memory(&mut out, footprints);
    }
    out
}

fn line(measured: &Measured) -> String {
    let row = &measured.row;
    let (unit, scale) = row.unit;
    let cell = |figure: &Option<f64>| figure.map_or("overflows".to_owned(), |figure| number(figure / scale));
    let mut cells = vec![row.title.clone(), unit.to_owned()];
    for name in NAMES {
        let found = measured.figures.iter().find(|(who, _)| *who == Who::Token(name));
        cells.push(found.map_or("–".to_owned(), |(_, figure)| cell(figure)));
    }
    let reference =
        measured.figures.iter().find(|(who, _)| *who == Who::Token(REFERENCE)).and_then(|(_, figure)| *figure);
    let to_reference = |floor: Option<f64>| {
        floor.zip(reference).map_or(String::new(), |(floor, reference)| format!("; {}", number(floor / reference)))
    };
    let floors: Vec<String> = measured
        .figures
        .iter()
        .filter_map(|(who, figure)| match who {
            Who::Floor(name) => Some(format!("{} ({name}{})", cell(figure), to_reference(*figure))),
            Who::Token(_) => None,
        })
        .collect();
    cells.push(if floors.is_empty() { "–".to_owned() } else { floors.join(", ") });
    cells.push(measured.to_reference.map_or("–".to_owned(), spread));
    cells.push(measured.to_floor.map_or("–".to_owned(), |ratio| number(ratio.median)));
    let mut targets = Vec::new();
    if let Some((target, ratio)) = row.target.zip(measured.to_reference) {
        targets.push(format!("≤ {target} {}", verdict(ratio.median, target, 0.005)));
    }
    if let Some((target, ratio)) = row.floor_target.zip(measured.to_floor) {
        targets.push(format!("≤ {target} × floor {}", verdict(ratio.median, target, 0.05)));
    }
    if let Some((target, ours)) = row.at_most.zip(measured.figures[0].1) {
        targets.push(format!("≤ {target} {unit} {}", verdict(ours / scale, target, 0.05)));
    }
    cells.push(targets.join("; "));
    format!("| {} |\n", cells.join(" | "))
}

fn spread(ratio: Ratio) -> String {
    format!("**{}** ({}–{})", number(ratio.median), number(ratio.quartiles.0), number(ratio.quartiles.1))
}

/// The tolerance is what is rounded away: two digits to a token, one to a floor, which is nanoseconds small.
fn verdict(ratio: f64, target: f64, tolerance: f64) -> &'static str {
    if ratio < target + tolerance { "✓" } else { "✗" }
}

/// Three digits that count.
pub(crate) fn number(figure: f64) -> String {
    if !figure.is_finite() {
        return "–".to_owned();
    }
    match figure.abs() {
        size if size < 10.0 => format!("{figure:.2}"),
        size if size < 100.0 => format!("{figure:.1}"),
        size if size < 10_000.0 => format!("{figure:.0}"),
        size if size < 1e7 => format!("{:.0}k", figure / 1e3),
        _ => format!("{:.1}M", figure / 1e6),
    }
}

fn memory(out: &mut String, footprints: &[Footprint]) {
    writeln!(out, "## Memory: bytes and allocations\n").expect("a string takes it");
    writeln!(out, "As asked of the allocator, without its own overhead; allocations in brackets.\n")
        .expect("a string takes it");
    writeln!(out, "| | {} |\n|---|{}", NAMES.join(" | "), "---:|".repeat(NAMES.len())).expect("a string takes it");
    for footprint in footprints {
        let cell = |name| match footprint.figures.get(name) {
            Some((bytes, Some(allocations))) => format!("{} ({})", number_exact(*bytes), number_exact(*allocations)),
            Some((bytes, None)) => number_exact(*bytes),
            None => "–".to_owned(),
        };
        let cells: Vec<String> = (0..NAMES.len()).map(cell).collect();
        writeln!(out, "| {} | {} |", footprint.title, cells.join(" | ")).expect("a string takes it");
    }
}

fn number_exact(figure: f64) -> String {
    if (figure - figure.round()).abs() < 0.005 { format!("{figure:.0}") } else { format!("{figure:.2}") }
}
