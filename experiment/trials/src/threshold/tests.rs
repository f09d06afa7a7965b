use super::*;
use crate::outcome::example::{SECOND, trial};
use crate::outcome::{Cost, TrialEnd, TrialOutcome};
use crate::plan::Plan;
use wire::Outcome;

fn parsed(text: &str) -> Threshold {
    text.parse().unwrap()
}

fn refused(text: &str) -> String {
    text.parse::<Threshold>().unwrap_err().to_string()
}

/// What came of a threshold in the one cell of these trials, and in words.
fn judged(text: &str, trials: &[TrialOutcome]) -> (Status, String) {
    let trials: Vec<&TrialOutcome> = trials.iter().collect();
    let threshold = parsed(text);
    let judged = judge(std::slice::from_ref(&threshold), &[], &trials);
    assert_eq!(judged.len(), 1);
    (judged[0].status, judged[0].text())
}

/// Windows with close tails of 1 ms, 2 ms and so on.
fn climbing(windows: u64) -> TrialOutcome {
    trial(&(1..=windows).map(|tail| tail * 1_000).collect::<Vec<_>>())
}

fn censored(mut outcome: TrialOutcome, windows: usize) -> TrialOutcome {
    for window in outcome.windows.iter_mut().take(windows) {
        window.measured = None;
    }
    outcome
}

#[test]
fn a_percentile_needs_enough_windows_over_all_repeats() {
    let met = (Status::Met, "close_tail p95 < 1.2s: 19.0 ms".to_owned());
    assert_eq!(judged("close_tail p95 < 1.2s", &[climbing(20)]), met);
    assert_eq!(judged("close_tail  p95<1.2s", &[climbing(20)]).0, Status::Met);
    let ten = || climbing(10);
    assert_eq!(judged("close_tail p95 <= 10ms", &[ten(), ten()]).0, Status::Met);
    assert_eq!(judged("close_tail p95 < 10ms", &[ten(), ten()]).0, Status::Missed);
    let few = "close_tail p95 < 1.2s: needs 20 windows, has 19".to_owned();
    assert_eq!(
        judged("close_tail p95 < 1.2s", &[climbing(19)]),
        (Status::Undecided, few)
    );
    let few = "close_tail p99.9 < 1s: needs 1,000 windows, has 20".to_owned();
    assert_eq!(
        judged("close_tail p99.9 < 1s", &[climbing(20)]),
        (Status::Undecided, few)
    );
}

#[test]
fn statistics_of_windows() {
    let four = [climbing(4)];
    for (statistic, figure) in [
        ("median", "2.50"),
        ("p50", "2.50"),
        ("p75", "3.00"),
        ("mean", "2.50"),
        ("max", "4.00"),
        ("", "4.00"),
    ] {
        let (status, text) = judged(&format!("close_tail {statistic} > 1us"), &four);
        assert_eq!(status, Status::Met);
        assert!(text.ends_with(&format!(": {figure} ms")), "{statistic}: {text}");
    }
}

#[test]
fn a_window_without_result_is_longer_than_any_bound() {
    let one_of_four = [censored(climbing(4), 1)];
    let missed = "close_tail < 1h: no result of 1 of 4 windows".to_owned();
    assert_eq!(judged("close_tail < 1h", &one_of_four), (Status::Missed, missed));
    assert_eq!(judged("close_tail p75 < 1h", &one_of_four).0, Status::Met);
    assert_eq!(judged("close_tail mean < 1h", &one_of_four).0, Status::Missed);
    assert_eq!(
        judged("close_tail median < 1h", &[censored(climbing(4), 3)]).0,
        Status::Missed
    );
    assert_eq!(judged("close_tail > 1us", &one_of_four).0, Status::Undecided);
}

