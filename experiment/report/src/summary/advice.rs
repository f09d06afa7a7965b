//! Which strategy, start rule and workers to use in a cell, from what was measured there, and the room that is left.

use trials::verdict::Kind;
use wire::{StartRule, StrategyKind};

use super::{Row, Spread, Summary};

/// Part of the workers or of the window above which another choice is preferred.
const CROWDED: f64 = 0.7;

/// Median close tails that differ by less are equally good, as are those whose ranges overlap.
const EQUAL_FRACTION: f64 = 0.1;

/// What one cell's measurements advise.
#[derive(Debug, Clone, Copy)]
pub struct Advice<'s, 'a> {
    pub cell: usize,
    /// `None` if nothing kept up.
    pub row: Option<&'s Row<'a>>,
    /// Calls that were in flight on average; `None` if no call was measured.
    pub in_flight: Option<f64>,
    /// If only more windows can tell what keeps up: how many at least, as far as that is known.
    pub undecided: Option<Option<u64>>,
}

/// The parts of its resources that a row used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// The longest close tail as a part of the window.
    pub window: f64,
    /// Calls in flight on average as a part of those possible; `None` at close, where calls share the tail only.
    pub workers: Option<f64>,
}

impl<'a> Summary<'a> {
    /// The advice for each cell in which something was measured.
    pub fn advice(&self) -> Vec<Advice<'_, 'a>> {
        let cells = 0..self.cells.len();
        cells
            .filter_map(|cell| Advice::of(cell, self.rows_of(cell)))
            .collect()
    }
}

impl<'s, 'a> Advice<'s, 'a> {
    /// The cheapest of the rows that kept up with as short a close tail as the best, with room left if one has it.
    fn of(cell: usize, rows: &'s [Row<'a>]) -> Option<Self> {
        let judged = || rows.iter().filter(|row| !row.verdict.kind.is_failure());
        let calls_in_flight = judged().filter_map(Row::calls_in_flight);
        let in_flight = calls_in_flight.min_by(f64::total_cmp);
        judged().next()?;
        let kept: Vec<(&Row<'a>, Spread)> = judged()
            .filter(|row| row.verdict.kind == Kind::KeptUp)
            .filter_map(|row| Some((row, row.close_tail?)))
            .collect();
        let best = kept.iter().map(|(_, tail)| *tail).min_by_key(|tail| tail.median);
        let is_equal = |tail: &Spread| {
            best.is_some_and(|best| {
                tail.min <= best.max || tail.median <= best.median.mul_f64(1.0 + EQUAL_FRACTION)
            })
        };
        let equal = kept
            .iter()
            .filter(|(_, tail)| is_equal(tail))
            .map(|(row, _)| *row);
        let row = equal.min_by(|a, b| {
            let crowded = |row: &Row<'_>| row.usage().is_some_and(|usage| usage.is_crowded());
            crowded(a)
                .cmp(&crowded(b))
                .then_with(|| a.cpu_us_per_call().total_cmp(&b.cpu_us_per_call()))
        });
        let undecided = judged().filter(|row| row.verdict.kind == Kind::Undecided);
        let needed = undecided.map(|row| row.verdict.windows_needed);
        let least = needed.min_by_key(|needed| needed.unwrap_or(u64::MAX));
        Some(Self {
            cell,
            row,
            in_flight,
            undecided: least.filter(|_| row.is_none()),
        })
    }
}

impl Usage {
    fn is_crowded(&self) -> bool {
        self.window > CROWDED || self.workers.is_some_and(|workers| workers > CROWDED)
    }
}

impl Row<'_> {
    /// Calls in flight on average, from the measured latency by Little's law; `None` if no call was measured.
    pub fn calls_in_flight(&self) -> Option<f64> {
        let calls_each = match (&self.cost, self.ledger) {
            (Some(cost), Some(ledger)) if ledger.offered > 0 => cost.calls as f64 / ledger.offered as f64,
            _ => 1.0,
        };
        let rpu = self.settings()?.rpu.get() as f64;
        Some(rpu * self.mean_latency?.as_secs_f64() * calls_each.max(1.0))
    }

    /// `None` if nothing was measured.
    pub fn usage(&self) -> Option<Usage> {
        let settings = self.settings()?;
        let limit = match settings.strategy {
            StrategyKind::Sequential => settings.keys,
            StrategyKind::Async | StrategyKind::ThreadPool | StrategyKind::ProcessPool => {
                settings.max_workers
            }
        };
        let at_arrival = settings.start_rule == StartRule::AtArrival;
        Some(Usage {
            window: self.close_tail?.max.as_secs_f64() / settings.window.as_secs_f64(),
            workers: self
                .calls_in_flight()
                .filter(|_| at_arrival)
                .map(|calls| calls / limit.get() as f64),
        })
    }

    /// Infinite if it was not measured.
    fn cpu_us_per_call(&self) -> f64 {
        match &self.cost {
            Some(cost) if cost.calls > 0 => cost.cpu_us as f64 / cost.calls as f64,
            _ => f64::INFINITY,
        }
    }
}
