//! The plans of an advice: the cells of a plan for every strategy and start rule that it leaves open, and the trials that
//! show whether what was advised holds.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use wire::settings::{MAX_WORKERS, START_RULE, STRATEGY, Scope, Setting, WARMUP, WINDOWS};
use wire::{StartRule, StrategyKind};

use super::file::{Axis, Given, Level, PlanFile};
use super::flags::FLAG;
use super::{Plan, PlanError, Refusal, text};
use crate::search::REPEATS;
use crate::sustained;
use crate::threshold::Threshold;
use crate::trial::TrialSettings;

/// How long a trial's measured windows last at least: the lag of short windows varies by a larger part of them.
const LEAST_MEASURED: Duration = Duration::from_secs(30);

/// How long a trial waits for results, in windows.
const CUT_OFF_WINDOWS: u32 = 5;
const LEAST_CUT_OFF: Duration = Duration::from_secs(5);

impl Plan {
    /// The settings that an advice chooses from, each as one trial, with the plan's text. A strategy or start rule that
    /// neither the file nor the flags give is open: all are chosen from. The file's `max_workers` and `repeats` have no
    /// effect.
    ///
    /// # Errors
    /// Returns an error with line and field, or with the flag, if the plan cannot be run or a flag gives `max_workers`.
    pub fn for_advice(
        file: Option<(&str, &str)>,
        flags: &[(&'static str, String)],
    ) -> Result<(Self, String), PlanError> {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let refused = |refusal| PlanError {
            file: file.map_or("", |(_, name)| name).to_owned(),
            refusal,
        };
        if flags.iter().any(|(name, _)| *name == MAX_WORKERS.name) {
            let problem =
                "is what the advice finds: leave it out, or see what it does by `experiment predict`";
            return Err(refused(Refusal::at(FLAG, MAX_WORKERS.name, problem)));
        }
        let mut written = Self::written(file, flags).map_err(refused)?;
        leave_open(&mut written);
        let mut plan = Self::of(&written, cores).map_err(refused)?;
        if written.name.is_empty() {
            written.name = format!("run-{:06x}", plan.hash() & 0xff_ffff);
            plan.name.clone_from(&written.name);
        }
        Ok((plan, text::text(&written)))
    }
}

impl Plan {
    /// The trials of settings with each of these numbers of workers, in their order, as often as a trial may be repeated
    /// until it is decided; with the plan's text.
    ///
    /// # Errors
    /// Returns an error if the settings cannot be run.
    pub fn of_workers(
        name: &str,
        settings: &TrialSettings,
        workers: &[NonZeroU64],
        objective: &[Threshold],
    ) -> Result<(Self, String), PlanError> {
        let refused = |refusal| PlanError {
            file: name.to_owned(),
            refusal,
        };
        let mut written = PlanFile::empty(FLAG);
        written.name = name.to_owned();
        written.repeats = REPEATS + 1;
        written.cut_off = (settings.window * CUT_OFF_WINDOWS).max(LEAST_CUT_OFF);
        written.thresholds = objective.iter().map(|one| (one.clone(), FLAG)).collect();
        let lasting = LEAST_MEASURED.as_secs_f64() / settings.window.as_secs_f64();
        let windows = sustained::windows_needed(objective).max(lasting.ceil() as u32);
        let given = |setting, text| Given {
            setting,
            text,
            line: FLAG,
        };
        for (setting, text, _) in settings.values() {
            let text = match setting.name {
                name if name == WARMUP.name => Some(sustained::WARMUP.to_string()),
                name if name == WINDOWS.name => Some(windows.to_string()),
                name if name == MAX_WORKERS.name => None,
                _ => text.filter(|text| text != setting.default || setting.is_required()),
            };
            let place = match setting.scope {
                Scope::Plan => &mut written.top,
                Scope::Cell { .. } | Scope::Strategy | Scope::Anywhere => &mut written.fixed,
            };
            place.extend(text.map(|text| given(setting, text)));
        }
        let level = |workers: &NonZeroU64| Level {
            given: vec![given(&MAX_WORKERS, workers.to_string())],
            line: FLAG,
        };
        written.axes.push(Axis {
            setting: &MAX_WORKERS,
            line: FLAG,
            levels: workers.iter().map(level).collect(),
        });
        let plan = Self::of(&written, NonZeroUsize::MIN).map_err(refused)?;
        Ok((plan, text::text(&written)))
    }
}

fn leave_open(written: &mut PlanFile) {
    let is_other = |given: &Given| given.setting.name != MAX_WORKERS.name;
    written.fixed.retain(is_other);
    written.axes.retain(|axis| axis.setting.name != MAX_WORKERS.name);
    for axis in &mut written.axes {
        let mut levels: Vec<Level> = Vec::new();
        for mut level in std::mem::take(&mut axis.levels) {
            level.given.retain(is_other);
            // They differed in their workers alone.
            if !levels.contains(&level) {
                levels.push(level);
            }
        }
        axis.levels = levels;
    }
    written.repeats = 1;
    open(written, &STRATEGY, StrategyKind::NAMES);
    open(written, &START_RULE, StartRule::NAMES);
}

/// Makes a setting that is not given an axis of all its values.
fn open(written: &mut PlanFile, setting: &'static Setting, names: &[&str]) {
    if written.line_of(setting.name).is_some() {
        return;
    }
    let level = |name: &&str| Level {
        given: vec![Given {
            setting,
            text: (*name).to_owned(),
            line: FLAG,
        }],
        line: FLAG,
    };
    written.axes.push(Axis {
        setting,
        line: FLAG,
        levels: names.iter().map(level).collect(),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(file: Option<&str>, flags: &[(&'static str, &str)]) -> Result<Vec<String>, String> {
        let flags: Vec<_> = flags
            .iter()
            .map(|(name, text)| (*name, (*text).to_owned()))
            .collect();
        let (plan, text) = Plan::for_advice(file.map(|text| (text, "plan.yaml")), &flags)
            .map_err(|error| error.to_string())?;
        assert_eq!(Plan::parse(&text, "again").unwrap().hash(), plan.hash(), "{text}");
        Ok(plan.trials().into_iter().map(|trial| trial.id).collect())
    }

    #[test]
    fn what_is_not_given_is_open() {
        let all = ids(None, &[("rpu", "300"), ("io_delay", "80ms")]).unwrap();
        assert_eq!(all.len(), 8);
        assert_eq!(all[0], "strategy=sequential,start_rule=at-arrival,repeat=0");
        assert_eq!(all[7], "strategy=process-pool,start_rule=at-close,repeat=0");
        let given = [
            ("rpu", "300"),
            ("io_delay", "80ms"),
            ("strategy", "async"),
            ("start_rule", "at-close"),
        ];
        assert_eq!(ids(None, &given).unwrap(), ["repeat=0"]);
    }

    #[test]
    fn workers_are_run_in_trials_that_decide() {
        let given = [
            ("rpu", "30"),
            ("io_delay", "lognormal(50=8ms,99=40ms)"),
            ("window", "1s"),
            ("seed", "7"),
        ];
        let given: Vec<_> = given
            .iter()
            .map(|(name, text)| (*name, (*text).to_owned()))
            .collect();
        let (plan, _) = Plan::for_advice(None, &given).unwrap();
        let mut settings = plan.trials().remove(2).settings;
        settings.runtime_threads = None;
        let workers = [NonZeroU64::new(9).unwrap(), NonZeroU64::new(4).unwrap()];
        let objective = ["close_tail p90 < 500ms".parse().unwrap()];
        let (plan, text) = Plan::of_workers("a-verified", &settings, &workers, &objective).unwrap();
        let trials = plan.trials();
        assert_eq!(
            (trials.len(), trials[1].id.as_str()),
            (8, "max_workers=4,repeat=0")
        );
        assert_eq!((plan.warmup, plan.windows, plan.cut_off), (1, 30, LEAST_CUT_OFF));
        assert_eq!(
            TrialSettings {
                max_workers: settings.max_workers,
                warmup: settings.warmup,
                windows: settings.windows,
                ..trials[0].settings.clone()
            },
            settings
        );
        assert_eq!(Plan::parse(&text, "again").unwrap().hash(), plan.hash(), "{text}");
    }

    #[test]
    fn the_workers_of_a_file_have_no_effect_and_those_of_a_flag_are_refused() {
        let plan = "name: p\nrepeats: 3\nfixed: {rpu: 9, io_delay: 1ms, start_rule: at-arrival}\n\
                    axes: {strategy: [async, {strategy: thread-pool, max_workers: 8}, {strategy: thread-pool, max_workers: 9}]}\n";
        assert_eq!(
            ids(Some(plan), &[]).unwrap(),
            ["strategy=async,repeat=0", "strategy=thread-pool,repeat=0"]
        );
        let refused = ids(Some(plan), &[("max_workers", "9")]).unwrap_err();
        assert!(
            refused.starts_with("--max-workers: is what the advice finds"),
            "{refused}"
        );
    }
}