#[test]
fn shares_bytes_and_ledgers() {
    let mut bad = trial(&[1_000, 1_000]);
    bad.outcomes = [(Outcome::Ok, 197), (Outcome::Timeout, 3)].into();
    assert_eq!(
        judged("failed < 1%", std::slice::from_ref(&bad)),
        (Status::Missed, "failed < 1%: 1.5 %".to_owned())
    );
    assert_eq!(
        judged("failed <= 0.015", std::slice::from_ref(&bad)).0,
        Status::Met
    );
    // Over both: 3 of 400.
    assert_eq!(
        judged("failed < 1%", &[bad.clone(), trial(&[1_000, 1_000])]).0,
        Status::Met
    );

    assert_eq!(
        judged("ledger balances", &[bad.clone()]),
        (Status::Met, "ledger balances".to_owned())
    );
    if let Some(ledger) = &mut bad.ledger {
        ledger.offered += 1;
    }
    let missed = "ledger balances: not in 1 of 2 trials".to_owned();
    assert_eq!(
        judged("ledger balances", &[trial(&[1]), bad.clone()]),
        (Status::Missed, missed)
    );
    bad.ledger = None;
    assert_eq!(judged("ledger balances", &[bad.clone()]).0, Status::Undecided);
    assert_eq!(judged("lost < 1%", &[bad]).0, Status::Undecided);

    let mut costly = trial(&[1_000]);
    assert_eq!(judged("memory < 200MiB", &[costly.clone()]).0, Status::Undecided);
    costly.cost = Some(Cost {
        cpu_us: 1_000,
        calls: 100,
        peak_memory_bytes: 200 << 20,
        peak_threads: 1,
    });
    assert_eq!(
        judged("memory < 200 MiB", &[costly.clone()]),
        (Status::Missed, "memory < 200 MiB: 200 MiB".to_owned())
    );
    assert_eq!(judged("memory < 210MB", &[costly.clone()]).0, Status::Met);
    assert_eq!(judged("cpu_per_call <= 10us", &[costly]).0, Status::Met);
}

#[test]
fn a_trial_that_measured_nothing_leaves_a_threshold_undecided() {
    let mut failed = trial(&[]);
    failed.end = TrialEnd::Failed {
        reason: "the UDF ended".to_owned(),
    };
    let undecided = "close_tail < 1s: 1 of 2 trials measured nothing".to_owned();
    assert_eq!(
        judged("close_tail < 1s", &[trial(&[1_000]), failed]),
        (Status::Undecided, undecided)
    );
}

#[test]
fn thresholds_choose_cells() {
    let other = {
        let mut other = trial(&[2 * SECOND]);
        other.trial.settings.rpu = std::num::NonZeroU64::MIN;
        other
    };
    let trials = [trial(&[1_000]), other];
    let outcomes: Vec<&TrialOutcome> = trials.iter().collect();
    let all = [
        parsed("close_tail{rpu=1} < 1s"),
        parsed("close_tail{strategy=async, rpu=1e0} < 3s"),
        parsed("close_tail < 1s"),
    ];
    let found: Vec<(String, Status)> = judge(&all, &[], &outcomes)
        .iter()
        .map(|judged| (judged.threshold.to_string(), judged.status))
        .collect();
    let expected = [
        ("close_tail < 1s", Status::Met),
        ("close_tail{rpu=1} < 1s", Status::Missed),
        ("close_tail{strategy=async, rpu=1e0} < 3s", Status::Met),
        ("close_tail < 1s", Status::Missed),
    ];
    assert_eq!(found, expected.map(|(text, status)| (text.to_owned(), status)));
}

