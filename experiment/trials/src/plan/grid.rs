//! Fixed settings and axes become trials: the product of the levels, with names, in an order.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use wire::StrategyKind;

use super::file::{Axis, Level, PlanFile};
use super::setting::{Draft, Setting, default_max_workers};
use super::{MAX_TRIALS, Order, fnv1a, meaning, yaml};
use crate::trial::{Trial, TrialSettings};

/// The seed of a plan that names none.
pub(super) const DEFAULT_SEED: u64 = 1;

/// The longest name of a trial; longer ones end in a hash of the whole. File systems take 255 bytes.
const LONGEST_ID: usize = 180;

/// Why settings cannot be run beside each other, and where that was written.
#[derive(Debug)]
pub(super) struct Conflict {
    pub path: Vec<Step>,
    pub problem: String,
}

/// One step from a value into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(&'static str),
    Item(usize),
}

impl Step {
    pub(super) fn as_step(&self) -> yaml::Step<'_> {
        match self {
            Self::Key(key) => yaml::Step::Key(key),
            Self::Item(index) => yaml::Step::Item(*index),
        }
    }
}

impl Conflict {
    fn at(path: impl IntoIterator<Item = Step>, problem: String) -> Self {
        Self {
            path: path.into_iter().collect(),
            problem,
        }
    }

    /// The path as text: `axes.strategy[1].max_workers`.
    pub(super) fn field(&self) -> String {
        self.path.iter().fold(String::new(), |text, step| match step {
            Step::Key(key) if text.is_empty() => (*key).to_owned(),
            Step::Key(key) => format!("{text}.{key}"),
            Step::Item(index) => format!("{text}[{index}]"),
        })
    }
}

/// The trials of a plan in the order in which they are run.
pub(super) fn trials(plan: &PlanFile, cores: NonZeroUsize) -> Result<Vec<Trial>, Conflict> {
    check_times(plan)?;
    check_settings(plan)?;
    let axes = &plan.axes.0;
    let cells = axes
        .iter()
        .try_fold(1usize, |cells, axis| cells.checked_mul(axis.levels.len()));
    let total = cells.and_then(|cells| cells.checked_mul(plan.repeats as usize));
    let Some((cells, _)) = cells.zip(total.filter(|total| *total <= MAX_TRIALS)) else {
        let problem =
            format!("the plan has more than {MAX_TRIALS} trials; take levels, axes or repeats away");
        return Err(Conflict::at([Step::Key("axes")], problem));
    };
    let mut trials = Vec::new();
    let mut cell_of: BTreeMap<String, String> = BTreeMap::new();
    for repeat in 0..plan.repeats {
        for cell in 0..cells {
            let levels = levels_of_cell(axes, cell);
            let settings = settings(plan, &levels, repeat, cores)?;
            let id = id(axes, &levels, repeat);
            if let Some(other) = cell_of
                .insert(meaning(&settings), id.clone())
                .filter(|_| repeat == 0)
            {
                let problem =
                    format!("`{id}` would be the same trial as `{other}`; take one of the levels away");
                return Err(Conflict::at([Step::Key("axes")], problem));
            }
            trials.push(Trial { id, repeat, settings });
        }
    }
    if plan.order == Order::Shuffled {
        shuffle(&mut trials, plan.seed.unwrap_or(DEFAULT_SEED));
    }
    Ok(trials)
}

fn check_times(plan: &PlanFile) -> Result<(), Conflict> {
    if plan.read_timeout > plan.window {
        let problem = "must not be longer than the window: no window would close in its time".to_owned();
        return Err(Conflict::at([Step::Key("read_timeout")], problem));
    }
    if plan.order == Order::Shuffled && plan.seed.is_none() {
        let problem =
            "`shuffled` needs a seed, so that it is the same order every time; add `seed: 1`".to_owned();
        return Err(Conflict::at([Step::Key("order")], problem));
    }
    Ok(())
}

/// No setting may be given twice, and no level of an axis.
fn check_settings(plan: &PlanFile) -> Result<(), Conflict> {
    let axes = &plan.axes.0;
    for axis in axes {
        let here = [Step::Key("axes"), Step::Key(axis.name)];
        if plan.fixed.0.iter().any(|setting| setting.name() == axis.name) {
            let problem = "is also fixed; keep it in `fixed` or in `axes`".to_owned();
            return Err(Conflict::at(here, problem));
        }
        for (index, level) in axis.levels.iter().enumerate() {
            let at = |problem| Conflict::at(here.iter().cloned().chain([Step::Item(index)]), problem);
            if let Some(first) = axis.levels[..index].iter().position(|other| other == level) {
                return Err(at(format!("is the same level as the one at position {first}")));
            }
            for own in level.0.iter().skip(1) {
                if axes.iter().any(|other| other.name == own.name()) {
                    return Err(at(format!(
                        "carries `{}`, which is an axis of its own",
                        own.name()
                    )));
                }
            }
        }
    }
    Ok(())
}

