//! What makes trials repeats of one cell, and cells of two runs the same.

use serde::{Deserialize, Serialize};
use wire::settings::Scope;

use crate::trial::TrialSettings;

/// The settings of a cell as canonical texts, sorted by name: all but those of the whole plan and the seed. Settings that a
/// journal did not record are absent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CellKey(Vec<(String, String)>);

impl CellKey {
    pub fn of(settings: &TrialSettings) -> Self {
        let mut texts: Vec<(String, String)> = settings
            .values()
            .filter(|(setting, ..)| setting.scope != Scope::Plan)
            .filter_map(|(setting, text, _)| Some((setting.name.to_owned(), text?)))
            .collect();
        texts.sort_unstable();
        Self(texts)
    }

    /// Names and values.
    pub fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub fn value(&self, name: &str) -> Option<&str> {
        let position = self
            .0
            .binary_search_by(|(known, _)| known.as_str().cmp(name))
            .ok()?;
        Some(&self.0[position].1)
    }

    /// The key of cells that may differ in one setting.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|(known, _)| known != name);
        self
    }

    /// Whether no setting that both have differs.
    pub fn matches(&self, other: &Self) -> bool {
        self.0
            .iter()
            .all(|(name, value)| other.value(name).is_none_or(|others| others == value))
    }
}

/// The name of a cell: its trials' ids without the repeat.
pub fn cell_name(id: &str) -> &str {
    match id.rsplit_once("repeat=") {
        Some(("", _)) => "only cell",
        Some((cell, _)) => cell.trim_end_matches(','),
        None => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    fn cells(plan: &str) -> Vec<CellKey> {
        let plan = Plan::parse(plan, "plan").unwrap();
        plan.trials()
            .iter()
            .map(|trial| CellKey::of(&trial.settings))
            .collect()
    }

    #[test]
    fn repeats_and_plans_that_measure_longer_are_one_cell() {
        let rest = "fixed: {rpu: 10, io_delay: 1ms}\naxes: {strategy: [async, sequential]}\n";
        let short = cells(&format!("name: a\nwindows: 2\nrepeats: 2\nseed: 1\n{rest}"));
        let long = cells(&format!("name: b\nwindows: 9\nseed: 7\n{rest}"));
        assert_eq!((&short[0], &short[1]), (&long[0], &long[1]));
        assert_eq!((&short[2], &short[3]), (&long[0], &long[1]));
        assert!(!short[0].matches(&short[1]));
        assert_eq!(short[0].value("rpu"), Some("10"));
    }

    #[test]
    fn what_a_journal_did_not_record_differs_from_nothing() {
        let whole = cells("name: a\nfixed: {rpu: 10, io_delay: 1ms, strategy: async}\n").remove(0);
        let mut older = whole.clone();
        older.0.retain(|(name, _)| name != "keyed");
        assert!(older.matches(&whole) && whole.matches(&older));
    }

    #[test]
    fn a_cell_is_named_by_its_levels() {
        assert_eq!(
            cell_name("rpu=10,strategy=async,repeat=3"),
            "rpu=10,strategy=async"
        );
        assert_eq!(cell_name("repeat=0"), "only cell");
    }
}