#[test]
fn changes_are_against_the_same_cell_of_a_kept_run() {
    let threshold = parsed("close_tail p50 < +10% vs results/main");
    assert_eq!(threshold.run().unwrap().to_str(), Some("results/main"));
    let outcome = trial(&[108_000, 108_000]);
    let reference = |figure: Result<f64, String>| Reference {
        threshold: threshold.to_string(),
        cell: CellKey::of(&outcome.trial.settings),
        figure,
    };
    let status = |references: &[Reference]| {
        let judged = judge(std::slice::from_ref(&threshold), references, &[&outcome]);
        (judged[0].status, judged[0].text())
    };
    assert_eq!(status(&[reference(Ok(100_000.0))]).0, Status::Met);
    let missed = "close_tail p50 < +10% vs results/main: 108 ms, must be < 99.0 ms".to_owned();
    assert_eq!(status(&[reference(Ok(90_000.0))]), (Status::Missed, missed));
    let none = "close_tail p50 < +10% vs results/main: 108 ms, the other run has no such cell".to_owned();
    assert_eq!(status(&[]), (Status::Undecided, none));
    assert_eq!(status(&[reference(Err("why".to_owned()))]).0, Status::Undecided);
}

#[test]
fn figures_of_the_machine_are_compared_on_one_machine_only() {
    use crate::journal::{JournalLine, RunFacts};
    let mut outcome = trial(&[100_000, 100_000]);
    outcome.cost = Some(Cost {
        cpu_us: 1_000,
        calls: 100,
        peak_memory_bytes: 1 << 20,
        peak_threads: 1,
    });
    let machine = |cores: &str| [("cores".to_owned(), cores.to_owned())].into();
    let lines = vec![
        JournalLine::Run(RunFacts {
            plan_name: "main".to_owned(),
            plan_text: String::new(),
            trials: 1,
            engine: "local".to_owned(),
            started_us: 0,
            machine: machine("2"),
            command: String::new(),
            references: Vec::new(),
            search: None,
        }),
        JournalLine::Trial(Box::new(outcome)),
    ];
    let thresholds = [
        parsed("memory < +10% vs main"),
        parsed("close_tail median < +10% vs main"),
        parsed("close_tail p95 < +10% vs main"),
        parsed("memory < 1GiB"),
    ];
    let figures = |cores: &str| -> Vec<Result<f64, String>> {
        let read = |_: &std::path::Path| Ok::<_, ()>(lines.clone());
        let references = references(&thresholds, &machine(cores), read).unwrap();
        references.into_iter().map(|reference| reference.figure).collect()
    };
    let few = Err("the other run has no figure: needs 20 windows, has 2".to_owned());
    assert_eq!(figures("2"), [Ok(1_048_576.0), Ok(100_000.0), few.clone()]);
    let other = Err("the other run had another number of cores".to_owned());
    assert_eq!(figures("4"), [other, Ok(100_000.0), few]);
}

#[test]
fn what_is_no_threshold_is_refused_with_what_to_do() {
    let grammar = "expected METRIC[{SETTING=VALUE,…}] [p95|median|mean|max] <|<=|>|>= BOUND";
    for shape in [
        "",
        "close_tail",
        "close_tail p95",
        "{rpu=1} < 1s",
        "ledger",
        "ledger balanced",
        "close_tail{rpu=1 < 1s",
        "< 1s",
    ] {
        assert!(refused(shape).contains(grammar), "{shape}: {}", refused(shape));
    }
    for (text, problem) in [
        (
            "close_tial < 1s",
            "there is no metric `close_tial`: did you mean `close_tail`?",
        ),
        (
            "failed p95 < 1%",
            "`failed` has one figure for each cell: leave `p95` out",
        ),
        (
            "close_tail 95 < 1s",
            "`95` is no statistic: write p50, p95, p99.9, median, mean or max",
        ),
        (
            "close_tail p100 < 1s",
            "`p100` is no statistic: write p50, p95, p99.9, median, mean or max",
        ),
        (
            "close_tail p0 < 1s",
            "`p0` is no statistic: write p50, p95, p99.9, median, mean or max",
        ),
        (
            "close_tail p+9 < 1s",
            "`p+9` is no statistic: write p50, p95, p99.9, median, mean or max",
        ),
        (
            "close_tail < 12",
            "`12` is no bound of `close_tail`: write a duration like `1.2s`, or a change like `+10% vs results/main`",
        ),
        (
            "failed < 1s",
            "`1s` is no bound of `failed`: write a share like `1%`, or a change like `+10% vs results/main`",
        ),
        (
            "memory < 1s",
            "`1s` is no bound of `memory`: write bytes like `200MiB`, or a change like `+10% vs results/main`",
        ),
        (
            "close_tail < +10%",
            "`+10%` is a change, which needs the run that it is compared with: write `+10% vs FOLDER`",
        ),
        (
            "close_tail < 10% vs x",
            "`vs x` needs a change before it, with its sign, like `+10%`, not `10%`",
        ),
        (
            "close_tail{stratgy=async} < 1s",
            "there is no setting `stratgy` to choose cells by: did you mean `strategy`?",
        ),
        (
            "close_tail{async} < 1s",
            "`async` chooses no cells: write {setting=value}, like {strategy=async}",
        ),
    ] {
        assert_eq!(refused(text), problem);
    }
    assert!(
        refused("close_tail{rpu=fast} < 1s").starts_with("rpu: "),
        "{}",
        refused("close_tail{rpu=fast} < 1s")
    );
}

