use super::*;
use crate::outcome::Cost;
use crate::outcome::example::trial;
use wire::Outcome;

/// Repeats whose close tails are these, in milliseconds.
fn repeats(tails_ms: &[f64]) -> Vec<TrialOutcome> {
    let one = |(repeat, tail_ms): (u32, &f64)| {
        let mut outcome = trial(&[(tail_ms * 1e3) as u64; 3]);
        outcome.trial.repeat = repeat;
        outcome.trial.id = format!("rpu=10,repeat={repeat}");
        outcome
    };
    (0..).zip(tails_ms).map(one).collect()
}

fn compared(a: &[TrialOutcome], b: &[TrialOutcome], design: Design) -> Compared {
    of(Metric::CloseTail, a, b, design)
}

fn of(metric: Metric, a: &[TrialOutcome], b: &[TrialOutcome], design: Design) -> Compared {
    let (a, b): (Vec<&TrialOutcome>, Vec<&TrialOutcome>) = (a.iter().collect(), b.iter().collect());
    let machine = BTreeMap::new();
    let side = |outcomes| Side {
        outcomes,
        machine: &machine,
    };
    let mut cells = compare(metric, side(&a), side(&b), design, 0.1);
    assert_eq!(cells.len(), 1);
    cells.remove(0)
}

#[test]
fn a_tenth_longer_is_worse_and_shorter_is_better() {
    let main = repeats(&[100.0, 101.0, 99.0, 100.5, 99.5]);
    let slow = repeats(&[110.0, 111.0, 109.0, 110.5, 109.5]);
    for design in [Design::Kept, Design::Rounds] {
        let worse = compared(&main, &slow, design);
        let change = worse.change.unwrap();
        assert_eq!((worse.finding, worse.number), (Finding::Worse, 5));
        assert!((change.by - 0.1).abs() < 0.002, "{change:?}");
        assert!(change.low > 0.07 && change.high < 0.13, "{change:?}");
        assert_eq!(compared(&slow, &main, design).finding, Finding::Better);
        assert_eq!(compared(&main, &main.clone(), design).finding, Finding::Same);
    }
}

#[test]
fn what_both_have_in_a_round_is_no_difference() {
    // Each round is slower than the one before, for both.
    let main = repeats(&[100.0, 140.0, 180.0, 220.0]);
    let same = repeats(&[101.0, 139.0, 181.0, 219.0]);
    assert_eq!(compared(&main, &same, Design::Rounds).finding, Finding::Same);
    let kept = compared(&main, &same, Design::Kept);
    assert_eq!(kept.finding, Finding::Undecided);
    assert!(kept.needed.is_some_and(|needed| needed > 10), "{kept:?}");
}

#[test]
fn fewer_than_three_have_no_verdict() {
    let few = compared(
        &repeats(&[100.0, 100.0]),
        &repeats(&[200.0, 200.0, 200.0]),
        Design::Kept,
    );
    assert_eq!(
        (few.finding, few.change, few.needed),
        (Finding::Undecided, None, Some(3))
    );
    assert_eq!(few.reason, "needs 3 trials on each side, has 2");
    let few = compared(&repeats(&[100.0; 5]), &repeats(&[200.0; 2]), Design::Rounds);
    assert_eq!(few.reason, "needs 3 rounds, has 2");
}

#[test]
fn results_that_never_come_are_worse_than_any() {
    let main = repeats(&[100.0; 3]);
    let mut stuck = main.clone();
    for outcome in &mut stuck {
        outcome.end = TrialEnd::CutOff;
        outcome
            .windows
            .iter_mut()
            .for_each(|window| window.measured = None);
    }
    let worse = compared(&main, &stuck, Design::Rounds);
    assert_eq!((worse.finding, worse.change), (Finding::Worse, None));
    assert_eq!(worse.reason, "no trial of the second gave its results in time");
    assert_eq!(compared(&stuck, &main, Design::Rounds).finding, Finding::Better);
    stuck[0] = main[0].clone();
    let some = compared(&main, &stuck, Design::Rounds);
    assert_eq!(
        (some.finding, some.reason.as_str()),
        (Finding::Undecided, "2 trials gave no result in time")
    );
}

