//! What a plan has changed in since another one of the same name.

use wire::format_duration;
use wire::settings::TABLE;

use super::Plan;

/// Further changes are counted.
const MOST_NAMED: usize = 3;

/// The changes from one plan to another in words, such as `rpu 10 → 20, keys 1, 5 → 5`; empty for plans of equal meaning.
pub(super) fn changes(from: &Plan, to: &Plan) -> String {
    let own = |plan: &Plan| {
        [
            ("repeats", plan.repeats.to_string()),
            ("cut_off", format_duration(plan.cut_off)),
        ]
    };
    let settings = |plan: &Plan| {
        TABLE
            .iter()
            .map(|setting| (setting.name, levels(plan, setting.name)))
            .collect::<Vec<_>>()
    };
    let (before, after) = (
        [settings(from), own(from).to_vec()].concat(),
        [settings(to), own(to).to_vec()].concat(),
    );
    let changed: Vec<String> = before
        .into_iter()
        .zip(after)
        .filter(|(before, after)| before != after)
        .map(|((name, before), (_, after))| format!("{name} {before} → {after}"))
        .collect();
    match changed.len() {
        0 if from.hash() == to.hash() => String::new(),
        0 => "which levels go together".to_owned(),
        count if count > MOST_NAMED => {
            let named = changed[..MOST_NAMED].join("; ");
            format!("{named}; and {} more", count - MOST_NAMED)
        }
        _ => changed.join("; "),
    }
}

/// The values of a setting in the order of the trials, each once.
fn levels(plan: &Plan, name: &str) -> String {
    let mut levels: Vec<String> = Vec::new();
    for trial in plan.trials.iter().filter(|trial| trial.repeat == 0) {
        let text = trial
            .settings
            .values()
            .find(|(setting, ..)| setting.name == name)
            .and_then(|(_, text, _)| text)
            .unwrap_or_else(|| "by its rule".to_owned());
        if !levels.contains(&text) {
            levels.push(text);
        }
    }
    levels.join(", ")
}