const PLAN: &str = "name: a\nfixed: {rpu: 10, io_delay: 1ms}\naxes: {strategy: [async, sequential]}\n";

#[test]
fn a_threshold_of_failed_is_what_the_verdict_allows() {
    let plan = |rest: &str| Plan::parse(&format!("{PLAN}{rest}"), "plan.yaml");
    let allowed = |rest: &str| -> Vec<Option<f64>> {
        let plan = plan(rest).unwrap();
        plan.trials()
            .iter()
            .map(|trial| trial.settings.max_failed)
            .collect()
    };
    assert_eq!(allowed(""), [None, None]);
    assert_eq!(
        allowed("thresholds: ['failed < 5%', 'close_tail < 1s']\n"),
        [Some(0.05), Some(0.05)]
    );
    assert_eq!(
        allowed("thresholds: ['failed{strategy=async} <= 5%']\n"),
        [Some(0.05), None]
    );
    assert_eq!(allowed("thresholds: ['failed > 5%']\n"), [None, None]);
    let error = |rest: &str| plan(rest).unwrap_err().to_string();
    assert_eq!(
        error("max_failed: 1%\nthresholds: ['failed < 5%']\n"),
        "plan.yaml:4: max_failed: is also limited by the threshold `failed < 5%`: keep one of them"
    );
    assert_eq!(
        error("thresholds:\n  - ledger balances\n  - 'failed{rpu=11} < 5%'\n"),
        "plan.yaml:6: thresholds: `failed{rpu=11} < 5%` chooses none of the plan's cells"
    );
    assert_eq!(
        error("thresholds: ['failed < 5s']\n"),
        "plan.yaml:4: thresholds[0]: `5s` is no bound of `failed`: write a share like `1%`, or a change like `+10% vs results/main`"
    );
}

#[test]
fn flags_add_thresholds_and_a_kept_plan_has_them() {
    let flags = [
        ("threshold", "close_tail p95 < 1.2s".to_owned()),
        ("threshold", "failed < 1%".to_owned()),
    ];
    let file = format!("{PLAN}thresholds: [ledger balances]\n");
    let (plan, text) = Plan::with_flags(Some((&file, "plan.yaml")), &flags).unwrap();
    let texts = |plan: &Plan| {
        plan.thresholds
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        texts(&plan),
        ["ledger balances", "close_tail p95 < 1.2s", "failed < 1%"]
    );
    let kept = Plan::parse(&text, "kept").unwrap();
    assert_eq!(texts(&kept), texts(&plan));
    assert_eq!(kept.hash(), plan.hash());
    let error = Plan::with_flags(
        Some((PLAN, "plan.yaml")),
        &[("threshold", "close_tail".to_owned())],
    )
    .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("--threshold: `close_tail` is no threshold: "),
        "{error}"
    );
}
