//! The last sentence: which strategy, start rule and workers to use in each cell, and the room that is left.

use trials::trial::TrialSettings;
use wire::{StartRule, StrategyKind};

use crate::summary::{Advice, Row, Summary, Usage};
use crate::text;

/// With more cells than this a clause names their number only.
const MAX_NAMED: usize = 2;

/// Cells with the same advice.
struct Group<'s, 'a> {
    what: What,
    cells: Vec<Advice<'s, 'a>>,
}

/// In the order of clauses.
#[derive(PartialEq, Eq)]
enum What {
    Use(String),
    /// Only more windows can tell.
    MoreWindows,
    /// Nothing kept up.
    Nothing,
}

/// `None` if nothing was measured.
pub(super) fn advice(summary: &Summary<'_>) -> Option<String> {
    let mut groups: Vec<Group<'_, '_>> = Vec::new();
    for advice in summary.advice() {
        let what = match (advice.row.and_then(Row::settings), advice.undecided) {
            (Some(settings), _) => What::Use(choice(settings)),
            (None, Some(_)) => What::MoreWindows,
            (None, None) => What::Nothing,
        };
        match groups.iter_mut().find(|group| group.what == what) {
            Some(group) => group.cells.push(advice),
            None => groups.push(Group {
                what,
                cells: vec![advice],
            }),
        }
    }
    // The choice for most cells first, cells without one last.
    groups.sort_by_key(|group| {
        let place = match group.what {
            What::Use(_) => 0,
            What::MoreWindows => 1,
            What::Nothing => 2,
        };
        (place, std::cmp::Reverse(group.cells.len()))
    });
    let clauses: Vec<String> = groups.iter().map(|group| clause(summary, group)).collect();
    match groups.first()?.what {
        What::Use(_) => Some(format!("Use {}.", clauses.join("; "))),
        What::MoreWindows | What::Nothing => {
            Some(format!("There is nothing to advise: {}.", clauses.join("; ")))
        }
    }
}

/// For example `async at arrival with 1,000 workers`.
fn choice(settings: &TrialSettings) -> String {
    let start = start_rule(settings.start_rule);
    match settings.strategy {
        StrategyKind::Sequential => format!("sequential {start}"),
        strategy => {
            let workers = text::counted(settings.max_workers.get(), "worker");
            format!("{strategy} {start} with {workers}")
        }
    }
}

pub(crate) fn start_rule(rule: StartRule) -> &'static str {
    match rule {
        StartRule::AtArrival => "at arrival",
        StartRule::AtClose => "at close",
    }
}

fn clause(summary: &Summary<'_>, group: &Group<'_, '_>) -> String {
    let cells = cells(summary, group);
    let choice = match &group.what {
        What::Use(choice) => choice,
        What::MoreWindows => {
            let needed = group.cells.iter().filter_map(|advice| advice.undecided?).max();
            let needed = needed.map(|needed| format!(", at least {}", text::count(needed)));
            return format!(
                "it takes more windows to tell what keeps up {cells}{}",
                needed.unwrap_or_default()
            );
        }
        What::Nothing => {
            let needed = group.cells.iter().filter_map(|advice| advice.in_flight);
            let needed = needed.reduce(f64::max).map(text::ratio);
            let needed = needed.map(|needed| format!(", where calls need {needed} in flight on average"));
            return format!("nothing kept up {cells}{}", needed.unwrap_or_default());
        }
    };
    let usages: Vec<Usage> = group
        .cells
        .iter()
        .filter_map(|advice| advice.row?.usage())
        .collect();
    let window = usages.iter().map(|usage| usage.window).reduce(f64::max);
    let workers = usages.iter().filter_map(|usage| usage.workers).reduce(f64::max);
    let least = if usages.len() > 1 { "at least " } else { "" };
    let left = |used: Option<f64>, of: &str| {
        used.map(|used| format!("{least}{} of the {of}", text::percent_left(used)))
    };
    let what = match choice.starts_with(StrategyKind::Sequential.name()) {
        true => "time between events",
        false => "workers",
    };
    let left: Vec<String> = [left(window, "window"), left(workers, what)]
        .into_iter()
        .flatten()
        .collect();
    format!("{choice} {cells}, which leaves {}", text::list(&left))
}

fn cells(summary: &Summary<'_>, group: &Group<'_, '_>) -> String {
    let all = summary.cells.len();
    match group.cells.len() {
        2 if all == 2 => "in both cells".to_owned(),
        count if count == all && all > 1 => format!("in all {} cells", text::count(all as u64)),
        count if count <= MAX_NAMED => {
            let labels = group
                .cells
                .iter()
                .filter_map(|advice| summary.cells.get(advice.cell));
            let labels: Vec<String> = labels.map(|cell| format!("at {}", cell.label())).collect();
            text::list(&labels)
        }
        count => format!(
            "in {} of {} cells",
            text::count(count as u64),
            text::count(all as u64)
        ),
    }
}
