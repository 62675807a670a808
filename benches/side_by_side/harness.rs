//! The harness. Why not criterion: it measures one function to the end before it turns to the next, so on a machine
//! whose speed drifts (shared, virtual, throttled) two functions meet different machines. Here all competitors of a row
//! take turns, round by round, A, B, C, A, B, C, and a ratio is the median of the ratios within single rounds.

use crate::options::{Mode, Options};
use crate::tokens::Token;
use std::time::Duration;

/// One measurement: how long so many units of work took.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    elapsed: Duration,
    units: u64,
}

impl Sample {
    pub(crate) fn new(elapsed: Duration, units: u64) -> Self {
        Self { elapsed, units }
    }
    /// One after the other, for the same units.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { elapsed: self.elapsed + other.elapsed, ..self }
    }
    /// Each unit was so many.
    pub(crate) fn times(self, many: u64) -> Self {
        Self { units: self.units * many, ..self }
    }
    fn nanoseconds(self) -> f64 {
        self.elapsed.as_nanos() as f64 / self.units.max(1) as f64
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Token(&'static str),
    Floor(&'static str),
}

/// Gives `M` figures for so many repetitions.
type Run<const M: usize> = Box<dyn FnMut(u64) -> [Sample; M]>;

/// One competitor of a row, or of several rows that are measured together.
pub(crate) struct Entry<const M: usize> {
    who: Who,
    /// None: it cannot do this without overflowing the stack.
    run: Option<Run<M>>,
}

impl<const M: usize> Entry<M> {
    pub(crate) fn token<T: Token>(run: impl FnMut(u64) -> [Sample; M] + 'static) -> Self {
        Self { who: Who::Token(T::NAME), run: Some(Box::new(run)) }
    }
    pub(crate) fn overflows<T: Token>() -> Self {
        Self { who: Who::Token(T::NAME), run: None }
    }
    pub(crate) fn floor(name: &'static str, run: impl FnMut(u64) -> [Sample; M] + 'static) -> Self {
        Self { who: Who::Floor(name), run: Some(Box::new(run)) }
    }
}

/// One scenario for all tokens, and the floors under it.
macro_rules! entries {
    ($scenario:ident($($argument:expr),* $(,)?) $(, $floor:literal => $run:expr)* $(,)?) => {{
        use $crate::harness::Entry;
        vec![
            Entry::token::<cancel_tree::CancellationToken>(
                $scenario::<cancel_tree::CancellationToken>($($argument),*)),
            Entry::token::<tokio_util::sync::CancellationToken>(
                $scenario::<tokio_util::sync::CancellationToken>($($argument),*)),
            Entry::token::<$crate::naive::Naive>($scenario::<$crate::naive::Naive>($($argument),*)),
            $(Entry::floor($floor, $run),)*
        ]
    }};
}
pub(crate) use entries;

/// How a row is measured.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    rounds: usize,
    /// A sample must last that long; the repetitions are chosen by it. Zero: the scenario knows how much it does.
    goal: Duration,
}

impl Plan {
    /// Many repetitions of something short.
    pub(crate) fn repeated(options: &Options) -> Self {
        Self { rounds: options.pick(1, 21, 41), goal: Duration::from_micros(options.pick(0, 1_500, 4_000)) }
    }
    /// The scenario takes one sample as it sees fit.
    pub(crate) fn once(options: &Options) -> Self {
        Self { rounds: options.pick(1, 15, 21), goal: Duration::ZERO }
    }
    /// As `once`, for what takes tenths of a second.
    pub(crate) fn heavy(options: &Options) -> Self {
        Self { rounds: options.pick(1, 7, 11), goal: Duration::ZERO }
    }
}

/// What came of one competitor: a figure in nanoseconds for each round, for each of the `M` rows.
pub(crate) struct Outcome<const M: usize> {
    pub(crate) who: Who,
    pub(crate) rounds: Option<[Vec<f64>; M]>,
}

pub(crate) fn contest<const M: usize>(options: &Options, plan: Plan, mut entries: Vec<Entry<M>>) -> Vec<Outcome<M>> {
    // Choosing the repetitions is the warm-up, too.
    let repeats: Vec<u64> =
        entries.iter_mut().map(|entry| entry.run.as_mut().map_or(0, |r| calibrate(r, plan))).collect();
    let mut outcomes: Vec<Outcome<M>> = entries
        .iter()
        .map(|entry| Outcome { who: entry.who, rounds: entry.run.is_some().then_some([const { Vec::new() }; M]) })
        .collect();
    for _ in 0..plan.rounds {
        for ((entry, outcome), repeat) in entries.iter_mut().zip(&mut outcomes).zip(&repeats) {
            if let (Some(run), Some(rounds)) = (&mut entry.run, &mut outcome.rounds) {
                for (figures, sample) in rounds.iter_mut().zip(run(*repeat)) {
                    figures.push(sample.nanoseconds());
                }
            }
        }
    }
    if options.mode == Mode::Test {
        assert!(outcomes.iter().flat_map(|o| &o.rounds).flatten().all(|figures| figures.len() == plan.rounds));
    }
    outcomes
}

fn calibrate<const M: usize>(run: &mut Run<M>, plan: Plan) -> u64 {
    if !plan.goal.is_zero() {
        // Not counted: what has to be done once only, however often the scenario is repeated.
        run(1);
    }
    let mut repeat = 1;
    loop {
        let samples = run(repeat);
        let shortest = samples.iter().map(|sample| sample.elapsed).min().unwrap_or_default();
        if shortest >= plan.goal {
            return repeat;
        }
        let factor = plan.goal.as_secs_f64() / shortest.as_secs_f64().max(1e-9);
        // A little more than needed, for the next run is warmer than this one.
        repeat = (repeat as f64 * (factor * 1.2).clamp(1.5, 64.0)).ceil() as u64;
    }
}

pub(crate) fn median(figures: &[f64]) -> f64 {
    quantile(figures, 0.5)
}

pub(crate) fn quantile(figures: &[f64], at: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    if sorted.is_empty() {
        return f64::NAN;
    }
    let place = at * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}
