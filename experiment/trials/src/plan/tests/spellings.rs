//! Ways to write the same plan, and the flags that stand for one.

use proptest::prelude::*;
use wire::settings::TABLE;

use super::{SMALL, parse};
use crate::plan::{Payloads, Plan, PlanError, flag_fields};

/// The ids and settings of a plan's trials.
fn trials(text: &str) -> Vec<crate::trial::Trial> {
    parse(text).unwrap_or_else(|error| panic!("{error}")).trials()
}

fn refused(text: &str) -> String {
    let error = parse(text).expect_err(text).to_string();
    assert!(!error.contains('\n'), "{error}");
    error
}

#[test]
fn anchors_merge_keys_and_fields_of_ones_own_are_read() {
    let text = "\
name: small
x-base: &base
  keys: 2
  rpu: 9
x-delays: &delays [0, 200us, 1s]
window: 2s
read_timeout: 100ms
windows: 3
warmup: 1
fixed:
  <<: *base
  rpu: 10
axes:
  io_delay: *delays
  strategy:
    - sequential
    - &slow {strategy: async, start_rule: at-close, max_workers: 1000}
    - {<<: *slow, strategy: thread-pool, x-why: a note}
    - process-pool
";
    let plain = "\
name: small
window: 2s
read_timeout: 100ms
windows: 3
warmup: 1
fixed: {keys: 2, rpu: 10}
axes:
  io_delay: [0, 200us, 1s]
  strategy:
    - sequential
    - {strategy: async, start_rule: at-close, max_workers: 1000}
    - {strategy: thread-pool, start_rule: at-close, max_workers: 1000}
    - process-pool
";
    assert_eq!(trials(text), trials(plain));
}

#[test]
fn a_mark_of_byte_order_and_returns_before_newlines_are_read() {
    for text in [
        format!("\u{feff}{SMALL}"),
        SMALL.replace('\n', "\r\n"),
        format!("\u{feff}{}", SMALL.replace('\n', "\r\n")),
    ] {
        assert_eq!(trials(&text), trials(SMALL));
    }
    let error = refused(&format!(
        "\u{feff}{}",
        SMALL.replace("[10, 100]", "[0]").replace('\n', "\r\n")
    ));
    assert_eq!(
        error,
        "plans/x.yaml:9: axes.rpu[0]: must be a whole number from 1 to 1000000, not `0`"
    );
}

#[test]
fn a_tab_is_named_with_its_line() {
    for (from, line) in [("  keys: 2", 7), ("  rpu:", 9), ("    - sequential", 12)] {
        let tabbed = SMALL.replace(from, &from.replacen("  ", "\t", 1));
        assert_eq!(
            refused(&tabbed),
            format!("plans/x.yaml:{line}: is indented with a tab, which YAML does not allow; use spaces"),
        );
    }
}

#[test]
fn a_comma_that_ends_a_value_too_early_is_to_be_quoted() {
    let mend = "within {…} and […] a comma ends a value, so quote it: 'percentiles(…)'";
    for (text, field) in [
        (
            "name: x\nfixed: {io_delay: percentiles(50=80ms,99=400ms), rpu: 1, strategy: async}\n",
            "2: fixed.io_delay",
        ),
        (
            "name: x\nfixed: {rpu: 1, strategy: async}\naxes:\n  io_delay: [percentiles(50=80ms,99=400ms)]\n",
            "4: axes.io_delay[0]",
        ),
    ] {
        assert_eq!(
            refused(text),
            format!("plans/x.yaml:{field}: `percentiles(50=80ms` ends before its bracket: {mend}")
        );
    }
}

#[test]
fn aliases_that_multiply_are_bounded() {
    let mut bomb = "name: x\nx-0: &a0 [1, 1, 1, 1, 1, 1, 1, 1]\n".to_owned();
    for depth in 1..10 {
        let before = format!("*a{}", depth - 1);
        bomb.push_str(&format!(
            "x-{depth}: &a{depth} [{}]\n",
            [before.as_str(); 8].join(", ")
        ));
    }
    bomb.push_str("fixed: {rpu: 1, io_delay: 0, strategy: async}\n");
    let error = refused(&bomb);
    assert!(
        error.ends_with(": is too large: with what its aliases repeat, a plan may have 200000 values"),
        "{error}"
    );
}

