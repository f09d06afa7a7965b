//! Expands fixed settings and axes into trials: the product of all levels, with ids, in the plan's order.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use wire::settings::{
    MAX_WORKERS, READ_TIMEOUT, SEED, Setting, TABLE, TrialSettings, WINDOW, default_max_workers,
};
use wire::{StrategyKind, format_duration};

use super::file::{Axis, Given, Level, PlanFile};
use super::flags::FLAG;
use super::{MAX_TRIALS, Order, Refusal, fnv1a, meaning};
use crate::trial::Trial;

/// Longer ids end in a hash of the whole id. File systems allow names of 255 bytes.
const MAX_ID_LENGTH: usize = 180;

/// The trials of a plan in the order in which they are run.
pub(super) fn trials(plan: &PlanFile, cores: NonZeroUsize) -> Result<Vec<Trial>, Refusal> {
    check_order(plan)?;
    check_settings(plan)?;
    let axes = &plan.axes;
    let cells = axes
        .iter()
        .try_fold(1usize, |cells, axis| cells.checked_mul(axis.levels.len()));
    let total = cells.and_then(|cells| cells.checked_mul(plan.repeats as usize));
    let Some((cells, _)) = cells.zip(total.filter(|total| *total <= MAX_TRIALS)) else {
        let problem =
            format!("the plan has more than {MAX_TRIALS} trials; take levels, axes or repeats away");
        return Err(Refusal::at(plan.axes_line, "axes", problem));
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
                return Err(Refusal::at(plan.axes_line, "axes", problem));
            }
            trials.push(Trial { id, repeat, settings });
        }
    }
    if plan.order == Order::Shuffled {
        shuffle(&mut trials, seed(plan).unwrap_or_default());
    }
    Ok(trials)
}

fn seed(plan: &PlanFile) -> Option<u64> {
    let given = plan.top.iter().find(|given| given.setting.name == SEED.name)?;
    given.text.parse().ok()
}

fn check_order(plan: &PlanFile) -> Result<(), Refusal> {
    if plan.order == Order::Shuffled && seed(plan).is_none() {
        let problem = "`shuffled` needs a seed, so that it is the same order every time; add `seed: 1`";
        return Err(Refusal::at(plan.order_line, "order", problem));
    }
    Ok(())
}

/// Refuses settings that are given twice, and equal levels of an axis.
fn check_settings(plan: &PlanFile) -> Result<(), Refusal> {
    let among = |given: &[Given], name: &str| given.iter().any(|given| given.setting.name == name);
    for fixed in &plan.fixed {
        let name = fixed.setting.name;
        if among(&plan.top, name) {
            let problem = "is also given at the top; keep it there or in `fixed`";
            return Err(Refusal::at(fixed.line, &format!("fixed.{name}"), problem));
        }
    }
    for axis in &plan.axes {
        let name = axis.setting.name;
        let field = format!("axes.{name}");
        if among(&plan.fixed, name) {
            let problem = "is also fixed; keep it in `fixed` or in `axes`";
            return Err(Refusal::at(axis.line, &field, problem));
        }
        if among(&plan.top, name) {
            let problem = "is also given at the top; keep it there or in `axes`";
            return Err(Refusal::at(axis.line, &field, problem));
        }
        for (index, level) in axis.levels.iter().enumerate() {
            let at = |problem: String| Refusal::at(level.line, &format!("{field}[{index}]"), problem);
            if let Some(first) = axis.levels[..index].iter().position(|other| other == level) {
                return Err(at(format!("is the same level as the one at position {first}")));
            }
            for carried in level.given.iter().skip(1) {
                let name = carried.setting.name;
                if plan.axes.iter().any(|other| other.setting.name == name) {
                    return Err(at(format!("carries `{name}`, which is an axis of its own")));
                }
            }
        }
    }
    Ok(())
}

/// The index and level of each axis in a cell; the first axis changes slowest.
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

/// Line and field of a setting of a cell: in a level (of its own axis or of `strategy`), in `fixed`, or at the top.
fn written_at(plan: &PlanFile, levels: &[(usize, &Level)], name: &str) -> (usize, String) {
    for (axis, (index, level)) in plan.axes.iter().zip(levels) {
        if let Some(given) = level.given.iter().find(|given| given.setting.name == name) {
            let field = format!("axes.{}[{index}]", axis.setting.name);
            let carried = axis.setting.name != name;
            return (
                given.line,
                if carried { format!("{field}.{name}") } else { field },
            );
        }
    }
    if let Some(given) = plan.fixed.iter().find(|given| given.setting.name == name) {
        return (given.line, format!("fixed.{name}"));
    }
    let top = plan.top.iter().find(|given| given.setting.name == name);
    (top.map_or(1, |given| given.line), name.to_owned())
}

fn is_given(plan: &PlanFile, levels: &[(usize, &Level)], name: &str) -> bool {
    let of_levels = levels.iter().flat_map(|(_, level)| &level.given);
    plan.top
        .iter()
        .chain(&plan.fixed)
        .chain(of_levels)
        .any(|given| given.setting.name == name)
}

