//! Searches against simulated strategies with a hidden limit, noise and undecided answers.

use std::num::{NonZeroU64, NonZeroUsize};

use proptest::prelude::*;
use wire::StrategyKind;

use super::*;
use crate::trial::TrialSettings;

/// Runs a search; returns its bracket. `answer` says what the trial of a step finds.
fn searched(quantity: Quantity, first: u64, mut answer: impl FnMut(Step) -> Answer) -> Bracket {
    searched_with(quantity, first, |step| (answer(step), None))
}

/// The same, where trials may tell by how much they are overloaded.
fn searched_with(
    quantity: Quantity,
    first: u64,
    mut trial: impl FnMut(Step) -> (Answer, Option<f64>),
) -> Bracket {
    let range = quantity.range(&TrialSettings::defaults().unwrap());
    let mut search = Search::new(quantity, first, range.clone(), Effort::local(quantity).precision);
    while let Some(step) = search.next() {
        assert!(search.bracket().trials < 200, "it goes on: {search:?}");
        assert!(range.contains(&step.level), "{step:?}");
        let (answer, overload) = trial(step);
        search.take(step.level, answer, overload);
    }
    search.bracket()
}

/// What a strategy without noise answers.
fn by_limit(quantity: Quantity, limit: f64) -> impl Fn(Step) -> Answer {
    move |step| {
        let is_sustained = match quantity {
            Quantity::Capacity => step.level as f64 <= limit,
            Quantity::Demand => step.level as f64 >= limit,
        };
        match is_sustained {
            true => Answer::Sustained,
            false => Answer::NotSustained,
        }
    }
}

fn quantity() -> impl Strategy<Value = Quantity> {
    prop_oneof![Just(Quantity::Capacity), Just(Quantity::Demand)]
}

/// A limit, and a first level of 0.1 to 10 times it.
fn limit_and_first() -> impl Strategy<Value = (f64, u64)> {
    (0.7..11.0f64, -1.0..1.0f64).prop_map(|(exponent, off)| {
        let limit = exponent.exp();
        (limit, (limit * 10f64.powf(off)).round().max(1.0) as u64)
    })
}

/// Whether the ends of a bracket are as close as a search promises.
fn is_close(quantity: Quantity, bracket: &Bracket) -> bool {
    let (easy, hard) = (bracket.sustained.unwrap(), bracket.not_sustained.unwrap());
    easy.abs_diff(hard) <= 1 || ratio(easy, hard) <= Effort::local(quantity).precision
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_limit_is_bracketed_in_at_most_14_trials(quantity in quantity(), (limit, first) in limit_and_first()) {
        let answer = by_limit(quantity, limit);
        let bracket = searched(quantity, first, &answer);
        prop_assert_eq!(bracket.found, Found::Limit);
        prop_assert!(bracket.trials <= 14, "{} trials", bracket.trials);
        prop_assert!(is_close(quantity, &bracket), "{bracket:?}");
        for (level, expected) in [(bracket.sustained, Answer::Sustained), (bracket.not_sustained, Answer::NotSustained)] {
            let step = Step { level: level.unwrap(), repeat: 0 };
            prop_assert_eq!(answer(step), expected);
        }
    }

    #[test]
    fn a_right_prediction_needs_few_trials(limit in 100.0..100_000.0f64, off in 0.98..1.02f64) {
        let bracket = searched(Quantity::Capacity, (limit * off) as u64, by_limit(Quantity::Capacity, limit));
        prop_assert!(bracket.trials <= 3, "{bracket:?}");
    }

    /// Within 4 % of the limit the answers are drawn, undecided ones among them.
    #[test]
    fn noise_near_the_limit_moves_the_bracket_by_no_more_than_it(
        quantity in quantity(),
        (limit, first) in limit_and_first(),
        seed in any::<u64>(),
    ) {
        let mut draws = 0;
        let clear = by_limit(quantity, limit);
        let bracket = searched(quantity, first, |step| {
            draws += 1;
            if (step.level as f64 / limit).ln().abs() > 0.04 {
                return clear(step);
            }
            match wire::splitmix64(seed, draws) % 4 {
                0 => Answer::Sustained,
                1 => Answer::NotSustained,
                _ => Answer::Undecided,
            }
        });
        prop_assert!(bracket.trials <= 40, "{bracket:?}");
        let (sustained, not) = (bracket.sustained.unwrap(), bracket.not_sustained.unwrap());
        // The noise and the bracket, and one more where levels are whole.
        for level in [sustained, not] {
            let off = (level as f64 - limit).abs();
            prop_assert!(off <= (limit * 0.15).max(1.5), "{level} of {limit}: {bracket:?}");
        }
        let estimate = bracket.estimate().unwrap();
        prop_assert!((estimate - limit).abs() <= (limit * 0.10).max(1.0), "{estimate} of {limit}: {bracket:?}");
    }

    /// Levels within 2 % are never decided; the search ends with the closest that are.
    #[test]
    fn levels_that_stay_undecided_lie_within_the_bracket(
        quantity in quantity(),
        (limit, first) in limit_and_first(),
        width in 0.0..0.3f64,
    ) {
        let clear = by_limit(quantity, limit);
        let bracket = searched(quantity, first, |step| match (step.level as f64 / limit).ln().abs() {
            off if off < width => Answer::Undecided,
            _ => clear(step),
        });
        // One worker, or an RPU of 1, may be undecided itself.
        if let (Some(sustained), Some(not)) = (bracket.sustained, bracket.not_sustained) {
            let (low, high) = (sustained.min(not) as f64, sustained.max(not) as f64);
            prop_assert!(low <= limit + 1.0 && high >= limit - 1.0, "{bracket:?}");
            let widest = (2.0 * width).exp() * 1.11;
            prop_assert!(high / low <= widest || high - low <= 3.0 + limit * ((2.0 * width).exp() - 1.0), "{bracket:?}");
        } else {
            // Or too many levels outwards are.
            let levels = bracket.trials as usize / (1 + REPEATS as usize);
            prop_assert!(
                limit * (-width).exp() <= 2.0 || (bracket.found == Found::Undecided && levels >= MOST_UNDECIDED),
                "{limit}, {width}: {bracket:?}"
            );
        }
    }
}