#[test]
fn numbers_and_shares_are_read_alike_wherever_they_stand() {
    let text = "name: x\nfixed: {rpu: 1e3, io_delay: 0, strategy: async, fail_hang: 5%, fail_reset: 0.05, \
                fail_body: 1e-2, fail_status_code: 404, capacity: 1e2, runtime_threads: 2}\n";
    let flags = [
        ("rpu", "1e3"),
        ("io_delay", "0"),
        ("strategy", "async"),
        ("fail_hang", "5%"),
        ("fail_reset", "0.05"),
        ("fail_body", "1e-2"),
        ("fail_status_code", "404"),
        ("capacity", "1e2"),
        ("runtime_threads", "2"),
    ];
    let from_file = &trials(text)[0].settings;
    assert_eq!(
        (
            from_file.rpu.get(),
            from_file.fail_hang,
            from_file.fail_reset,
            from_file.fail_body
        ),
        (1_000, Some(0.05), Some(0.05), Some(0.01))
    );
    assert_eq!(&of_flags(&flags).unwrap().0.trials()[0].settings, from_file);
}

fn owned(flags: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    flags
        .iter()
        .map(|(name, text)| (*name, (*text).to_owned()))
        .collect()
}

fn of_flags(flags: &[(&'static str, &str)]) -> Result<(Plan, String), PlanError> {
    Plan::with_flags(None, &owned(flags))
}

#[test]
fn flags_are_a_plan_that_can_be_read_again() {
    let (plan, text) = of_flags(&[
        ("rpu", "300"),
        ("io_delay", "uniform(1ms,2ms), 20ms"),
        ("strategy", "async,thread-pool"),
        ("max_workers", "32,64"),
        ("window", "1m30s"),
        ("windows", "3"),
    ])
    .unwrap();
    let name = plan.name.clone();
    assert!(name.starts_with("run-") && name.len() == 10, "{name}");
    assert_eq!(
        text,
        format!(
            "name: {name}\nwindows: 3\nfixed:\n  rpu: 300\n  window: 90s\naxes:\n  io_delay: ['uniform(1ms,2ms)', 20ms]\n  \
             strategy: [async, thread-pool]\n  max_workers: [32, 64]\n"
        )
    );
    let trials = plan.trials();
    assert_eq!(
        (trials.len(), trials[1].id.as_str()),
        (
            8,
            "io_delay=uniform-1ms-2ms,strategy=async,max_workers=64,repeat=0"
        )
    );
    let again = Plan::parse(&text, "plan.yaml").unwrap();
    assert_eq!((again.hash(), again.trials()), (plan.hash(), trials));
}

#[test]
fn flags_add_to_a_file_and_give_nothing_again() {
    let file = Some((SMALL, "plans/small.yaml"));
    let (plan, text) =
        Plan::with_flags(file, &owned(&[("retries", "2"), ("seed", "7"), ("repeats", "2")])).unwrap();
    let settings = &plan.trials()[0].settings;
    assert_eq!((settings.retries, settings.seed, plan.repeats), (2, 7, 2));
    assert_eq!(Plan::parse(&text, "plan.yaml").unwrap().trials(), plan.trials());
    let (_, unchanged) = Plan::with_flags(file, &[]).unwrap();
    assert_eq!(unchanged, SMALL, "comments and layout stay");
    for (flag, line) in [
        (("name", "x"), 1),
        (("window", "1s"), 2),
        (("windows", "4"), 4),
        (("keys", "3"), 7),
        (("rpu", "3"), 9),
        (("max_workers", "3"), 13),
    ] {
        let error = Plan::with_flags(file, &owned(&[flag])).unwrap_err().to_string();
        let named = flag.0.replace('_', "-");
        assert_eq!(
            error,
            format!("--{named}: the plan gives it on line {line}: change it there, or leave the flag out")
        );
    }
}

#[test]
fn a_refused_flag_is_named() {
    let least = [("rpu", "10"), ("io_delay", "0"), ("strategy", "async")];
    for (flag, expected) in [
        (
            ("keys", "0"),
            "--keys: must be a whole number from 1 to 1000000, not `0`",
        ),
        (
            ("keys", "1,x"),
            "--keys: must be a whole number from 1 to 1000000, not `x`",
        ),
        (
            ("keys", "1,"),
            "--keys: must be a whole number from 1 to 1000000, not ``",
        ),
        (
            ("keys", "1,1"),
            "--keys: is the same level as the one at position 0",
        ),
        (
            ("windows", "1,2"),
            "--windows: must be a whole number from 1 to 10000, not `1,2`",
        ),
        (
            ("repeats", "0"),
            "--repeats: must be a whole number from 1 to 10000, not `0`",
        ),
        (
            ("order", "shuffled"),
            "--order: `shuffled` needs a seed, so that it is the same order every time; add `seed: 1`",
        ),
        (
            ("name", "a/b"),
            "--name: must be 1 to 64 letters, digits, `-`, `_` or `.`, not `a/b`",
        ),
        (
            ("start_rule", "at_close"),
            "--start-rule: unknown start rule `at_close`: did you mean `at-close`?",
        ),
        (
            ("window", "1ms"),
            "--window: 1ms is shorter than read_timeout, which is 200ms where it is not given; make the window longer, or add `read_timeout: 1ms`",
        ),
        (
            ("window", "50ms"),
            "--rpu: 10 a second leave windows without an event; make the window longer",
        ),
        (("repeats", "10000"), ""),
        (("seed", "1e99"), "--seed: must be a whole number, not `1e99`"),
    ] {
        let flags: Vec<_> = least
            .into_iter()
            .chain([flag])
            .chain([("read_timeout", "1ms")].into_iter().filter(|_| flag.1 == "50ms"))
            .collect();
        match of_flags(&flags) {
            Ok(_) => assert_eq!(expected, "", "{flag:?}"),
            Err(error) => assert_eq!(error.to_string(), expected, "{flag:?}"),
        }
    }
    for (flags, missing) in [
        (&least[..0], "--strategy, --rpu and --io-delay are missing"),
        (&least[..2], "--strategy is missing"),
    ] {
        assert_eq!(
            of_flags(flags).unwrap_err().to_string(),
            format!("{missing}: give a plan's file, or at least --strategy, --rpu and --io-delay")
        );
    }
}

#[test]
fn every_setting_of_the_table_is_a_flag() {
    let fields = flag_fields();
    for setting in &TABLE {
        assert!(
            fields.iter().any(|field| field.name == setting.name),
            "{}",
            setting.name
        );
    }
    assert_eq!(
        fields.len(),
        TABLE.len() + 7,
        "and name, repeats, cut_off, order, payloads, payload_template, key_pointer"
    );
}

#[test]
fn a_template_of_several_lines_is_kept_as_it_is() {
    let lines = "{\n  \"it's\": ${key},\n\t\"at\": ${time_ms}\n}\n";
    let flags = [
        ("rpu", "10"),
        ("io_delay", "1ms"),
        ("strategy", "async"),
        ("payload_template", lines),
    ];
    let (plan, text) = Plan::with_flags(None, &owned(&flags)).unwrap();
    assert_eq!(
        plan.payloads,
        Some(Payloads::Template(lines.trim_end().to_owned()))
    );
    assert_eq!(
        Plan::parse(&text, "plan.yaml").unwrap().payloads,
        plan.payloads,
        "{text}"
    );
}

proptest! {
    /// Whatever is given by flags is refused in one line or becomes a text that is the same plan.
    #[test]
    fn flags_are_refused_or_are_the_plan_that_is_kept(
        given in prop::collection::vec((any::<prop::sample::Index>(), "[0-9a-z,.%()=-]{1,12}|[0-9]{1,3}|[0-9]{1,2}s|true|http"), 0..4),
    ) {
        let fields = flag_fields();
        let mut flags = owned(&[("rpu", "10"), ("io_delay", "1ms"), ("strategy", "async,process-pool")]);
        for (at, text) in given {
            let name = at.get(&fields).name;
            if !flags.iter().any(|(known, _)| *known == name) {
                flags.push((name, text));
            }
        }
        match Plan::with_flags(None, &flags) {
            Ok((plan, text)) => {
                let again = Plan::parse(&text, "plan.yaml").map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
                prop_assert_eq!(again.trials(), plan.trials());
                prop_assert_eq!(again.payloads, plan.payloads);
                prop_assert_eq!((again.name, again.repeats, again.cut_off, again.order), (plan.name, plan.repeats, plan.cut_off, plan.order));
            }
            Err(error) => prop_assert!(!error.to_string().contains('\n'), "{}", error),
        }
    }
}