fn settings(
    plan: &PlanFile,
    levels: &[(usize, &Level)],
    repeat: u32,
    cores: NonZeroUsize,
) -> Result<TrialSettings, Refusal> {
    let of_levels = levels.iter().flat_map(|(_, level)| &level.given);
    let mut texts: BTreeMap<&str, String> = plan
        .top
        .iter()
        .chain(&plan.fixed)
        .chain(of_levels)
        .map(|given| (given.setting.name, given.text.clone()))
        .collect();
    let missing: Vec<&Setting> = TABLE
        .iter()
        .filter(|setting| is_missing(setting, &texts))
        .collect();
    if !missing.is_empty() {
        return Err(are_missing(plan, &missing));
    }
    let strategy: Option<StrategyKind> = texts.get("strategy").and_then(|name| name.parse().ok());
    let strategy = strategy.unwrap_or(StrategyKind::Async);
    let workers = texts
        .entry(MAX_WORKERS.name)
        .or_insert_with(|| default_max_workers(strategy, cores).to_string());
    if strategy == StrategyKind::Sequential && workers != "1" {
        let problem = format!(
            "`sequential` has one call in flight, never {workers}; give max_workers in the levels of the other strategies"
        );
        let (line, field) = written_at(plan, levels, MAX_WORKERS.name);
        return Err(Refusal::at(line, &field, problem));
    }
    let settings = TrialSettings::from_texts(|setting| texts.get(setting.name).map(String::as_str));
    let mut settings = settings.map_err(|setting| {
        let (line, field) = written_at(plan, levels, setting.name);
        Refusal::at(line, &field, "has no value")
    })?;
    settings.seed = settings.seed.wrapping_add(u64::from(repeat));
    check(plan, levels, &settings)?;
    Ok(settings)
}

fn is_missing(setting: &Setting, texts: &BTreeMap<&str, String>) -> bool {
    setting.is_required() && !texts.contains_key(setting.name)
}

fn are_missing(plan: &PlanFile, settings: &[&Setting]) -> Refusal {
    let line = plan.axes_line.max(plan.fixed_line);
    let names: Vec<String> = settings
        .iter()
        .map(|setting| match line {
            FLAG => format!("--{}", setting.flag()),
            _ => setting.name.to_owned(),
        })
        .collect();
    let (missing, place) = match names.as_slice() {
        [others @ .., last] if !others.is_empty() => (
            format!("{} and {last} are missing", others.join(", ")),
            "give them in `fixed`, or as axes with their levels",
        ),
        names => (
            format!("{} is missing", names.concat()),
            "give it in `fixed`, or as an axis with its levels",
        ),
    };
    let place = match line {
        FLAG => "give a plan's file, or at least --strategy, --rpu and --io-delay",
        _ => place,
    };
    Refusal::at(line, "", format!("{missing}: {place}"))
}

/// Refuses combinations of values that are valid by themselves.
fn check(plan: &PlanFile, levels: &[(usize, &Level)], settings: &TrialSettings) -> Result<(), Refusal> {
    if settings.read_timeout > settings.window {
        return Err(too_short(plan, levels, settings));
    }
    let failing: f64 = settings.failing().iter().map(|(_, share)| share).sum();
    // Decimal shares that add up to 1 may exceed it by a rounding error.
    if failing > 1.0 + 1e-9 {
        let given = settings.failing().into_iter().rfind(|(_, share)| *share > 0.0);
        let (line, field) = written_at(
            plan,
            levels,
            given.map_or("fail_status", |(setting, _)| setting.name),
        );
        let problem = format!("the shares of failing calls add up to {failing}; at most 1 is possible");
        return Err(Refusal::at(line, &field, problem));
    }
    if settings.rpu.get() as f64 * settings.window.as_secs_f64() < 1.0 {
        let (line, field) = written_at(plan, levels, "rpu");
        let problem = format!(
            "{} a second leave windows without an event; make the window longer",
            settings.rpu
        );
        return Err(Refusal::at(line, &field, problem));
    }
    Ok(())
}

/// A window that ends before its read batch does: said of what the plan gives, with the default of the other.
fn too_short(plan: &PlanFile, levels: &[(usize, &Level)], settings: &TrialSettings) -> Refusal {
    let (window, timeout) = (
        format_duration(settings.window),
        format_duration(settings.read_timeout),
    );
    match is_given(plan, levels, READ_TIMEOUT.name) {
        true => {
            let (line, field) = written_at(plan, levels, READ_TIMEOUT.name);
            let problem = format!(
                "{timeout} must not be longer than the window ({window}): no window would close in its time"
            );
            Refusal::at(line, &field, problem)
        }
        false => {
            let (line, field) = written_at(plan, levels, WINDOW.name);
            let problem = format!(
                "{window} is shorter than read_timeout, which is {timeout} where it is not given; make the window longer, \
                 or add `read_timeout: {window}`"
            );
            Refusal::at(line, &field, problem)
        }
    }
}

/// The levels' values and the repeat. Settings carried by a level of `strategy` are included only if several levels have
/// the same strategy.
fn id(axes: &[Axis], levels: &[(usize, &Level)], repeat: u32) -> String {
    let mut parts: Vec<String> = Vec::new();
    for (axis, (_, level)) in axes.iter().zip(levels) {
        let with_same_value = axis
            .levels
            .iter()
            .filter(|other| other.given.first() == level.given.first())
            .count();
        let shown = if with_same_value > 1 { level.given.len() } else { 1 };
        parts.extend(level.given.iter().take(shown).map(part));
    }
    parts.push(format!("repeat={repeat}"));
    let id = parts.join(",");
    if id.len() <= MAX_ID_LENGTH {
        return id;
    }
    let start: String = id.chars().take(MAX_ID_LENGTH - 17).collect();
    format!("{start}-{:016x}", fnv1a(id.as_bytes()))
}

/// `name=value` in characters that every file system allows.
fn part(given: &Given) -> String {
    let value = given.text.replace(['(', ',', '=', ' '], "-").replace(')', "");
    format!("{}={value}", given.setting.name)
}

/// Fisher-Yates shuffle. The modulo bias is below 10⁻¹⁵ for the largest plan.
fn shuffle<T>(items: &mut [T], seed: u64) {
    for (index, last) in (0..).zip((1..items.len()).rev()) {
        let other = wire::splitmix64(seed, index) % (last as u64 + 1);
        items.swap(last, other as usize);
    }
}
