//! The rows of the table: small functions over the common pipeline.

mod calls;
mod cpu;
mod endpoint;
mod keys;
mod nothing;
mod own;
mod programs;
mod report;
mod source;
mod tails;
mod windows;

use std::time::Duration;

use crate::error::BenchError;
use crate::line::Line;
use crate::programs::Programs;
use clap::ValueEnum;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Row {
    /// `async` calls without delay: events per second, processor time per event
    Async,
    /// Calls that do nothing: the library's processor time per event beside the bare counter
    Nothing,
    /// Calls that do nothing: processor time per event of records beside the results
    Records,
    /// `thread-pool` of 100, calls without delay: events per second
    ThreadPool,
    /// `process-pool`, calls without delay: events per second
    ProcessPool,
    /// `examples/score`, a request with a body and its answer: events per second, processor time per event
    Score,
    /// A Python function of no time as workers of the process pool: events per second
    LegacyPython,
    /// 1 ms of processor time per event: use of the cores' capacity, and the close tail of each strategy
    Cpu,
    /// At close, windows of 10,000 calls of 1 s, 10,000 at once
    #[value(name = "close-10k")]
    Close10k,
    /// At close, windows of 100,000 calls of 1 s, 10,000 at once
    #[value(name = "close-100k")]
    Close100k,
    /// At arrival, calls of 1 s at 100, 1,000 and 10,000 events per second
    Arrival,
    /// The same events with more keys
    Keys,
    /// Windows of 1,000 to 1,000,000 events: processor time per event
    WindowSize,
    /// Memory of a waiting event
    Memory,
    /// The generator's highest rate, and how exactly it keeps a schedule
    Generator,
    /// Generator and data plane alone: processor time per event
    Instruments,
    /// The endpoint's delay beside the requested one, and its idle cost
    EndpointDelay,
    /// The endpoint's answers per second
    EndpointRate,
    /// Time from the start of a UDF until it is ready, and its size
    Start,
    /// The report of a journal with 100,000 windows
    Report,
    /// The data plane's part of a close tail
    DataPlane,
}

/// What every row needs.
#[derive(Debug)]
pub struct Bench {
    pub programs: Programs,
    /// Rounds of each comparison.
    pub rounds: usize,
    /// Whether to measure roughly, in a third of the time.
    pub quick: bool,
}

impl Bench {
    /// The length of a round, given that of a full run.
    pub fn time(&self, seconds: f64) -> Duration {
        Duration::from_secs_f64(if self.quick { seconds / 3.0 } else { seconds })
    }

    /// A number of windows or rounds, given that of a full run.
    pub fn number(&self, full: usize) -> usize {
        if self.quick { full.div_ceil(3) } else { full }
    }
}

impl Row {
    /// Its name for `--only`.
    pub fn name(self) -> String {
        self.to_possible_value()
            .map_or(String::new(), |value| value.get_name().to_owned())
    }

    /// What it measures, in one line.
    pub fn about(self) -> String {
        let value = self.to_possible_value();
        let help = value.as_ref().and_then(|value| value.get_help());
        help.map_or(String::new(), ToString::to_string)
    }

    pub async fn run(self, bench: &Bench) -> Result<Vec<Line>, BenchError> {
        match self {
            Self::Async => calls::in_tasks(bench).await,
            Self::Nothing => nothing::beside_counter(bench).await,
            Self::Records => nothing::records(bench).await,
            Self::ThreadPool => calls::on_threads(bench).await,
            Self::ProcessPool => calls::in_processes(bench).await,
            Self::Score => own::score(bench).await,
            Self::LegacyPython => own::legacy_python(bench).await,
            Self::Cpu => cpu::burnt(bench).await,
            Self::Close10k => tails::close_10k(bench).await,
            Self::Close100k => tails::close_100k(bench).await,
            Self::Arrival => tails::arrival(bench).await,
            Self::Keys => keys::more(bench).await,
            Self::WindowSize => windows::sizes(bench).await,
            Self::Memory => windows::memory(bench).await,
            Self::Generator => source::generator(bench).await,
            Self::Instruments => source::instruments(bench).await,
            Self::EndpointDelay => endpoint::delay(bench).await,
            Self::EndpointRate => endpoint::rate(bench).await,
            Self::Start => programs::start(bench).await,
            Self::Report => report::drawn(bench).await,
            Self::DataPlane => tails::data_plane(bench).await,
        }
    }
}
