//! Flags and environment variables of the UDF, and their checks.

mod command_line;

use std::num::{NonZeroU16, NonZeroU64, NonZeroUsize};
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use wire::settings::{
    CLOSE_DEADLINE, CPU_OFFLOAD, Deadline, Form, IO_DELAY, MAX_WAITING, MAX_WAITING_BYTES, MAX_WORKERS,
    RETRIES, RETRY_PAUSE, RETRY_STATUSES, RUNTIME_THREADS, SEQUENTIAL_MOST, START_RULE, STRATEGY, TIMEOUT,
    WORKLOAD, default_max_workers, whole_number,
};
use wire::{Delay, StartRule, Statuses, StrategyKind, Workload};

pub use command_line::CommandLine;
use command_line::command_line;

/// File descriptors for anything but calls: sockets, logs, the runtime.
const OTHER_DESCRIPTORS: u64 = 64;

/// What the UDF does with the events of a window.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// How calls are scheduled: sequential, async, thread-pool, process-pool [default: EXEC_TYPE, else async]
    #[arg(long, env, value_parser = |text: &str| STRATEGY.read(text))]
    pub strategy: Option<StrategyKind>,
    /// The original's name for the strategy: thread, process, async or sequential
    #[arg(long, env = "EXEC_TYPE", hide = true, value_parser = exec_type)]
    pub exec_type: Option<StrategyKind>,
    /// When a call may begin.
    #[arg(long, env, help = START_RULE.help(), default_value = START_RULE.default, value_parser = |text: &str| START_RULE.read(text))]
    pub start_rule: StartRule,
    /// What a call does.
    #[arg(long, env, help = WORKLOAD.help(), default_value = WORKLOAD.default, value_parser = |text: &str| WORKLOAD.read(text))]
    pub workload: Workload,
    /// Calls in flight at once in this process.
    #[arg(long, env, help = MAX_WORKERS.help(), value_parser = |text: &str| MAX_WORKERS.read(text), allow_hyphen_values = true)]
    pub max_workers: Option<NonZeroU64>,
    /// Delay asked of the endpoint, or processor time of a call.
    #[arg(long, env, help = IO_DELAY.help(), default_value = IO_DELAY.default, value_parser = |text: &str| IO_DELAY.read(text), allow_hyphen_values = true)]
    pub io_delay: Delay,
    /// Timeout of one attempt.
    #[arg(long, env, help = TIMEOUT.help(), default_value = TIMEOUT.default, value_parser = |text: &str| TIMEOUT.read(text), allow_hyphen_values = true)]
    pub timeout: Duration,
    /// Attempts after the first.
    #[arg(long, env, help = RETRIES.help(), default_value = RETRIES.default, value_parser = |text: &str| RETRIES.read(text), allow_hyphen_values = true)]
    pub retries: u32,
    /// Statuses after which a call is made again.
    #[arg(long, env, help = RETRY_STATUSES.help(), default_value = RETRY_STATUSES.default, value_parser = |text: &str| RETRY_STATUSES.read_given(text), allow_hyphen_values = true)]
    pub retry_statuses: Statuses,
    /// Longest pause before the second attempt.
    #[arg(long, env, help = RETRY_PAUSE.help(), default_value = RETRY_PAUSE.default, value_parser = |text: &str| RETRY_PAUSE.read_given(text), allow_hyphen_values = true)]
    pub retry_pause: Duration,
    /// Whether `cpu` work under `async` leaves the runtime's threads.
    #[arg(long, env, help = CPU_OFFLOAD.help(), default_value = CPU_OFFLOAD.default, value_parser = |text: &str| CPU_OFFLOAD.read(text), num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub cpu_offload: bool,
    /// Threads that read the stream.
    #[arg(long, env, help = RUNTIME_THREADS.help(), value_parser = |text: &str| RUNTIME_THREADS.read_given(text), allow_hyphen_values = true)]
    pub runtime_threads: Option<NonZeroU16>,
    /// How long after the close of a window's first key its calls may last.
    #[arg(long, env, help = CLOSE_DEADLINE.help(), default_value = CLOSE_DEADLINE.default, value_parser = |text: &str| CLOSE_DEADLINE.read_given(text), allow_hyphen_values = true)]
    pub close_deadline: Deadline,
    /// Events that may wait for their call.
    #[arg(long, env, help = MAX_WAITING.help(), default_value = MAX_WAITING.default, value_parser = |text: &str| MAX_WAITING.read(text), allow_hyphen_values = true)]
    pub max_waiting: NonZeroU64,
    /// Bytes of the events that may wait for their call.
    #[arg(long, env, help = MAX_WAITING_BYTES.help(), value_parser = |text: &str| MAX_WAITING_BYTES.read_given(text), allow_hyphen_values = true)]
    pub max_waiting_bytes: Option<NonZeroU64>,
    /// What a key and window sends: its own results (off), the record for the experiment too (beside), or the record
    /// alone (only) [default: off; of the program udf: only]
    #[arg(long, env = "RECORDS")]
    pub records: Option<Records>,
    /// Earlier form of --records: record sends the record, alone or beside the program's own results; text sends the
    /// message of numaflow-python's example asyncio_reduce
    #[arg(long, env = "RESULT_FORMAT")]
    pub result_format: Option<ResultFormat>,
    /// Longest message of a result, in bytes: JetStream refuses larger ones (its max_payload is 1 MiB), and the vertex
    /// would stall. A JSON array is split, another result that is longer fails its key and window
    #[arg(
        long,
        env = "MAX_MESSAGE_BYTES",
        default_value = "1000000",
        value_parser = whole_number::<NonZeroU64>(1, u64::MAX),
        allow_hyphen_values = true
    )]
    pub max_message_bytes: NonZeroU64,
    /// What a worker of the process pool is, in place of this program: a program in any language with its arguments, split
    /// as a shell would (docs/workers.md)
    #[arg(long, env = "WORKER_COMMAND", value_name = "COMMAND", value_parser = command_line)]
    pub worker_command: Option<CommandLine>,
    /// Where a payload has the text or number that identifies its event, for idempotency keys: a JSON pointer like /id
    /// [default: a hash of keys, event time and payload]
    #[arg(long, env = "EVENT_ID", value_name = "POINTER", value_parser = |text: &str| Form::Pointer.canonical(text))]
    pub event_id: Option<String>,
}