/// For each axis the position and the level of a cell; the first axis changes slowest.
fn levels_of_cell(axes: &[Axis], mut cell: usize) -> Vec<(usize, &Level)> {
    let mut levels: Vec<(usize, &Level)> = axes
        .iter()
        .rev()
        .map(|axis| {
            let index = cell % axis.levels.len();
            cell /= axis.levels.len();
            (index, &axis.levels[index])
        })
        .collect();
    levels.reverse();
    levels
}

/// Where a setting of a cell was written: in a level (of the axis that has it, or of `strategy`), or in `fixed`.
fn written_at(plan: &PlanFile, levels: &[(usize, &Level)], name: &'static str) -> Vec<Step> {
    for (axis, (index, level)) in plan.axes.0.iter().zip(levels) {
        if level.0.iter().any(|setting| setting.name() == name) {
            let own = (axis.name != name).then_some(Step::Key(name));
            let to_level = [Step::Key("axes"), Step::Key(axis.name), Step::Item(*index)];
            return to_level.into_iter().chain(own).collect();
        }
    }
    vec![Step::Key("fixed"), Step::Key(name)]
}

fn settings(
    plan: &PlanFile,
    levels: &[(usize, &Level)],
    repeat: u32,
    cores: NonZeroUsize,
) -> Result<TrialSettings, Conflict> {
    let mut draft = Draft::default();
    let of_levels = levels.iter().flat_map(|(_, level)| &level.0);
    plan.fixed
        .0
        .iter()
        .chain(of_levels)
        .for_each(|setting| setting.apply(&mut draft));
    let missing = |name: &'static str| {
        let path = if plan.axes.0.is_empty() { "fixed" } else { "axes" };
        Conflict::at(
            [Step::Key(path)],
            format!("the plan has no trials: `{name}` is neither fixed nor an axis"),
        )
    };
    let strategy = draft.strategy.ok_or_else(|| missing("strategy"))?;
    if let Some(workers) = draft.max_workers.filter(|workers| workers.get() != 1)
        && strategy == StrategyKind::Sequential
    {
        let problem = format!(
            "`sequential` has one call in flight, never {workers}; give max_workers in the levels of the other strategies"
        );
        return Err(Conflict::at(written_at(plan, levels, "max_workers"), problem));
    }
    let settings = TrialSettings {
        rpu: draft.rpu.ok_or_else(|| missing("rpu"))?,
        keys: draft.keys,
        key_skew: draft.key_skew,
        payload_size: draft.payload_size,
        io_delay: draft.io_delay.ok_or_else(|| missing("io_delay"))?,
        strategy,
        start_rule: draft.start_rule,
        workload: draft.workload,
        max_workers: draft
            .max_workers
            .unwrap_or_else(|| default_max_workers(strategy, cores)),
        timeout: draft.timeout,
        retries: draft.retries,
        cpu_offload: draft.cpu_offload,
        max_waiting: draft.max_waiting,
        capacity: draft.capacity,
        fail_status: draft.fail_status,
        window: plan.window,
        read_timeout: plan.read_timeout,
        warmup: plan.warmup,
        windows: plan.windows,
        seed: plan.seed.unwrap_or(DEFAULT_SEED).wrapping_add(u64::from(repeat)),
    };
    if settings.rpu.get() as f64 * settings.window.as_secs_f64() < 1.0 {
        let problem = format!(
            "{} a second leave windows without an event; make the window longer",
            settings.rpu
        );
        return Err(Conflict::at(written_at(plan, levels, "rpu"), problem));
    }
    Ok(settings)
}

/// The levels' names and the repeat. A strategy's own settings are named only where its name alone is not enough.
fn id(axes: &[Axis], levels: &[(usize, &Level)], repeat: u32) -> String {
    let mut parts: Vec<String> = Vec::new();
    for (axis, (_, level)) in axes.iter().zip(levels) {
        let of_that_name = axis
            .levels
            .iter()
            .filter(|other| other.0.first() == level.0.first())
            .count();
        let named = if of_that_name > 1 { level.0.len() } else { 1 };
        parts.extend(level.0.iter().take(named).map(Setting::to_string));
    }
    parts.push(format!("repeat={repeat}"));
    let id = parts.join(",");
    if id.len() <= LONGEST_ID {
        return id;
    }
    let start: String = id.chars().take(LONGEST_ID - 17).collect();
    format!("{start}-{:016x}", fnv1a(id.as_bytes()))
}

/// Fisher and Yates's shuffle. The remainder's bias is below 10⁻¹⁵ for as many trials as a plan may have.
fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed;
    for last in (1..items.len()).rev() {
        let other = splitmix64(&mut state) % (last as u64 + 1);
        items.swap(last, other as usize);
    }
}

/// The next number of Steele, Lea and Flood's generator (2014): the order of a plan never changes with a library.
fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
