//! One setting of a trial as a plan writes it: its name, its value, the values that are possible.

use std::fmt;
use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use wire::{Delay, StartRule, StrategyKind, Workload, format_duration, parse_duration};

/// The names of the settings that can be fixed or be an axis.
pub(super) const NAMES: [&str; 15] = [
    "rpu",
    "keys",
    "key_skew",
    "payload_size",
    "io_delay",
    "strategy",
    "start_rule",
    "workload",
    "max_workers",
    "timeout",
    "retries",
    "cpu_offload",
    "max_waiting",
    "capacity",
    "fail_status",
];

/// The names of the settings that a level of `strategy` may carry.
pub(super) const OF_A_STRATEGY: [&str; 5] =
    ["start_rule", "max_workers", "cpu_offload", "timeout", "retries"];

/// A setting with a possible value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Setting {
    Rpu(NonZeroU64),
    Keys(NonZeroU64),
    KeySkew(f64),
    PayloadSize(usize),
    IoDelay(Delay),
    Strategy(StrategyKind),
    StartRule(StartRule),
    Workload(Workload),
    MaxWorkers(NonZeroU64),
    Timeout(Duration),
    Retries(u32),
    CpuOffload(bool),
    MaxWaiting(NonZeroU64),
    Capacity(Option<NonZeroU64>),
    FailStatus(f64),
}

/// The settings of a cell while they are collected; what is not given has its default.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub rpu: Option<NonZeroU64>,
    pub keys: NonZeroU64,
    pub key_skew: f64,
    pub payload_size: usize,
    pub io_delay: Option<Delay>,
    pub strategy: Option<StrategyKind>,
    pub start_rule: StartRule,
    pub workload: Workload,
    pub max_workers: Option<NonZeroU64>,
    pub timeout: Duration,
    pub retries: u32,
    pub cpu_offload: bool,
    pub max_waiting: NonZeroU64,
    pub capacity: Option<NonZeroU64>,
    pub fail_status: f64,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            rpu: None,
            keys: NonZeroU64::MIN,
            key_skew: 0.0,
            payload_size: 0,
            io_delay: None,
            strategy: None,
            start_rule: StartRule::AtArrival,
            workload: Workload::Http,
            max_workers: None,
            timeout: Duration::from_secs(30),
            retries: 0,
            cpu_offload: false,
            max_waiting: NonZeroU64::new(1_000_000).unwrap_or(NonZeroU64::MAX),
            capacity: None,
            fail_status: 0.0,
        }
    }
}

/// Calls in flight at once where a plan does not say: for the pools, Python's own defaults
/// (`ThreadPoolExecutor`: min(32, cores + 4); `ProcessPoolExecutor`: cores).
pub(super) fn default_max_workers(strategy: StrategyKind, cores: NonZeroUsize) -> NonZeroU64 {
    let workers = match strategy {
        StrategyKind::Sequential => 1,
        StrategyKind::Async => 1_000,
        StrategyKind::ThreadPool => cores.get().saturating_add(4).min(32),
        StrategyKind::ProcessPool => cores.get(),
    };
    NonZeroU64::new(workers as u64).unwrap_or(NonZeroU64::MIN)
}

impl Setting {
    /// The setting `name` with the value that `text` writes.
    ///
    /// # Errors
    /// One sentence that says which values are possible.
    pub(super) fn parse(name: &str, text: &str) -> Result<Self, String> {
        Ok(match name {
            "rpu" => Self::Rpu(at_least_one(text, 1_000_000)?),
            "keys" => Self::Keys(at_least_one(text, 100_000)?),
            "key_skew" => Self::KeySkew(between(text, 10.0)?),
            "payload_size" => Self::PayloadSize(whole(text, 0, 1_000_000)? as usize),
            "io_delay" => Self::IoDelay(
                text.parse()
                    .map_err(|error: wire::DelayError| error.to_string())?,
            ),
            "strategy" => Self::Strategy(named(text)?),
            "start_rule" => Self::StartRule(named(text)?),
            "workload" => Self::Workload(named(text)?),
            "max_workers" => Self::MaxWorkers(at_least_one(text, 100_000)?),
            "timeout" => Self::Timeout(above_zero(text)?),
            "retries" => Self::Retries(whole(text, 0, 100)? as u32),
            "cpu_offload" => Self::CpuOffload(
                text.parse()
                    .map_err(|_| format!("must be true or false, not `{text}`"))?,
            ),
            "max_waiting" => Self::MaxWaiting(at_least_one(text, 100_000_000)?),
            "capacity" if matches!(text, "unlimited" | "null") => Self::Capacity(None),
            "capacity" => Self::Capacity(Some(
                at_least_one(text, 1_000_000).map_err(|why| format!("{why}, or `unlimited`"))?,
            )),
            "fail_status" => Self::FailStatus(between(text, 1.0)?),
            _ => return Err(unknown(name)),
        })
    }

