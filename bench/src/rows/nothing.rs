//! Calls that do nothing: what the library itself costs beside the bare counter, and what its records add.

use wire::StrategyKind;

use super::Bench;
use super::calls::Contest;
use crate::error::BenchError;
use crate::figure::{Figure, Unit};
use crate::line::{Goal, Line};
use crate::programs::Udf;

/// Processor time and rate beside the bare counter, which gets the same events.
pub async fn beside_counter(bench: &Bench) -> Result<Vec<Line>, BenchError> {
    let contest = contest("nothing", bench, [Udf::Nothing, Udf::Counter]).await?;
    let more = contest.more_us(Udf::Nothing, Udf::Counter);
    Ok(vec![
        Line::alone(
            "nothing",
            "UDF's processor time per event beyond that of the bare counter",
            more,
            Goal::AtMost(2.0),
        ),
        contest.cpu_line(
            Udf::Nothing,
            Udf::Counter.name(),
            contest.cpu(Udf::Counter),
            Goal::Seen,
        ),
        contest.rate_line(Udf::Nothing, Udf::Counter, Goal::AtLeastTimes(0.5)),
    ])
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

/// Both in turns. The difference of two figures is less sure than each, so there are more rounds.
async fn contest(row: &'static str, bench: &Bench, udfs: [Udf; 2]) -> Result<Contest, BenchError> {
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
