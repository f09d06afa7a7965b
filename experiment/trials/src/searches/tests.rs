//! Searches by the trials of a journal.

use super::*;
use crate::outcome::TrialEnd;
use crate::outcome::example::trial as outcome;

const PLAN: &str = "name: p\nfixed: {keys: 2, io_delay: 20ms, window: 1s, read_timeout: 50ms, max_workers: 10}\n\
                    axes: {strategy: [async, thread-pool]}\n";

fn plan(quantity: Quantity) -> Plan {
    let effort = Effort::local(quantity);
    Plan::for_search(
        Some((PLAN, "plan.yaml")),
        &[("rpu", "400".to_owned())],
        quantity,
        &effort,
    )
    .unwrap()
    .0
}

fn searches(quantity: Quantity) -> (Searches, SearchFacts) {
    let plan = plan(quantity);
    let two = NonZeroUsize::new(2).unwrap();
    let facts = Searches::facts(&plan, quantity, &Effort::local(quantity), two);
    (Searches::new(&plan, &facts), facts)
}

/// A trial whose lag grows by this many milliseconds a window.
fn ended(trial: &Trial, growth_ms: u64) -> JournalLine {
    let mut one = outcome(&[10_000; 10]);
    one.trial = trial.clone();
    for (index, window) in (0..).zip(&mut one.windows) {
        window.measured.as_mut().unwrap().result_lag_us = 100_000 + 1_000 * growth_ms * index;
    }
    JournalLine::Trial(Box::new(one))
}

fn failed(trial: &Trial) -> JournalLine {
    let mut one = outcome(&[]);
    one.trial = trial.clone();
    one.end = TrialEnd::Failed {
        reason: "no ports".to_owned(),
    };
    JournalLine::Trial(Box::new(one))
}

/// Runs all trials; `end` says what comes of one.
fn run(searches: &mut Searches, mut end: impl FnMut(&Trial) -> JournalLine) -> Vec<JournalLine> {
    let mut lines = Vec::new();
    while let Some((index, trial)) = searches.next_trial() {
        assert!(lines.len() < 100, "it goes on");
        lines.push(end(&trial));
        searches.take(index, &trial, &lines);
    }
    lines
}

/// The capacities of the two strategies.
fn by_capacity(trial: &Trial) -> JournalLine {
    let capacity = if trial.id.contains("async") { 480 } else { 130 };
    let rate = trial.settings.rpu.get();
    ended(trial, (1_000 * rate / capacity).saturating_sub(1_000))
}

#[test]
fn a_journal_gives_the_same_brackets_again() {
    let (mut searches, facts) = searches(Quantity::Capacity);
    let lines = run(&mut searches, by_capacity);
    let found = |searches: &Searches| -> Vec<Bracket> {
        searches.cells().into_iter().map(|cell| cell.bracket).collect()
    };
    let brackets = found(&searches);
    for (bracket, capacity) in brackets.iter().zip([480.0, 130.0]) {
        assert_eq!(bracket.found, Found::Limit);
        let estimate = bracket.estimate().unwrap() / capacity;
        assert!((0.95..1.05).contains(&estimate), "{estimate}: {bracket:?}");
    }
    assert!(lines.len() <= 8, "{brackets:?}");

    // As a journal has them: of an earlier run of the same trial the last outcome counts.
    let JournalLine::Trial(first) = &lines[0] else {
        panic!()
    };
    let run = RunFacts {
        plan_name: "p".to_owned(),
        plan_text: Plan::for_search(
            Some((PLAN, "p")),
            &[],
            Quantity::Capacity,
            &Effort::local(Quantity::Capacity),
        )
        .unwrap()
        .1,
        trials: 2,
        engine: "local".to_owned(),
        started_us: 0,
        machine: BTreeMap::new(),
        command: String::new(),
        references: Vec::new(),
        search: Some(facts.clone()),
    };
    let kept: Vec<JournalLine> = [JournalLine::Run(run), failed(&first.trial)]
        .into_iter()
        .chain(lines.clone())
        .collect();
    let drawn = Searches::of(&kept).unwrap();
    assert_eq!(found(&drawn), brackets);
    assert_eq!(drawn.cells()[0].predicted, facts.predicted[0]);
    assert!(Searches::of(&lines).is_none());

    // Continued, it has nothing left to run.
    let (mut again, _) = self::searches(Quantity::Capacity);
    again.replay(&lines, false);
    assert_eq!((again.next_trial(), found(&again)), (None, brackets));
}

#[test]
fn a_trial_that_fails_at_a_harder_level_is_the_machines_limit() {
    let (mut searches, _) = searches(Quantity::Capacity);
    run(&mut searches, |trial| match trial.settings.rpu.get() {
        rate if rate > 2_000 => failed(trial),
        _ => ended(trial, 0),
    });
    let cell = &searches.cells()[0];
    assert_eq!(
        (cell.bracket.found, cell.limit),
        (Found::Limit, Some(Limit::Machine))
    );
    assert!(
        cell.reason.contains("no ports") && cell.failed.is_none(),
        "{cell:?}"
    );
    assert_eq!(Some(cell.reason_at), cell.bracket.not_sustained);
}

#[test]
fn more_workers_than_the_machine_has_room_for_end_the_search() {
    let (mut searches, _) = searches(Quantity::Demand);
    // Never sustained, for no reason that more workers would not mend.
    run(&mut searches, |trial| match trial.settings.max_workers.get() {
        workers if workers > 100 => failed(trial),
        _ => ended(trial, 100),
    });
    let cell = &searches.cells()[0];
    assert_eq!(
        (cell.bracket.found, cell.limit),
        (Found::Nothing, Some(Limit::Machine))
    );
    assert!(cell.reason_at > 100 && cell.failed.is_none(), "{cell:?}");
    // The first trial has no other end.
    let (mut searches, _) = self::searches(Quantity::Capacity);
    let lines = run(&mut searches, failed);
    assert_eq!(lines.len(), 2, "one of each cell");
    assert!(searches.cells()[0].failed.as_ref().unwrap().contains("no ports"));
}

#[test]
fn repeats_of_a_level_are_judged_together_and_an_undecided_cell_has_its_reason() {
    let (mut searches, _) = searches(Quantity::Capacity);
    let mut seed = 0;
    let noise = |trial: &Trial, seed: u64| {
        let JournalLine::Trial(mut one) = ended(trial, 0) else {
            panic!()
        };
        for (index, window) in (0..).zip(&mut one.windows) {
            let draw = wire::splitmix64(seed, index) % 2_000_000;
            window.measured.as_mut().unwrap().result_lag_us = 100_000 + draw;
        }
        JournalLine::Trial(one)
    };
    let lines = run(&mut searches, |trial| {
        seed += 1;
        noise(trial, seed)
    });
    let cell = &searches.cells()[0];
    assert_eq!(cell.bracket.found, Found::Undecided, "{cell:?}");
    assert!(cell.reason.starts_with("the lag may grow by "), "{cell:?}");
    assert!(lines.len() <= 2 * 17, "{}", lines.len());
}