#[test]
fn shares_differ_by_points() {
    let failing = |failed: [u64; 4]| {
        let mut all = repeats(&[100.0; 4]);
        for (outcome, failed) in all.iter_mut().zip(failed) {
            outcome.outcomes = [(Outcome::Ok, 1_000 - failed), (Outcome::Timeout, failed)].into();
        }
        all
    };
    let none = failing([0; 4]);
    let worse = of(Metric::Failed, &none, &failing([30, 31, 29, 30]), Design::Rounds);
    assert_eq!(worse.finding, Finding::Worse);
    assert!((worse.change.unwrap().by - 0.03).abs() < 1e-9);
    assert_eq!(
        of(Metric::Failed, &none, &none, Design::Rounds).finding,
        Finding::Same
    );
    // Within a point, around 0.
    let few = of(Metric::Failed, &none, &failing([0, 1, 0, 0]), Design::Rounds);
    assert_eq!(few.finding, Finding::Same);
}

#[test]
fn memory_of_two_machines_has_no_verdict() {
    let mut all = repeats(&[100.0; 3]);
    for outcome in &mut all {
        outcome.cost = Some(Cost {
            cpu_us: 10,
            calls: 10,
            peak_memory_bytes: 1 << 20,
            peak_threads: 1,
        });
    }
    let outcomes: Vec<&TrialOutcome> = all.iter().collect();
    let machine = |cpu: &str| BTreeMap::from([("cpu".to_owned(), cpu.to_owned())]);
    let (one, other) = (machine("one"), machine("other"));
    let compare = |metric, to| {
        let from = Side {
            outcomes: &outcomes,
            machine: &one,
        };
        let to = Side {
            outcomes: &outcomes,
            machine: to,
        };
        super::compare(metric, from, to, Design::Kept, 0.1).remove(0)
    };
    assert_eq!(compare(Metric::Memory, &one).finding, Finding::Same);
    let none = compare(Metric::Memory, &other);
    assert_eq!(
        (none.finding, none.reason.as_str()),
        (Finding::Undecided, "the runs had another processor")
    );
    assert_eq!(compare(Metric::CloseTail, &other).finding, Finding::Same);
}

#[test]
fn processor_time_that_its_clock_cannot_tell_apart_has_no_verdict() {
    let costing = |cpu_us: u64| {
        let mut all = repeats(&[100.0; 3]);
        for outcome in &mut all {
            outcome.cost = Some(Cost {
                cpu_us,
                calls: 100,
                peak_memory_bytes: 1 << 20,
                peak_threads: 1,
            });
        }
        all
    };
    let coarse = of(
        Metric::CpuPerCall,
        &costing(40_000),
        &costing(40_000),
        Design::Rounds,
    );
    assert_eq!((coarse.finding, coarse.change), (Finding::Undecided, None));
    assert!(
        coarse.reason.contains("too little processor time"),
        "{}",
        coarse.reason
    );
    let fine = of(
        Metric::CpuPerCall,
        &costing(400_000),
        &costing(400_000),
        Design::Rounds,
    );
    assert_eq!(fine.finding, Finding::Same);
    assert_eq!(
        of(
            Metric::CpuPerCall,
            &costing(400_000),
            &costing(500_000),
            Design::Rounds
        )
        .finding,
        Finding::Worse
    );
}

/// Ten cells of which none differs: hardly ever is one of them called another.
#[test]
fn many_cells_raise_no_more_alarms_than_one() {
    let mut index = 0;
    let mut noise = || {
        index += 1;
        1.0 + 0.05 * ((wire::splitmix64(5, index) % 2_001) as f64 / 1_000.0 - 1.0)
    };
    let mut run = || {
        let cells = (1..=10u64).flat_map(|rpu| {
            let tails: Vec<f64> = (0..5).map(|_| 100.0 * noise()).collect();
            let mut trials = repeats(&tails);
            for outcome in &mut trials {
                outcome.trial.settings.rpu = rpu.try_into().unwrap();
            }
            trials
        });
        cells.collect::<Vec<_>>()
    };
    let machine = BTreeMap::new();
    let mut alarms = 0;
    for _ in 0..200 {
        let (a, b) = (run(), run());
        let (a, b): (Vec<&TrialOutcome>, Vec<&TrialOutcome>) = (a.iter().collect(), b.iter().collect());
        let side = |outcomes| Side {
            outcomes,
            machine: &machine,
        };
        let cells = compare(Metric::CloseTail, side(&a), side(&b), Design::Rounds, 0.1);
        assert_eq!(cells.len(), 10);
        alarms += usize::from(
            cells
                .iter()
                .any(|one| matches!(one.finding, Finding::Worse | Finding::Better)),
        );
    }
    assert!(alarms <= 7, "{alarms} of 200");
}
