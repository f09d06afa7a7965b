//! The plan of a search: the cells of a plan without the setting whose levels are tried, with trials as a search needs them.

use std::num::NonZeroUsize;
use std::time::Duration;

use wire::format_duration;
use wire::settings::{RPU, Setting, WARMUP, WINDOW, WINDOWS};

use super::file::{Given, PlanFile};
use super::flags::FLAG;
use super::{Plan, PlanError, Refusal, text};
use crate::search::{Effort, Quantity};
use crate::sustained;

/// How long a trial waits for results, in windows: a rate that is sustained is one window behind at most.
const CUT_OFF_WINDOWS: u32 = 5;
const LEAST_CUT_OFF: Duration = Duration::from_secs(5);

impl Plan {
    /// The cells in which a search is made, each as one trial of the number of windows that the thresholds and the effort
    /// need; with the plan's text. What the file and the flags say of the setting that is searched, of repeats and of the
    /// number of windows has no effect.
    ///
    /// # Errors
    /// Returns an error with line and field, or with the flag, if the plan cannot be run.
    pub fn for_search(
        file: Option<(&str, &str)>,
        flags: &[(&'static str, String)],
        quantity: Quantity,
        effort: &Effort,
    ) -> Result<(Self, String), PlanError> {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let refused = |refusal| PlanError {
            file: file.map_or("", |(_, name)| name).to_owned(),
            refusal,
        };
        let mut written = Self::written(file, flags).map_err(refused)?;
        change(&mut written, quantity, effort);
        let plan = Self::of(&written, cores).map_err(refused)?;
        let trials = plan.trials();
        if let Some(trial) = trials
            .iter()
            .find(|trial| !quantity.is_of(trial.settings.strategy))
        {
            let problem = format!(
                "`{}` has no workers to search for: leave it out",
                trial.settings.strategy
            );
            return Err(refused(Refusal::at(FLAG, "strategy", problem)));
        }
        let lengths = || trials.iter().map(|trial| trial.settings.window);
        let (shortest, longest) = (lengths().min(), lengths().max().unwrap_or_default());
        let windows = plan
            .windows
            .max(shortest.map_or(0, |shortest| effort.windows(shortest)));
        set_windows(&mut written, windows);
        written.cut_off = plan.cut_off.min((longest * CUT_OFF_WINDOWS).max(LEAST_CUT_OFF));
        let plan = Self::of(&written, cores).map_err(refused)?;
        Ok(named(plan, written))
    }
}

fn named(mut plan: Plan, mut written: PlanFile) -> (Plan, String) {
    if written.name.is_empty() {
        written.name = format!("run-{:06x}", plan.hash() & 0xff_ffff);
        plan.name.clone_from(&written.name);
    }
    let text = text::text(&written);
    (plan, text)
}

fn change(written: &mut PlanFile, quantity: Quantity, effort: &Effort) {
    let searched = quantity.setting();
    let is_other = |given: &Given| given.setting.name != searched.name;
    written.fixed.retain(is_other);
    written.axes.retain(|axis| axis.setting.name != searched.name);
    for level in written.axes.iter_mut().flat_map(|axis| &mut axis.levels) {
        level.given.retain(is_other);
    }
    let has_window = written.line_of(WINDOW.name).is_some();
    if !has_window {
        written.fixed.push(given(&WINDOW, format_duration(effort.window)));
    }
    if quantity == Quantity::Capacity {
        // Every cell needs one; each trial has its own.
        written.fixed.push(given(&RPU, RPU.default.to_owned()));
    }
    let objective: Vec<_> = written
        .thresholds
        .iter()
        .map(|(threshold, _)| threshold.clone())
        .collect();
    let windows = sustained::windows_needed(&objective);
    written.repeats = 1;
    written.top.retain(|given| given.setting.name != WARMUP.name);
    written.top.push(given(&WARMUP, sustained::WARMUP.to_string()));
    set_windows(written, windows);
}

fn set_windows(written: &mut PlanFile, windows: u32) {
    written.top.retain(|given| given.setting.name != WINDOWS.name);
    written.top.push(given(&WINDOWS, windows.to_string()));
}

const fn given(setting: &'static Setting, text: String) -> Given {
    Given {
        setting,
        text,
        line: FLAG,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = "name: p\nwindows: 3\nrepeats: 4\ncut_off: 60s\nfixed: {io_delay: 20ms}\n\
                        axes: {rpu: [10, 20], strategy: [async, {strategy: thread-pool, max_workers: 8}]}\n";

    fn searched(text: &str, flags: &[(&'static str, &str)], quantity: Quantity) -> Result<Plan, String> {
        with_effort(text, flags, quantity, &Effort::local(quantity))
    }

    fn with_effort(
        text: &str,
        flags: &[(&'static str, &str)],
        quantity: Quantity,
        effort: &Effort,
    ) -> Result<Plan, String> {
        let flags: Vec<_> = flags
            .iter()
            .map(|(name, text)| (*name, (*text).to_owned()))
            .collect();
        let (plan, text) = Plan::for_search(Some((text, "plan.yaml")), &flags, quantity, effort)
            .map_err(|error| error.to_string())?;
        let again = Plan::parse(&text, "again").map_err(|error| format!("{text}: {error}"))?;
        assert_eq!(again.hash(), plan.hash(), "{text}");
        Ok(plan)
    }

    #[test]
    fn cells_are_those_without_the_setting_that_is_searched() {
        let plan = searched(PLAN, &[], Quantity::Capacity).unwrap();
        let trials = plan.trials();
        let ids: Vec<&str> = trials.iter().map(|trial| trial.id.as_str()).collect();
        assert_eq!(ids, ["strategy=async,repeat=0", "strategy=thread-pool,repeat=0"]);
        let settings = &trials[1].settings;
        assert_eq!((settings.warmup, settings.windows), (1, 10));
        assert_eq!(
            (settings.window, plan.cut_off),
            (Duration::from_secs(2), Duration::from_secs(10))
        );
        assert_eq!(settings.max_workers.get(), 8);

        let demand = searched(PLAN, &[("window", "500ms")], Quantity::Demand).unwrap();
        let trials = demand.trials();
        assert_eq!(trials.len(), 4);
        assert!(
            trials
                .iter()
                .all(|trial| trial.settings.window == Duration::from_millis(500))
        );
        assert_eq!(demand.cut_off, Duration::from_secs(5));
    }

    #[test]
    fn the_objective_sets_the_number_of_windows() {
        let plan = searched(PLAN, &[("threshold", "close_tail p95 < 1s")], Quantity::Capacity).unwrap();
        assert_eq!((plan.windows, plan.thresholds.len()), (20, 1));
    }

    #[test]
    fn a_trial_in_a_cluster_measures_for_two_minutes() {
        let cluster = |flags: &[_]| with_effort(PLAN, flags, Quantity::Capacity, &Effort::CLUSTER).unwrap();
        let plan = cluster(&[]);
        assert_eq!(plan.trials()[0].settings.window, Duration::from_secs(12));
        assert_eq!((plan.windows, plan.cut_off), (10, Duration::from_secs(60)));
        assert_eq!(cluster(&[("window", "7s")]).windows, 18);
        assert_eq!(cluster(&[("window", "1m")]).windows, 10);
    }

    #[test]
    fn a_strategy_without_workers_has_no_demand() {
        let error = searched(
            "name: p\nfixed: {rpu: 9, io_delay: 1ms, strategy: sequential}",
            &[],
            Quantity::Demand,
        );
        assert!(error.unwrap_err().contains("`sequential` has no workers"));
    }
}