/// What a key and window sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Records {
    /// The program's own results.
    Off,
    /// Those, and the record of the window.
    Beside,
    /// The record alone; no aggregate is made.
    Only,
}

/// The form of a window's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ResultFormat {
    /// The record of the window, as JSON.
    Record,
    /// The message of numaflow-python's example `asyncio_reduce`.
    Text,
}

/// What a key and window sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Results {
    /// Whether it sends the results of the program's aggregate.
    pub(crate) own: bool,
    /// What it sends of the library's.
    pub(crate) instrument: Option<ResultFormat>,
}

/// Settings that cannot work together or on this machine.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Workers that no strategy starts.
    #[error("worker_command: the strategy `{0}` has no workers: choose process-pool")]
    NoWorkers(StrategyKind),
    /// A flag of the program that the library has.
    #[error("`{0}` is the library's and the program's: give the program's another name")]
    Collision(String),
    /// More connections than descriptors.
    #[error(
        "max_workers: {max_workers} calls in flight need {needed} file descriptors, this process may have {limit}: choose fewer workers or raise `ulimit -n`"
    )]
    Descriptors {
        /// Calls in flight at once.
        max_workers: u64,
        /// Descriptors they need.
        needed: u64,
        /// The hard limit.
        limit: u64,
    },
    /// More connections than local ports.
    #[error(
        "max_workers: {max_workers} calls in flight to one endpoint need as many local ports, this machine has {ports}: choose fewer workers or widen net.ipv4.ip_local_port_range"
    )]
    Ports {
        /// Calls in flight at once.
        max_workers: u64,
        /// Local ports for connections.
        ports: u64,
    },
}

