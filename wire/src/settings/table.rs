//! The table: one entry for each setting. The doc comment of an entry is its meaning.

use std::num::{NonZeroU16, NonZeroU64, NonZeroUsize};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Program::{Endpoint, Generator, Udf};
use super::{Deadline, Form, Limit, Program, Scope, Setting, Shown, Typed, Value};
use crate::{Calls, Delay, HttpClient, HttpMethod, StartRule, Statuses, StrategyKind, Workload};

/// What most settings are: fixed or an axis, and where they vary they split cells.
const CELL: Setting = Setting {
    name: "",
    env: "",
    meaning: "",
    form: Form::Switch,
    default: "",
    scope: Scope::Cell { required: false },
    programs: &[],
    shown: Shown::Cell,
    label: "",
};

/// A setting of a strategy that splits it into series.
const SERIES: Setting = Setting {
    scope: Scope::Strategy,
    programs: &[Udf],
    shown: Shown::Series,
    ..CELL
};

/// A setting that must be given and has an axis or a column of its own.
const MAIN: Setting = Setting {
    scope: Scope::Cell { required: true },
    shown: Shown::Always,
    ..CELL
};

/// A share of calls that the endpoint fails in some way.
const FAILING: Setting = Setting {
    form: Form::Share,
    default: "0",
    programs: &[Endpoint],
    ..CELL
};

/// A setting of the whole plan that no program takes.
const PLAN: Setting = Setting {
    scope: Scope::Plan,
    shown: Shown::Never,
    ..CELL
};