    /// The name of the setting.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Rpu(_) => "rpu",
            Self::Keys(_) => "keys",
            Self::KeySkew(_) => "key_skew",
            Self::PayloadSize(_) => "payload_size",
            Self::IoDelay(_) => "io_delay",
            Self::Strategy(_) => "strategy",
            Self::StartRule(_) => "start_rule",
            Self::Workload(_) => "workload",
            Self::MaxWorkers(_) => "max_workers",
            Self::Timeout(_) => "timeout",
            Self::Retries(_) => "retries",
            Self::CpuOffload(_) => "cpu_offload",
            Self::MaxWaiting(_) => "max_waiting",
            Self::Capacity(_) => "capacity",
            Self::FailStatus(_) => "fail_status",
        }
    }

    /// Puts the value where it belongs.
    pub(super) fn apply(&self, draft: &mut Draft) {
        match self {
            Self::Rpu(value) => draft.rpu = Some(*value),
            Self::Keys(value) => draft.keys = *value,
            Self::KeySkew(value) => draft.key_skew = *value,
            Self::PayloadSize(value) => draft.payload_size = *value,
            Self::IoDelay(value) => draft.io_delay = Some(value.clone()),
            Self::Strategy(value) => draft.strategy = Some(*value),
            Self::StartRule(value) => draft.start_rule = *value,
            Self::Workload(value) => draft.workload = *value,
            Self::MaxWorkers(value) => draft.max_workers = Some(*value),
            Self::Timeout(value) => draft.timeout = *value,
            Self::Retries(value) => draft.retries = *value,
            Self::CpuOffload(value) => draft.cpu_offload = *value,
            Self::MaxWaiting(value) => draft.max_waiting = *value,
            Self::Capacity(value) => draft.capacity = *value,
            Self::FailStatus(value) => draft.fail_status = *value,
        }
    }
}

/// `name=value` in letters that every file system takes.
impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.name())?;
        match self {
            Self::Rpu(value) | Self::Keys(value) | Self::MaxWorkers(value) | Self::MaxWaiting(value) => {
                write!(f, "{value}")
            }
            Self::KeySkew(value) | Self::FailStatus(value) => write!(f, "{value}"),
            Self::PayloadSize(value) => write!(f, "{value}"),
            Self::IoDelay(value) => {
                f.write_str(&value.to_string().replace(['(', ',', '='], "-").replace(')', ""))
            }
            Self::Strategy(value) => write!(f, "{value}"),
            Self::StartRule(value) => write!(f, "{value}"),
            Self::Workload(value) => write!(f, "{value}"),
            Self::Timeout(value) => f.write_str(&format_duration(*value)),
            Self::Retries(value) => write!(f, "{value}"),
            Self::CpuOffload(value) => write!(f, "{value}"),
            Self::Capacity(None) => f.write_str("unlimited"),
            Self::Capacity(Some(value)) => write!(f, "{value}"),
        }
    }
}

/// What is said of a setting that does not exist.
pub(super) fn unknown(name: &str) -> String {
    format!(
        "there is no setting `{name}`: expected one of {}",
        NAMES.join(", ")
    )
}

/// A whole number from `least` to `most`.
pub(super) fn whole(text: &str, least: u64, most: u64) -> Result<u64, String> {
    text.parse()
        .ok()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("must be a whole number from {least} to {most}, not `{text}`"))
}

/// A duration that is not zero.
pub(super) fn above_zero(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(Duration::ZERO) => Err("must be longer than 0".to_owned()),
        other => other.map_err(|error| error.to_string()),
    }
}

fn at_least_one(text: &str, most: u64) -> Result<NonZeroU64, String> {
    let number = whole(text, 1, most)?;
    NonZeroU64::new(number).ok_or_else(|| format!("must not be `{text}`"))
}

fn between(text: &str, most: f64) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|number| (0.0..=most).contains(number))
        .map(|number: f64| number + 0.0) // −0 becomes 0
        .ok_or_else(|| format!("must be a number from 0 to {most}, not `{text}`"))
}

fn named<T: std::str::FromStr<Err = wire::UnknownName>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: wire::UnknownName| error.to_string())
}