impl Settings {
    /// The chosen strategy, or the default.
    pub fn strategy(&self) -> StrategyKind {
        self.strategy.or(self.exec_type).unwrap_or(StrategyKind::Async)
    }

    /// The limit on calls in flight: as given, or the default of the strategy.
    pub fn max_workers(&self, cores: NonZeroUsize) -> NonZeroUsize {
        let workers = match self.strategy() {
            StrategyKind::Sequential => NonZeroU64::MIN,
            strategy => self
                .max_workers
                .unwrap_or_else(|| default_max_workers(strategy, cores)),
        };
        NonZeroUsize::try_from(workers).unwrap_or(NonZeroUsize::MAX)
    }

    /// What is said of a setting that the strategy does not use. It is no error: the original's `MAX_WORKERS` may be set for
    /// any strategy.
    pub fn without_effect(&self) -> Option<String> {
        let workers = self.max_workers.filter(|workers| workers.get() > 1)?;
        (self.strategy() == StrategyKind::Sequential).then(|| {
            format!("max_workers: {workers} has no effect: sequential makes one call at a time for each key and window")
        })
    }

    /// Calls in flight at once in this process: the limit, or for `sequential` one for each key as far as the descriptors
    /// allow and no more than [`SEQUENTIAL_MOST`]; further keys take turns.
    pub(crate) fn slots(&self, cores: NonZeroUsize) -> NonZeroUsize {
        if self.strategy() != StrategyKind::Sequential {
            return self.max_workers(cores);
        }
        let limit = vertex::machine::raise_descriptor_limit(SEQUENTIAL_MOST + OTHER_DESCRIPTORS);
        let most = limit.saturating_sub(OTHER_DESCRIPTORS).clamp(1, SEQUENTIAL_MOST);
        NonZeroUsize::new(most as usize).unwrap_or(NonZeroUsize::MIN)
    }

    /// The bound on the bytes of the events that wait: as given, or half of the memory of this process.
    pub(crate) fn max_waiting_bytes(&self) -> u64 {
        let half = || vertex::machine::half_of(vertex::machine::memory());
        self.max_waiting_bytes.map_or_else(half, NonZeroU64::get)
    }

    /// Threads of the runtime. The default is one, because moving work between threads costs more than it gains, except
    /// for calls that compute on the runtime's threads.
    pub fn runtime_threads(&self, cores: NonZeroUsize) -> NonZeroUsize {
        let in_tasks = matches!(self.strategy(), StrategyKind::Sequential | StrategyKind::Async);
        let computing = self.workload == Workload::Cpu && in_tasks && !self.cpu_offload;
        let default = if computing { cores } else { NonZeroUsize::MIN };
        self.runtime_threads.map_or(default, NonZeroUsize::from)
    }

    /// What a key and window sends, in a program that sends `default` unless it is told otherwise.
    pub(crate) fn results(&self, default: Records) -> Results {
        let with_record = match default {
            Records::Only => Records::Only,
            Records::Off | Records::Beside => Records::Beside,
        };
        let (records, format) = match (self.records, self.result_format) {
            (Some(records), format) => (records, format.unwrap_or(ResultFormat::Record)),
            (None, Some(format)) => (with_record, format),
            (None, None) => (default, ResultFormat::Record),
        };
        Results {
            own: records != Records::Only,
            instrument: (records != Records::Off).then_some(format),
        }
    }

    /// The settings as written into each record.
    pub fn of_record(&self, cores: NonZeroUsize) -> wire::Settings {
        wire::Settings {
            strategy: self.strategy(),
            start_rule: self.start_rule,
            workload: self.workload,
            max_workers: self.max_workers(cores).get() as u64,
            io_delay: self.io_delay.clone(),
            timeout: self.timeout,
            retries: self.retries,
            cpu_offload: self.cpu_offload,
        }
    }

