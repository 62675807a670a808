//! The run: rows are measured as they are named, and kept for the table and the plots.

use crate::harness::{Entry, Outcome, Plan, Who, contest, median, quantile};
use crate::options::Options;
use crate::tokens::REFERENCE;

/// What a row is, before it is measured.
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) title: String,
    /// Nanoseconds in one of the unit shown.
    pub(crate) unit: (&'static str, f64),
    /// At most so many times tokio-util.
    pub(crate) target: Option<f64>,
    /// At most so many times the first floor.
    pub(crate) floor_target: Option<f64>,
    /// At most so many of the unit.
    pub(crate) at_most: Option<f64>,
    /// The plot it stands on, and where.
    pub(crate) on: Option<(&'static str, f64)>,
}

impl Row {
    pub(crate) fn new(id: impl Into<String>, title: impl Into<String>) -> Self {
        let unit = ("ns", 1.0);
        Self { id: id.into(), title: title.into(), unit, target: None, floor_target: None, at_most: None, on: None }
    }
    pub(crate) fn microseconds(self) -> Self {
        Self { unit: ("µs", 1e3), ..self }
    }
    pub(crate) fn target(self, ratio: f64) -> Self {
        Self { target: Some(ratio), ..self }
    }
    pub(crate) fn target_if(self, applies: bool, ratio: f64) -> Self {
        if applies { self.target(ratio) } else { self }
    }
    pub(crate) fn floor_target(self, ratio: f64) -> Self {
        Self { floor_target: Some(ratio), ..self }
    }
    pub(crate) fn at_most(self, figure: f64) -> Self {
        Self { at_most: Some(figure), ..self }
    }
    pub(crate) fn on(self, plot: &'static str, x: usize) -> Self {
        Self { on: Some((plot, x as f64)), ..self }
    }
}

/// A ratio, and between what it lay in the middle half of the rounds.
#[derive(Clone, Copy)]
pub(crate) struct Ratio {
    pub(crate) median: f64,
    pub(crate) quartiles: (f64, f64),
}

pub(crate) struct Measured {
    pub(crate) row: Row,
    /// In nanoseconds; none where the stack overflows.
    pub(crate) figures: Vec<(Who, Option<f64>)>,
    pub(crate) to_reference: Option<Ratio>,
    pub(crate) to_floor: Option<Ratio>,
}

/// A plot: the rows that say so stand on it.
pub(crate) struct Plot {
    pub(crate) file: &'static str,
    pub(crate) title: &'static str,
    pub(crate) x_label: &'static str,
    pub(crate) y_label: &'static str,
}

pub(crate) struct Bench {
    pub(crate) options: Options,
    pub(crate) sections: Vec<(&'static str, Vec<Measured>)>,
    pub(crate) plots: Vec<Plot>,
}

impl Bench {
    pub(crate) fn new(options: Options) -> Self {
        Self { options, sections: Vec::new(), plots: Vec::new() }
    }

    pub(crate) fn section(&mut self, title: &'static str) {
        self.sections.push((title, Vec::new()));
    }

    pub(crate) fn plot(
        &mut self,
        file: &'static str,
        title: &'static str,
        x_label: &'static str,
        y_label: &'static str,
    ) {
        self.plots.push(Plot { file, title, x_label, y_label });
    }

    pub(crate) fn wants(&self, id: &str) -> bool {
        self.options.filter.as_ref().is_none_or(|filter| id.contains(filter.as_str()))
    }

    /// Measures some rows at once: one figure of each sample for each of them.
    pub(crate) fn run<const M: usize>(&mut self, plan: Plan, rows: [Row; M], entries: impl FnOnce() -> Vec<Entry<M>>) {
        if !rows.iter().any(|row| self.wants(&row.id)) {
            return;
        }
        eprintln!("{}", rows.each_ref().map(|row| row.id.as_str()).join(", "));
        let outcomes = contest(&self.options, plan, entries());
        let Some((_, section)) = self.sections.last_mut() else { unreachable!("rows belong to a section") };
        for (at, row) in rows.into_iter().enumerate() {
            section.push(Measured::new(row, at, &outcomes));
        }
    }
}

impl Measured {
    fn new<const M: usize>(row: Row, at: usize, outcomes: &[Outcome<M>]) -> Self {
        let rounds = |outcome: &Outcome<M>| outcome.rounds.as_ref().map(|rounds| rounds[at].clone());
        let of = |wanted: &dyn Fn(Who) -> bool| outcomes.iter().find(|o| wanted(o.who)).and_then(rounds);
        let ours = of(&|who| who == Who::Token(crate::tokens::OURS));
        let ratio = |other: Option<Vec<f64>>| Some(ratio(ours.as_ref()?, &other?));
        Self {
            figures: outcomes.iter().map(|o| (o.who, rounds(o).map(|figures| median(&figures)))).collect(),
            to_reference: ratio(of(&|who| who == Who::Token(REFERENCE))),
            to_floor: ratio(of(&|who| matches!(who, Who::Floor(_)))),
            row,
        }
    }
}

fn ratio(ours: &[f64], theirs: &[f64]) -> Ratio {
    let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs.max(1e-9)).collect();
    Ratio { median: median(&ratios), quartiles: (quantile(&ratios, 0.25), quantile(&ratios, 0.75)) }
}