#[test]
fn an_undecided_level_is_repeated_three_times_and_then_left() {
    let mut steps = Vec::new();
    let bracket = searched(Quantity::Capacity, 100, |step| {
        steps.push(step);
        match step.level {
            100 => Answer::Undecided,
            level if level < 100 => Answer::Sustained,
            _ => Answer::NotSustained,
        }
    });
    let repeats: Vec<(u64, u32)> = steps.iter().map(|step| (step.level, step.repeat)).collect();
    assert_eq!(repeats[..5], [(100, 0), (100, 1), (100, 2), (100, 3), (91, 0)]);
    assert_eq!(bracket.found, Found::Limit, "{bracket:?}");
    assert!(bracket.sustained.unwrap() >= 95 && bracket.not_sustained.unwrap() <= 105);
}

#[test]
fn the_ends_of_the_range_are_tried_and_reported() {
    let all = searched(Quantity::Capacity, 500, |_| Answer::Sustained);
    assert_eq!((all.found, all.sustained), (Found::Everything, Some(1_000_000)));
    let none = searched(Quantity::Capacity, 500, |_| Answer::NotSustained);
    assert_eq!((none.found, none.not_sustained), (Found::Nothing, Some(1)));
    let one = searched(Quantity::Demand, 8, |_| Answer::Sustained);
    assert_eq!((one.found, one.sustained), (Found::Everything, Some(1)));
    let most = searched(Quantity::Demand, 8, |_| Answer::NotSustained);
    assert_eq!(
        (most.found, most.not_sustained),
        (Found::Nothing, Some(1_000_000))
    );
    let undecided = searched(Quantity::Capacity, 500, |_| Answer::Undecided);
    assert_eq!((undecided.found, undecided.sustained), (Found::Undecided, None));
}

#[test]
fn a_search_that_is_ended_early_has_the_bracket_so_far() {
    let mut search = Search::new(Quantity::Capacity, 100, 1..=1_000, 1.1);
    search.take(100, Answer::Sustained, None);
    assert_eq!(search.bracket().found, Found::Unfinished);
    assert_eq!(search.next().unwrap().level, 110);
    search.take(120, Answer::NotSustained, None);
    let bracket = search.bracket();
    assert_eq!(
        (bracket.sustained, bracket.not_sustained, bracket.trials),
        (Some(100), Some(120), 2)
    );
    assert!((bracket.estimate().unwrap() - 109.54).abs() < 0.01);
}

#[test]
fn the_limit_is_where_it_was_measured_but_within_the_bracket() {
    let estimate = |overload: Option<f64>| {
        let mut search = Search::new(Quantity::Capacity, 100, 1..=1_000, 1.1);
        search.take(100, Answer::Sustained, None);
        search.take(110, Answer::NotSustained, overload);
        search.bracket().estimate().unwrap()
    };
    assert!((estimate(Some(1.08)) - 101.85).abs() < 0.01);
    assert_eq!((estimate(Some(1.3)), estimate(Some(0.9))), (100.0, 110.0));
    assert!((estimate(None) - 104.88).abs() < 0.01);
}