    /// Raises the limit on file descriptors to what the calls in flight need, and checks the local ports.
    ///
    /// # Errors
    /// Returns an error if the hard limit is lower, or there are fewer ports.
    pub fn raise_descriptor_limit(&self, cores: NonZeroUsize) -> Result<(), SettingsError> {
        let max_workers = self.max_workers(cores).get() as u64;
        let per_call = match (self.workload, self.strategy()) {
            (_, StrategyKind::ProcessPool) => 2,
            (Workload::Http, _) => 1,
            (Workload::Cpu, _) => 0,
        };
        let ports = vertex::machine::local_ports().filter(|_| self.workload == Workload::Http);
        if let Some(ports) = ports.filter(|ports| *ports < max_workers) {
            return Err(SettingsError::Ports { max_workers, ports });
        }
        let needed = max_workers * per_call + OTHER_DESCRIPTORS;
        let limit = vertex::machine::raise_descriptor_limit(needed);
        if limit >= needed {
            return Ok(());
        }
        Err(SettingsError::Descriptors {
            max_workers,
            needed,
            limit,
        })
    }
}

fn exec_type(text: &str) -> Result<StrategyKind, String> {
    match text.to_ascii_lowercase().as_str() {
        "thread" | "threads" => Ok(StrategyKind::ThreadPool),
        "process" | "processes" => Ok(StrategyKind::ProcessPool),
        other => StrategyKind::from_str(other).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::parse;

    #[test]
    fn each_strategy_has_its_default() {
        let cores = NonZeroUsize::MIN.saturating_add(1);
        let workers = |args: &[&str]| parse(args).max_workers(cores).get();
        assert_eq!(workers(&[]), 1_000);
        assert_eq!(workers(&["--strategy", "thread-pool"]), 6);
        assert_eq!(workers(&["--strategy", "process-pool"]), 2);
        assert_eq!(workers(&["--strategy", "sequential", "--max-workers", "9"]), 1);
        assert_eq!(workers(&["--exec-type", "thread", "--max-workers", "100"]), 100);
        assert_eq!(
            parse(&["--exec-type", "process"]).strategy(),
            StrategyKind::ProcessPool
        );
    }

    #[test]
    fn an_earlier_result_format_sends_the_record_as_the_program_does() {
        let results = |args: &[&str], default| {
            let results = parse(args).results(default);
            (results.own, results.instrument)
        };
        use Records::{Off, Only};
        use ResultFormat::{Record, Text};
        assert_eq!(results(&[], Off), (true, None));
        assert_eq!(results(&[], Only), (false, Some(Record)));
        for (args, of_own, of_udf) in [
            (
                ["--result-format", "record"],
                (true, Some(Record)),
                (false, Some(Record)),
            ),
            (
                ["--result-format", "text"],
                (true, Some(Text)),
                (false, Some(Text)),
            ),
            (["--records", "off"], (true, None), (true, None)),
            (
                ["--records", "beside"],
                (true, Some(Record)),
                (true, Some(Record)),
            ),
            (
                ["--records", "only"],
                (false, Some(Record)),
                (false, Some(Record)),
            ),
        ] {
            assert_eq!(
                (results(&args, Off), results(&args, Only)),
                (of_own, of_udf),
                "{args:?}"
            );
        }
    }

    #[test]
    fn workers_of_sequential_are_said_to_have_no_effect() {
        let said = |args: &[&str]| parse(args).without_effect();
        assert_eq!(
            said(&["--strategy", "sequential", "--max-workers", "50"]).unwrap(),
            "max_workers: 50 has no effect: sequential makes one call at a time for each key and window"
        );
        assert_eq!(said(&["--strategy", "sequential", "--max-workers", "1"]), None);
        assert_eq!(said(&["--strategy", "sequential"]), None);
        assert_eq!(said(&["--strategy", "async", "--max-workers", "50"]), None);
    }
}