macro_rules! settings {
    ($($(#[doc = $meaning:literal])+ $(#[serde($($serde:tt)+)])? $constant:ident $name:ident: $type:ty = $setting:expr;)+) => {
        $(
            $(#[doc = $meaning])+
            pub const $constant: Typed<$type> = Typed::new(Setting {
                name: stringify!($name),
                env: stringify!($constant),
                meaning: concat!($($meaning),+).trim_ascii_start(),
                ..$setting
            });
        )+

        /// Every setting, in the order of columns and labels.
        pub static TABLE: [Setting; [$(stringify!($name)),+].len()] = [$($constant.setting),+];

        /// Everything that the programs of one trial need to know.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        pub struct TrialSettings {
            $($(#[doc = $meaning])+ $(#[serde($($serde)+)])? pub $name: $type,)+
        }

        impl TrialSettings {
            /// Settings from canonical texts by name; where there is none, the default counts.
            ///
            /// # Errors
            /// Returns the first setting that has neither a readable text nor a default.
            pub fn from_texts<'a>(text: impl Fn(&Setting) -> Option<&'a str>) -> Result<Self, &'static Setting> {
                let [$($name),+] = &TABLE;
                Ok(Self {
                    $($name: <$type as Value>::read(text($name).unwrap_or($name.default)).ok_or($name)?,)+
                })
            }

            /// Each setting with its text, absent where a journal did not record it, and the rank of its value.
            pub fn values(&self) -> impl Iterator<Item = (&'static Setting, Option<String>, u128)> {
                let values = [$((self.$name.text(), self.$name.rank())),+];
                TABLE.iter().zip(values).map(|(setting, (text, rank))| (setting, text, rank))
            }
        }
    };
}

settings! {
    /// How calls are scheduled
    STRATEGY strategy: StrategyKind = Setting {
        form: Form::Name { set: "strategy", names: StrategyKind::NAMES },
        default: "async",
        programs: &[Udf],
        label: "strategy",
        ..MAIN
    };
    /// When a call may begin: when its event arrives, or when its window closes
    START_RULE start_rule: StartRule = Setting {
        form: Form::Name { set: "start rule", names: StartRule::NAMES },
        default: "at-arrival",
        label: "start rule",
        ..SERIES
    };
    /// What a call does: `http` calls the endpoint, `cpu` burns io_delay of processor time
    WORKLOAD workload: Workload = Setting {
        form: Form::Name { set: "workload", names: Workload::NAMES },
        default: "http",
        programs: &[Udf],
        label: "workload",
        ..CELL
    };
    /// Events per second, over all keys
    RPU rpu: NonZeroU64 = Setting {
        form: Form::Count { least: 1, most: 1_000_000 },
        default: "100",
        programs: &[Generator],
        label: "RPU",
        ..MAIN
    };
    /// Delay asked of the endpoint, or processor time of a call for the workload `cpu`
    IO_DELAY io_delay: Delay = Setting {
        form: Form::Delay,
        default: "0",
        programs: &[Udf],
        label: "delay",
        ..MAIN
    };
    /// Number of keys, named key-0 and on
    KEYS keys: NonZeroU64 = Setting {
        form: Form::Count { least: 1, most: 1_000_000 },
        default: "1",
        programs: &[Generator],
        label: "keys",
        ..CELL
    };
    /// Exponent of the keys' Zipf distribution; 0 deals the keys in turn
    KEY_SKEW key_skew: f64 = Setting {
        form: Form::Number { most: 10.0 },
        default: "0",
        programs: &[Generator],
        label: "key skew",
        ..CELL
    };
    /// Whether the reduce has windows for each key; without, one window holds the events of all keys, numbered by index
    #[serde(default, skip_serializing_if = "Option::is_none")]
    KEYED keyed: Option<bool> = Setting {
        form: Form::Switch,
        default: "true",
        programs: &[Generator],
        label: "keyed",
        ..CELL
    };
    /// Bytes of a message's payload; 0 for the smallest
    PAYLOAD_SIZE payload_size: usize = Setting {
        form: Form::Count { least: 0, most: 1_000_000 },
        default: "0",
        programs: &[Generator],
        label: "payload bytes",
        ..CELL
    };
    /// Calls in flight at once in one process [default: async 1000, thread-pool cores + 4 but at most 32, process-pool
    /// cores; sequential has one for each key and window, at most 1000 at once]
    MAX_WORKERS max_workers: NonZeroU64 = Setting {
        form: Form::Count { least: 1, most: 1_000_000 },
        label: "workers",
        ..SERIES
    };
    /// Move cpu work under async from the runtime's threads to threads of its own
    CPU_OFFLOAD cpu_offload: bool = Setting {
        form: Form::Switch,
        default: "false",
        label: "cpu offload",
        ..SERIES
    };
    /// What calls the endpoint: connections of hyper that the calling task or thread drives, or reqwest, with the same
    /// outcomes for more processor time
    #[serde(default, skip_serializing_if = "Option::is_none")]
    HTTP_CLIENT http_client: Option<HttpClient> = Setting {
        form: Form::Name {
            set: "HTTP client",
            names: HttpClient::NAMES,
        },
        default: "hyper",
        label: "HTTP client",
        ..SERIES
    };
    /// Threads that read the stream and, for sequential and async, make the calls [default: 1, which makes tens of
    /// thousands of calls a second; for cpu work that is not moved elsewhere as many as there are cores]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    RUNTIME_THREADS runtime_threads: Option<NonZeroU16> = Setting {
        form: Form::Count { least: 1, most: 1_024 },
        label: "runtime threads",
        ..SERIES
    };
    /// Timeout of one attempt
    #[serde(with = "crate::duration_text")]
    TIMEOUT timeout: Duration = Setting {
        form: Form::Duration,
        default: "30s",
        scope: Scope::Strategy,
        programs: &[Udf],
        label: "timeout",
        ..CELL
    };
    /// Method of a request; one with a body has an empty body
    #[serde(default, skip_serializing_if = "Option::is_none")]
    HTTP_METHOD http_method: Option<HttpMethod> = Setting {
        form: Form::Name {
            set: "method",
            names: HttpMethod::NAMES,
        },
        default: "GET",
        programs: &[Udf],
        label: "method",
        ..CELL
    };
    /// Whatever the method is, an attempt that may have reached the service may be made again, as with GET, HEAD, PUT and
    /// DELETE: by `retries`, and once more where a reused connection ends before a byte of the answer
    #[serde(default, skip_serializing_if = "Option::is_none")]
    IDEMPOTENT idempotent: Option<bool> = Setting {
        form: Form::Switch,
        default: "false",
        programs: &[Udf],
        label: "idempotent",
        ..CELL
    };
    /// How long a connection may stay unused before the UDF closes it
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::duration_text::optional")]
    IDLE_TIMEOUT idle_timeout: Option<Duration> = Setting {
        form: Form::Duration,
        default: "300s",
        programs: &[Udf],
        label: "idle timeout",
        ..CELL
    };
    /// Longest body of an answer; a longer one is a bad body
    #[serde(default, skip_serializing_if = "Option::is_none")]
    MAX_ANSWER_BYTES max_answer_bytes: Option<u64> = Setting {
        form: Form::Count { least: 1, most: 1_073_741_824 },
        default: "1048576",
        programs: &[Udf],
        label: "max answer bytes",
        ..CELL
    };
    /// Attempts after the first, with a pause that doubles and varies
    RETRIES retries: u32 = Setting {
        form: Form::Count { least: 0, most: 100 },
        default: "0",
        scope: Scope::Strategy,
        programs: &[Udf],
        label: "retries",
        ..CELL
    };
    /// Statuses of answers after which a call is made again
    #[serde(default, skip_serializing_if = "Option::is_none")]
    RETRY_STATUSES retry_statuses: Option<Statuses> = Setting {
        form: Form::Statuses,
        default: "408 425 429 500 502 503 504",
        scope: Scope::Strategy,
        programs: &[Udf],
        label: "retried statuses",
        ..CELL
    };
    /// Longest pause before the second attempt; it doubles with each further one, up to 5s or itself if that is longer
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::duration_text::optional")]
    RETRY_PAUSE retry_pause: Option<Duration> = Setting {
        form: Form::Wait,
        default: "50ms",
        scope: Scope::Strategy,
        programs: &[Udf],
        label: "retry pause",
        ..CELL
    };
    /// How long after the close of a window's first key its calls may last: what has not ended then is missed, which counts as
    /// failed, and the results are sent
    #[serde(default, skip_serializing_if = "Option::is_none")]
    CLOSE_DEADLINE close_deadline: Option<Deadline> = Setting {
        form: Form::Deadline,
        default: "none",
        programs: &[Udf],
        label: "close deadline",
        ..CELL
    };
    /// Events that may wait in memory for their call; at that bound reading stops, and the record says so
    MAX_WAITING max_waiting: NonZeroU64 = Setting {
        form: Form::Count { least: 1, most: 100_000_000 },
        default: "1000000",
        programs: &[Udf],
        label: "max waiting",
        ..CELL
    };
    /// Bytes of the events that may wait in memory for their call, payload and headers; at that bound reading stops, and the
    /// record says so [default: half of the memory of the container, or else of the machine]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    MAX_WAITING_BYTES max_waiting_bytes: Option<NonZeroU64> = Setting {
        form: Form::Count { least: 1, most: u64::MAX },
        programs: &[Udf],
        label: "max waiting bytes",
        ..CELL
    };
    /// Calls that the endpoint serves at once; the others wait in order of arrival, one for each connection
    CAPACITY capacity: Limit = Setting {
        form: Form::Limit { most: 1_000_000 },
        default: "unlimited",
        programs: &[Endpoint],
        label: "capacity",
        ..CELL
    };
    /// How long the endpoint keeps an idle connection; a request in the 100ms after that is not answered, as if it and the
    /// close had crossed on a network [default: without end]
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::duration_text::optional")]
    KEEP_ALIVE keep_alive: Option<Duration> = Setting {
        form: Form::Duration,
        programs: &[Endpoint],
        label: "keep-alive",
        ..CELL
    };
    /// Share of calls that the endpoint answers with an error's status
    FAIL_STATUS fail_status: f64 = Setting {
        label: "failing share",
        ..FAILING
    };
    /// Status of the answers that `fail_status` fails
    #[serde(default, skip_serializing_if = "Option::is_none")]
    FAIL_STATUS_CODE fail_status_code: Option<u16> = Setting {
        form: Form::Count { least: 400, most: 599 },
        default: "500",
        programs: &[Endpoint],
        label: "failing status",
        ..CELL
    };
    /// Share of calls whose connection the endpoint resets after their delay
    #[serde(default, skip_serializing_if = "Option::is_none")]
    FAIL_RESET fail_reset: Option<f64> = Setting {
        label: "reset share",
        ..FAILING
    };
    /// Share of calls that the endpoint never answers; each holds its slot of `capacity` until the client disconnects
    #[serde(default, skip_serializing_if = "Option::is_none")]
    FAIL_HANG fail_hang: Option<f64> = Setting {
        label: "hanging share",
        ..FAILING
    };
    /// Share of calls whose answer's body ends before its announced length
    #[serde(default, skip_serializing_if = "Option::is_none")]
    FAIL_BODY fail_body: Option<f64> = Setting {
        label: "broken share",
        ..FAILING
    };
    /// Length of a window
    #[serde(with = "crate::duration_text")]
    WINDOW window: Duration = Setting {
        form: Form::Millis,
        default: "10s",
        scope: Scope::Anywhere,
        label: "window",
        ..CELL
    };
    /// How long the data plane waits for a read batch to fill
    #[serde(with = "crate::duration_text")]
    READ_TIMEOUT read_timeout: Duration = Setting {
        form: Form::Millis,
        default: "200ms",
        scope: Scope::Anywhere,
        label: "read timeout",
        ..CELL
    };
    /// Windows of a trial that are run first and not measured
    WARMUP warmup: u32 = Setting {
        form: Form::Count { least: 0, most: 10_000 },
        default: "2",
        ..PLAN
    };
    /// Windows of a trial that are measured
    WINDOWS windows: u32 = Setting {
        form: Form::Count { least: 1, most: 10_000 },
        default: "16",
        ..PLAN
    };
    /// Share of failed calls above which the outcome of a trial is `calls failed` [default: what the plan asks the endpoint
    /// to fail, plus 1%]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    MAX_FAILED max_failed: Option<f64> = Setting {
        form: Form::Share,
        ..PLAN
    };
    /// For which events the UDF calls the endpoint, whose count is compared with the records: `some` where it filters,
    /// `none` where it computes
    #[serde(default, skip_serializing_if = "Option::is_none")]
    CALLS calls: Option<Calls> = Setting {
        form: Form::Name { set: "calls", names: Calls::NAMES },
        default: "each",
        ..PLAN
    };
    /// Seed of keys, failures and random delays; each repeat adds one
    SEED seed: u64 = Setting {
        form: Form::Count { least: 0, most: u64::MAX },
        default: "1",
        programs: &[Generator, Endpoint],
        ..PLAN
    };
}

