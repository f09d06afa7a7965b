use std::num::{NonZeroU64, NonZeroUsize};

use wire::StartRule::{AtArrival, AtClose};
use wire::StrategyKind::{Async, ProcessPool, Sequential, ThreadPool};

use super::judge::Predictions;
use super::*;
use crate::plan::Plan;

const CORES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

/// A backend as the first paragraph of docs/deciding.md has it.
const BACKEND: [(&str, &str); 4] = [
    ("rpu", "300"),
    ("keys", "20"),
    ("window", "60s"),
    ("io_delay", "lognormal(50=80ms,99=400ms)"),
];

fn all(flags: &[(&'static str, &str)], objective: &[&str], most_pods: Option<u64>) -> Vec<Question> {
    let flags: Vec<_> = flags
        .iter()
        .map(|(name, text)| (*name, (*text).to_owned()))
        .collect();
    let (plan, _) = Plan::for_advice(None, &flags).unwrap();
    let objective: Vec<Threshold> = objective.iter().map(|text| text.parse().unwrap()).collect();
    questions(
        &plan.trials(),
        &objective,
        CORES,
        most_pods.and_then(NonZeroU64::new),
        None,
    )
}

fn asked(flags: &[(&'static str, &str)], objective: &[&str]) -> Question {
    let mut questions = all(flags, objective, None);
    assert_eq!(questions.len(), 1);
    questions.remove(0)
}

fn forms(advice: &Advice) -> Vec<(StrategyKind, StartRule, u64, u64)> {
    let of = |one: &Advised| {
        let Advised { settings, pods, .. } = one;
        (
            settings.strategy,
            settings.start_rule,
            pods.get(),
            settings.max_workers.get(),
        )
    };
    advice.settings.iter().map(of).collect()
}

#[test]
fn the_least_workers_that_leave_room_come_first() {
    let advice = advise(&asked(&BACKEND, &["close_tail p99 < 1s"]));
    assert_eq!(
        forms(&advice)[..3],
        [
            (Async, AtArrival, 1, 39),
            (ThreadPool, AtArrival, 1, 39),
            (ProcessPool, AtArrival, 1, 39)
        ]
    );
    let first = &advice.settings[0];
    assert!((first.in_flight - 30.6).abs() < 0.1, "{first:?}");
    assert!((0.75..=0.8).contains(&first.load), "{first:?}");
    // A load of 0.9 is critical.
    assert!((338..=345).contains(&first.holds_up_to.get()), "{first:?}");
    assert!(
        first
            .why
            .starts_with("30.6 calls are in flight on average, and 39 workers leave room for bursts"),
        "{}",
        first.why
    );
    assert_eq!(first.halved().unwrap().max_workers.get(), 19);
    let [arrival, close] = [&advice.ruled_out[0], &advice.ruled_out[1]];
    assert_eq!(
        (arrival.strategy, arrival.start_rule, close.start_rule),
        (Sequential, AtArrival, AtClose)
    );
    assert!(
        arrival.why.contains("the limit is 20 and the load 153 %"),
        "{arrival:?}"
    );
    assert!(
        advice.changes.is_empty() && advice.not_predicted.is_empty(),
        "{advice:?}"
    );
}

#[test]
fn cheaper_strategies_come_first_and_have_nothing_to_halve() {
    let few = [
        ("rpu", "100"),
        ("keys", "20"),
        ("window", "2s"),
        ("io_delay", "50ms"),
    ];
    let advice = advise(&asked(&few, &[]));
    assert_eq!(advice.objective, ["close_tail p90 < 1s"]);
    let forms = forms(&advice);
    assert_eq!(forms[0], (Sequential, AtArrival, 1, 1));
    let at_close = forms
        .iter()
        .find(|form| (form.0, form.1) == (Async, AtClose))
        .unwrap();
    // 200 calls of 50 ms within 0.9 s take 11 rounds and a half at most.
    assert!((12..=14).contains(&at_close.3), "{forms:?}");
    assert!(advice.settings[0].halved().is_none());
    let strategies: Vec<_> = forms.iter().map(|form| (form.2, form.0)).collect();
    assert!(strategies.is_sorted(), "{forms:?}");
}

#[test]
fn where_nothing_holds_the_changes_are_said() {
    let slow = [
        ("rpu", "300"),
        ("keys", "20"),
        ("window", "2s"),
        ("io_delay", "3s"),
    ];
    let advice = advise(&asked(&slow, &[]));
    assert!(
        advice.settings.is_empty() && advice.ruled_out.len() == 8,
        "{advice:?}"
    );
    let what: Vec<&str> = advice.changes.iter().map(|change| change.what).collect();
    assert_eq!(what[..2], ["io_delay", "window"]);
    let window = &advice.changes[1].sentence;
    assert_eq!(window, "Make windows longer: those of 8 s hold.");

    let limited = [
        ("rpu", "300"),
        ("keys", "20"),
        ("window", "2s"),
        ("io_delay", "300ms"),
        ("capacity", "20"),
    ];
    let advice = advise(&asked(&limited, &[]));
    let capacity = advice
        .changes
        .iter()
        .find(|change| change.what == "capacity")
        .unwrap();
    // 90 calls in flight at a load of 0.8, or a little less where pods divide them.
    let sentence = &capacity.sentence;
    assert!(
        sentence.starts_with("Make the endpoint serve more at once: 11")
            && sentence.ends_with(" calls in place of 20."),
        "{sentence}"
    );
    assert!(
        advice.changes.iter().all(|change| change.what != "keys"),
        "{advice:?}"
    );

    let tight = advise(&asked(&BACKEND, &["close_tail p99 < 300ms"]));
    let [objective, ..] = tight.changes.as_slice() else {
        panic!("{tight:?}")
    };
    assert!(
        objective
            .sentence
            .starts_with("Allow more: `close_tail p99 < 300ms` is "),
        "{tight:?}"
    );
}

#[test]
fn what_no_prediction_tells_is_named_and_does_not_decide() {
    let advice = advise(&asked(
        &BACKEND,
        &["memory < 1MiB", "latency p50 < 100ms", "ledger balances"],
    ));
    assert_eq!(advice.objective, ["latency p50 < 100ms"]);
    assert_eq!(advice.not_predicted, ["memory < 1MiB", "ledger balances"]);
    assert_eq!(
        forms(&advice)[0].3,
        39,
        "the latency is no question of the workers"
    );
    let failing = advise(&asked(&BACKEND, &["latency p50 < 60ms"]));
    assert!(failing.settings.is_empty());
    let lag = advise(&asked(&BACKEND, &["result_lag p90 < 3s", "failed < 1%"]));
    assert_eq!(forms(&lag)[0].3, 39);
    let selected = advise(&asked(&BACKEND, &["close_tail{strategy=async} p50 < 1ms"]));
    assert_eq!(
        forms(&selected)[0],
        (ThreadPool, AtArrival, 1, 39),
        "it holds for async alone"
    );
}

#[test]
fn computations_leave_cores_to_the_rest_and_are_divided_among_pods() {
    let cpu = [
        ("rpu", "100"),
        ("keys", "40"),
        ("window", "2s"),
        ("io_delay", "15ms"),
        ("workload", "cpu"),
    ];
    let advice = advise(&asked(&cpu, &[]));
    let first = &advice.settings[0];
    assert!(
        first.pods.get() > 1 && first.in_flight <= 1.4,
        "1.5 of 2 cores are too many: {first:?}"
    );
    let mut one_pod = all(&cpu, &[], Some(1));
    let advice = advise(&one_pod.remove(0));
    assert!(advice.settings.is_empty());
    assert!(
        advice
            .changes
            .iter()
            .any(|change| change.sentence == "Use more pods: 2 in place of 1."),
        "{advice:?}"
    );
}

#[test]
fn a_plan_with_axes_asks_several_questions() {
    let rates = [
        ("rpu", "30,300"),
        ("keys", "20"),
        ("io_delay", "50ms"),
        ("strategy", "async"),
    ];
    let questions = all(&rates, &[], None);
    let names: Vec<&str> = questions.iter().map(|question| question.name.as_str()).collect();
    assert_eq!(names, ["rpu=30", "rpu=300"]);
    let workers = questions.iter().map(|question| forms(&advise(question))[0].3);
    assert_eq!(workers.collect::<Vec<_>>(), [2, 19]);
}

#[test]
fn an_answer_takes_few_simulations() {
    let windows = ["1s", "5s", "10s"];
    let delays = [
        "5ms",
        "100ms",
        "lognormal(50=80ms,99=400ms)",
        "lognormal(50=400ms,99=2s)",
    ];
    for (window, delay) in windows
        .iter()
        .flat_map(|window| delays.iter().map(move |delay| (window, delay)))
    {
        let question = asked(
            &[
                ("rpu", "200"),
                ("keys", "20"),
                ("window", window),
                ("io_delay", delay),
            ],
            &[],
        );
        let predictions = Predictions::new(question.cores, None);
        let advice = by(&question, &predictions);
        let simulated = predictions.simulated();
        assert!(
            simulated <= 16,
            "{simulated} simulations for windows of {window} and {delay}: {advice:?}"
        );
    }
}
