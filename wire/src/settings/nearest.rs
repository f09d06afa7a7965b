//! "Did you mean": the name that a misspelt one was meant to be.

use strsim::damerau_levenshtein;

/// The nearest of some names: one that differs in capitals, dashes or underscores, or in one of three letters, or else
/// one that holds the given text as a part, as `io_delay` holds `delay`.
pub fn nearest<'a>(given: &str, names: &[&'a str]) -> Option<&'a str> {
    let given = letters(given);
    let distance = |name: &&&str| damerau_levenshtein(&given, &letters(name));
    let holds = |name: &&&str| given.len() >= 4 && letters(name).contains(&given);
    names
        .iter()
        .min_by_key(distance)
        .filter(|name| distance(name) <= (given.len() / 3).max(1))
        .or_else(|| names.iter().find(holds))
        .copied()
}

fn letters(name: &str) -> String {
    let kept = name.chars().filter(|c| !matches!(c, '-' | '_' | ' '));
    kept.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::settings::TABLE;
    use crate::{StartRule, StrategyKind};

    #[test]
    fn misspelt_names_are_found_and_other_words_are_not() {
        let settings: Vec<&str> = TABLE.iter().map(|setting| setting.name).collect();
        for (given, meant) in [
            ("rpus", Some("rpu")),
            ("ioDelay", Some("io_delay")),
            ("delay", Some("io_delay")),
            ("max-workers", Some("max_workers")),
            ("maxworker", Some("max_workers")),
            ("retrys", Some("retries")),
            ("x", None),
            ("", None),
            ("banana", None),
        ] {
            assert_eq!(nearest(given, &settings), meant, "{given}");
        }
        assert_eq!(nearest("Async", StrategyKind::NAMES), Some("async"));
        assert_eq!(nearest("at_arrival", StartRule::NAMES), Some("at-arrival"));
        assert_eq!(nearest("threads", StrategyKind::NAMES), None);
    }

    proptest! {
        #[test]
        fn a_name_is_nearest_to_itself_in_any_spelling(at in any::<prop::sample::Index>()) {
            let names: Vec<&str> = TABLE.iter().map(|setting| setting.name).collect();
            let name = *at.get(&names);
            prop_assert_eq!(nearest(&name.to_uppercase().replace('_', "-"), &names), Some(name));
        }

        #[test]
        fn what_is_meant_is_one_of_the_names(given in "\\PC{0,20}") {
            let names = ["rpu", "io_delay"];
            prop_assert!(nearest(&given, &names).is_none_or(|name| names.contains(&name)));
        }
    }
}