/// Calls of `sequential` in flight at once in one process, however many keys there are: each holds a connection.
pub const SEQUENTIAL_MOST: u64 = 1_000;

/// Calls in flight at once where [`MAX_WORKERS`] is not given, on a machine with so many cores. The pools' are those of
/// Python's `concurrent.futures` (`ThreadPoolExecutor`: cores + 4, at most 32; `ProcessPoolExecutor`: cores).
pub fn default_max_workers(strategy: StrategyKind, cores: NonZeroUsize) -> NonZeroU64 {
    let workers = match strategy {
        StrategyKind::Sequential => 1,
        StrategyKind::Async => 1_000,
        StrategyKind::ThreadPool => cores.get().saturating_add(4).min(32),
        StrategyKind::ProcessPool => cores.get(),
    };
    NonZeroU64::new(workers as u64).unwrap_or(NonZeroU64::MIN)
}

impl TrialSettings {
    /// The settings that a program takes, each with its text; those that a journal did not record are left out.
    pub fn of_program(&self, program: Program) -> impl Iterator<Item = (&'static Setting, String)> {
        self.values()
            .filter(move |(setting, ..)| setting.is_for(program))
            .filter_map(|(setting, text, _)| Some((setting, text?)))
    }

    /// The default of every setting, with the limit of `async`.
    ///
    /// # Errors
    /// Returns a setting whose default is no value of it; a test holds that there is none.
    pub fn defaults() -> Result<Self, &'static Setting> {
        let max_workers = default_max_workers(StrategyKind::Async, NonZeroUsize::MIN).to_string();
        Self::from_texts(|setting| (setting.name == MAX_WORKERS.name).then_some(max_workers.as_str()))
    }

    /// The shares of calls that the endpoint fails: with a status, a reset, a hang, a broken body. What a journal did not
    /// record was not possible then.
    pub fn failing(&self) -> [(&'static Setting, f64); 4] {
        [
            (&FAIL_STATUS.setting, self.fail_status),
            (&FAIL_RESET.setting, self.fail_reset.unwrap_or_default()),
            (&FAIL_HANG.setting, self.fail_hang.unwrap_or_default()),
            (&FAIL_BODY.setting, self.fail_body.unwrap_or_default()),
        ]
    }

    /// The share of calls that the endpoint fails so that they are made again. A journal without statuses is of a program
    /// that made a call again after any.
    pub fn retried_share(&self) -> f64 {
        let status = self.fail_status_code.unwrap_or(500);
        let retried = |setting: &Setting| {
            setting.name != FAIL_STATUS.name
                || self
                    .retry_statuses
                    .as_ref()
                    .is_none_or(|statuses| statuses.contains(status))
        };
        let shares = self.failing().into_iter().filter(|(setting, _)| retried(setting));
        shares.map(|(_, share)| share).sum::<f64>().min(1.0)
    }

    /// The share of calls that the endpoint fails in any of these ways.
    pub fn failing_share(&self) -> f64 {
        self.failing()
            .iter()
            .map(|(_, share)| share)
            .sum::<f64>()
            .min(1.0)
    }

    /// Whether the reduce is keyed; journals that do not record it are of keyed ones.
    pub fn is_keyed(&self) -> bool {
        self.keyed != Some(false)
    }

    /// Number of keys by which the reduce groups events: one for all if it is not keyed.
    pub fn reduce_keys(&self) -> NonZeroU64 {
        match self.is_keyed() {
            true => self.keys,
            false => NonZeroU64::MIN,
        }
    }

    /// How long after the close of a window's first key its calls may last, if that is bounded; journals that do not record
    /// it are of windows without a bound.
    pub fn close_deadline(&self) -> Option<Duration> {
        self.close_deadline.and_then(|deadline| deadline.0)
    }

    /// Events that are due in one window.
    pub fn events_per_window(&self) -> u64 {
        (self.rpu.get() as f64 * self.window.as_secs_f64()).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Python's `os.cpu_count()`.
    const CORES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(3);

    #[test]
    fn every_default_is_the_one_spelling_of_a_value() {
        for setting in &TABLE {
            // Empty where it depends on other settings.
            if !setting.default.is_empty() {
                assert_eq!(
                    setting.form.canonical(setting.default).as_deref(),
                    Ok(setting.default),
                    "{}",
                    setting.name
                );
            }
        }
    }

    #[test]
    fn names_environment_and_flags_are_one_name() {
        for setting in &TABLE {
            assert_eq!(setting.env.to_ascii_lowercase(), setting.name);
            assert_eq!(setting.flag().replace('-', "_"), setting.name);
            assert!(
                !setting.meaning.is_empty() && !setting.meaning.ends_with('.'),
                "{}",
                setting.name
            );
            assert!(setting.shown == Shown::Never || !setting.label.is_empty());
            assert_eq!(
                Setting::named(setting.name).map(|found| found.env),
                Some(setting.env)
            );
        }
        assert!(Setting::named("rps").is_none());
    }

    #[test]
    fn texts_and_values_are_the_same_settings() {
        let settings = TrialSettings::defaults().unwrap();
        assert_eq!(
            (settings.rpu.get(), settings.window),
            (100, Duration::from_secs(10))
        );
        let texts: Vec<(&str, String)> = settings
            .values()
            .filter_map(|(setting, text, _)| Some((setting.name, text?)))
            .collect();
        let open = ["keep_alive", "max_failed", "max_waiting_bytes", "runtime_threads"];
        assert_eq!(
            texts.len(),
            TABLE.len() - open.len(),
            "all but {open:?}, which are left to a rule"
        );
        let again = TrialSettings::from_texts(|setting| {
            texts
                .iter()
                .find(|(name, _)| *name == setting.name)
                .map(|(_, text)| text.as_str())
        });
        assert_eq!(again.as_ref(), Ok(&settings));
        let json = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<TrialSettings>(&json).unwrap(), settings);
    }

    /// Today's default does not stand in for what was not recorded.
    #[test]
    fn a_setting_that_a_journal_lacks_has_no_text() {
        let mut json = serde_json::to_value(TrialSettings::defaults().unwrap()).unwrap();
        assert_eq!(json["http_client"], "hyper");
        json.as_object_mut().unwrap().remove("http_client");
        let settings: TrialSettings = serde_json::from_value(json).unwrap();
        let text = |name| {
            settings
                .values()
                .find(|(setting, ..)| setting.name == name)
                .unwrap()
                .1
        };
        assert_eq!(
            (text("http_client"), text("timeout")),
            (None, Some("30s".to_owned()))
        );
        assert!(
            settings
                .of_program(Program::Udf)
                .all(|(setting, _)| setting.name != "http_client")
        );
    }

    #[test]
    fn a_setting_without_text_and_default_is_named() {
        let missing = TrialSettings::from_texts(|_| None).unwrap_err();
        assert_eq!(missing.name, "max_workers");
    }

    #[test]
    fn the_pools_defaults_are_pythons() {
        let of = |strategy, cores| default_max_workers(strategy, cores).get();
        assert_eq!(of(StrategyKind::Sequential, CORES), 1);
        assert_eq!(of(StrategyKind::Async, CORES), 1_000);
        assert_eq!(of(StrategyKind::ThreadPool, CORES), 8);
        assert_eq!(of(StrategyKind::ThreadPool, NonZeroUsize::MAX), 32);
        assert_eq!(of(StrategyKind::ProcessPool, CORES), 4);
    }

    #[test]
    fn shares_are_numbers_or_percentages_from_0_to_1() {
        for (text, share) in [
            ("0.05", "0.05"),
            ("5%", "0.05"),
            ("0", "0"),
            ("100%", "1"),
            ("1e-2%", "0.0001"),
        ] {
            assert_eq!(FAIL_RESET.form.canonical(text).as_deref(), Ok(share), "{text}");
        }
        for text in ["", "%", "1.1", "-0.1", "101%", "nan", "inf", "half", "5 %"] {
            assert_eq!(
                FAIL_RESET.read_given(text),
                Err(super::super::FormError::Share(text.to_owned())),
                "{text}"
            );
        }
    }

    #[test]
    fn values_have_one_spelling_each() {
        for (setting, text, canonical) in [
            (*RPU, "007", "7"),
            (*KEY_SKEW, "-0", "0"),
            (*TIMEOUT, "1000ms", "1s"),
            (*CAPACITY, "null", "unlimited"),
            (*RPU, "1e3", "1000"),
            (*RPU, "1.0", "1"),
            (*CAPACITY, "1e3", "1000"),
            (*SEED, "18446744073709551615", "18446744073709551615"),
            (*FAIL_STATUS, "5%", "0.05"),
            (*FAIL_STATUS, "0.7%", "0.007"),
            (*FAIL_HANG, "1e-3", "0.001"),
            (*CPU_OFFLOAD, "True", "true"),
            (*WINDOW, "1m30s", "90s"),
            (*TIMEOUT, "200\u{b5}s", "200us"),
            (*IO_DELAY, "uniform(1000us,2ms)", "uniform(1ms,2ms)"),
            (*CLOSE_DEADLINE, "0.5s", "500ms"),
            (*CLOSE_DEADLINE, "null", "none"),
        ] {
            assert_eq!(
                setting.form.canonical(text).as_deref(),
                Ok(canonical),
                "{}",
                setting.name
            );
        }
        for (setting, text, why) in [
            (*RPU, "0", "must be a whole number from 1 to 1000000, not `0`"),
            (*RPU, "1.5", "must be a whole number from 1 to 1000000, not `1.5`"),
            (*SEED, "-1", "must be a whole number, not `-1`"),
            (
                *FAIL_STATUS_CODE,
                "200",
                "must be a whole number from 400 to 599, not `200`",
            ),
            (
                *CAPACITY,
                "0",
                "must be a whole number from 1 to 1000000, or `unlimited`, not `0`",
            ),
            (*KEY_SKEW, "NaN", "must be a number from 0 to 10, not `NaN`"),
            (
                *FAIL_STATUS,
                "101%",
                "must be a number from 0 to 1, like 0.05, or a percentage, like 5%, not `101%`",
            ),
            (*WINDOW, "1500us", "must be whole milliseconds, not `1500us`"),
            (*TIMEOUT, "0", "must be longer than 0"),
            (*CLOSE_DEADLINE, "0", "must be longer than 0"),
            (*CPU_OFFLOAD, "maybe", "must be true or false, not `maybe`"),
            (
                *START_RULE,
                "soon",
                "unknown start rule `soon`: expected one of at-arrival, at-close",
            ),
            (
                *START_RULE,
                "at_arrival",
                "unknown start rule `at_arrival`: did you mean `at-arrival`?",
            ),
            (
                *STRATEGY,
                "Async",
                "unknown strategy `Async`: did you mean `async`?",
            ),
        ] {
            assert_eq!(
                setting.form.canonical(text).unwrap_err().to_string(),
                why,
                "{}",
                setting.name
            );
        }
    }

    proptest! {
        /// A text that is read has one spelling, which is read as itself and as a value of the setting's type.
        #[test]
        fn what_is_read_has_one_spelling(
            at in any::<prop::sample::Index>(),
            text in prop_oneof![
                "\\PC{0,24}",
                "-?[0-9]{1,20}(\\.[0-9]{1,3})?(e[0-9]{1,2})?%?",
                "([0-9]{1,3}(\\.[0-9])?(ns|us|\u{b5}s|ms|s|m|h)){1,3}",
            ],
        ) {
            let setting = at.get(&TABLE);
            if let Ok(canonical) = setting.form.canonical(&text) {
                prop_assert_eq!(setting.form.canonical(&canonical), Ok(canonical.clone()));
                let max_workers = (setting.name != MAX_WORKERS.name).then_some("1");
                let read = TrialSettings::from_texts(|other| {
                    if other.name == setting.name { Some(canonical.as_str()) } else { max_workers.filter(|_| other.name == MAX_WORKERS.name) }
                });
                let read = read.map_err(|setting| TestCaseError::fail(setting.name))?;
                let (_, written, _) = read.values().find(|(other, ..)| other.name == setting.name).unwrap();
                prop_assert_eq!(written, Some(canonical));
            }
        }
    }
}
