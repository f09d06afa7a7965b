//! Calls that do nothing: what the library itself costs beside the bare counter, and what its records add.

use wire::StrategyKind;

use super::Bench;
use super::calls::Contest;
use crate::error::BenchError;
use crate::figure::{Figure, Unit};
use crate::line::{Goal, Line};
use crate::programs::Udf;

/// Processor time and rate beside the bare counter, which gets the same events: as the SDK's examples run it, and on one
/// thread as the library runs, which takes less.
pub async fn beside_counter(bench: &Bench) -> Result<Vec<Line>, BenchError> {
    let counters = [Udf::Counter, Udf::CounterOnOneThread];
    let contest = contest("nothing", bench, [Udf::Nothing, counters[0], counters[1]]).await?;
    let beyond = |counter: Udf| {
        let what = format!(
            "UDF's processor time per event beyond that of the {}",
            counter.name()
        );
        let more = contest.more_us(Udf::Nothing, counter);
        Line::alone("nothing", what, more, Goal::AtMost(2.0))
    };
    let cpu = |counter: Udf| {
        let figure = contest.cpu(counter);
        contest.cpu_line(Udf::Nothing, counter.name(), figure, Goal::Seen)
    };
    let rate = |counter| contest.rate_line(Udf::Nothing, counter, Goal::AtLeastTimes(0.5));
    let lines = [counters.map(beyond), counters.map(cpu), counters.map(rate)];
    Ok(lines.into_iter().flatten().collect())
}

/// Processor time that records beside the results take.
pub async fn records(bench: &Bench) -> Result<Vec<Line>, BenchError> {
    let contest = contest("records", bench, [Udf::Nothing, Udf::Recorded]).await?;
    let more = contest.more_us(Udf::Recorded, Udf::Nothing);
    Ok(vec![
        Line::alone(
            "records",
            "UDF's processor time per event for records beside the results",
            more,
            Goal::AtMost(0.2),
        ),
        contest.cpu_line(
            Udf::Recorded,
            Udf::Nothing.name(),
            contest.cpu(Udf::Nothing),
            Goal::Seen,
        ),
    ])
}

/// All in turns. The difference of two figures is less sure than each, so there are more rounds.
async fn contest<const N: usize>(
    row: &'static str,
    bench: &Bench,
    udfs: [Udf; N],
) -> Result<Contest, BenchError> {
    let mut contest = Contest::new(row, StrategyKind::Async, 1_000, 10);
    for _ in 0..2 * bench.rounds {
        for udf in udfs {
            contest.run(bench, udf).await?;
        }
    }
    Ok(contest)
}

impl Contest {
    /// By how much the processor time per event of one exceeds that of the other, round by round.
    fn more_us(&self, udf: Udf, other: Udf) -> Option<Figure> {
        let pairs = self.cpu_us(udf).iter().zip(self.cpu_us(other));
        let more: Vec<f64> = pairs.map(|(us, other)| us - other).collect();
        Figure::of(Unit::Micros, &more)
    }
}