#[test]
fn a_search_begins_at_the_prediction() {
    let two = NonZeroUsize::new(2).unwrap();
    let settings = TrialSettings {
        io_delay: "99700us".parse().unwrap(),
        rpu: NonZeroU64::new(300).unwrap(),
        max_workers: NonZeroU64::new(30).unwrap(),
        strategy: StrategyKind::Async,
        ..TrialSettings::defaults().unwrap()
    };
    let capacity = Quantity::Capacity.predicted(&settings, two);
    assert!((295..=307).contains(&capacity), "{capacity}");
    // Half of a close bracket below the prediction.
    assert_eq!(Quantity::Capacity.first(210, 1.1), 200);
    assert_eq!(Quantity::Demand.first(210, 1.02), 210);
    for predicted in [97, 301, 5_003] {
        let first = Quantity::Capacity.first(predicted, 1.1);
        let right = searched(
            Quantity::Capacity,
            first,
            by_limit(Quantity::Capacity, predicted as f64),
        );
        assert_eq!((right.found, right.trials), (Found::Limit, 2), "{right:?}");
    }
    let demand = Quantity::Demand.predicted(&settings, two);
    assert!((29..=31).contains(&demand), "{demand}");
    let short = TrialSettings {
        window: std::time::Duration::from_millis(300),
        ..settings
    };
    assert_eq!(Quantity::Capacity.range(&short), 4..=1_000_000);
    assert_eq!(Quantity::Demand.range(&short), 1..=1_000_000);
    assert!(!Quantity::Demand.is_of(StrategyKind::Sequential));
}

#[test]
fn levels_that_stay_undecided_outwards_end_the_search() {
    let mut levels = Vec::new();
    let undecided = searched(Quantity::Capacity, 500, |step| {
        levels.push(step.level);
        Answer::Undecided
    });
    levels.dedup();
    assert_eq!(levels, [500, 455, 376]);
    assert_eq!((undecided.found, undecided.trials), (Found::Undecided, 12));
    // Sustained as far as is decided: so many harder ones are tried, and no more.
    let mut tried = Vec::new();
    let above = searched(Quantity::Capacity, 100, |step| {
        tried.push(step.level);
        match step.level {
            100 => Answer::Sustained,
            _ => Answer::Undecided,
        }
    });
    assert_eq!((above.found, above.sustained), (Found::Undecided, Some(100)));
    assert_eq!(above.trials, 13, "{tried:?}");
}

/// What a trial at a level says where a strategy has this capacity and `noise` is the relative error of the measured
/// rate, drawn anew for each trial.
fn overloaded(
    quantity: Quantity,
    capacity: f64,
    noise: f64,
    draw: u64,
) -> impl Fn(Step) -> (Answer, Option<f64>) {
    move |step| {
        let level = step.level as f64;
        let load = match quantity {
            Quantity::Capacity => level / capacity,
            Quantity::Demand => capacity / level,
        };
        let error = wire::splitmix64(draw, step.level) as f64 / u64::MAX as f64 * 2.0 - 1.0;
        let measured = load * (1.0 + noise * error);
        match measured {
            load if load > 1.0 => (Answer::NotSustained, Some(load)),
            _ => (Answer::Sustained, None),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// From a first level of 0.1 to 10 times the limit, typically fewer than eight.
    #[test]
    fn an_overloaded_trial_shows_where_the_limit_is(
        quantity in quantity(), (limit, first) in limit_and_first(), noise in 0.0..0.02f64, draw in any::<u64>(),
    ) {
        let bracket = searched_with(quantity, first, overloaded(quantity, limit, noise, draw));
        prop_assert!(bracket.trials <= 10, "{bracket:?}");
        let levels = [bracket.sustained, bracket.not_sustained].map(Option::unwrap_or_default);
        for level in levels {
            let off = (level as f64 - limit).abs();
            prop_assert!(off <= (limit * 0.13).max(1.6), "{level} of {limit}: {bracket:?}");
        }
    }
}

#[test]
fn a_search_takes_few_trials_wherever_it_begins() {
    let mut all = Vec::new();
    for quantity in [Quantity::Capacity, Quantity::Demand] {
        for first in [0.1, 0.2, 0.5, 0.8, 0.95, 1.0, 1.05, 1.3, 2.0, 5.0, 10.0] {
            for limit in [9.7, 83.0, 410.0, 5_200.0, 31_000.0] {
                let first = (limit * first) as u64;
                let trial = overloaded(quantity, limit, 0.01, 7);
                all.push(searched_with(quantity, first.max(1), trial).trials);
            }
        }
    }
    all.sort_unstable();
    let at = |share: f64| all[(share * (all.len() - 1) as f64) as usize];
    assert_eq!((at(0.5), at(0.9), at(1.0)), (3, 8, 10));
}
