//! Plans that are refused, with the message. Long tests are tables of cases.

use super::{SMALL, parse};

fn changed(from: &str, to: &str) -> String {
    assert!(SMALL.contains(from), "{from}");
    let error = parse(&SMALL.replacen(from, to, 1)).expect_err(to).to_string();
    assert!(!error.contains('\n'), "{error}");
    error
}

#[test]
fn impossible_values_are_refused_with_line_and_field() {
    for (from, to, expected) in [
        (
            "[10, 100]",
            "[10, 0]",
            "plans/x.yaml:9: axes.rpu[1]: must be a whole number from 1 to 1000000, not `0`",
        ),
        (
            "[10, 100]",
            "[-10]",
            "plans/x.yaml:9: axes.rpu[0]: must be a whole number from 1 to 1000000, not `-10`",
        ),
        (
            "[10, 100]",
            "[1000000000000]",
            "plans/x.yaml:9: axes.rpu[0]: must be a whole number from 1 to 1000000, not `1000000000000`",
        ),
        (
            "200us",
            "1sec",
            "plans/x.yaml:10: axes.io_delay[1]: `1sec` is not a duration: expected a number and a unit (ns, us, ms, s, m, h), like 200us, 1.5s or 1m30s",
        ),
        (
            "max_workers: 1000",
            "max_workers: 0",
            "plans/x.yaml:13: axes.strategy[1].max_workers: must be a whole number from 1 to 1000000, not `0`",
        ),
        (
            "windows: 3",
            "windows: 0",
            "plans/x.yaml:4: windows: must be a whole number from 1 to 10000, not `0`",
        ),
        (
            "window: 2s",
            "window: 0",
            "plans/x.yaml:2: window: must be longer than 0",
        ),
        (
            "window: 2s",
            "window: 1.0005s",
            "plans/x.yaml:2: window: must be whole milliseconds, not `1.0005s`",
        ),
        (
            "read_timeout: 100ms",
            "read_timeout: 0s",
            "plans/x.yaml:3: read_timeout: must be longer than 0",
        ),
        (
            "keys: 2",
            "capacity: 0",
            "plans/x.yaml:7: fixed.capacity: must be a whole number from 1 to 1000000, or `unlimited`, not `0`",
        ),
        (
            "keys: 2",
            "fail_status: 1.5",
            "plans/x.yaml:7: fixed.fail_status: must be a number from 0 to 1, like 0.05, or a percentage, like 5%, not `1.5`",
        ),
        (
            "keys: 2",
            "fail_status: .nan",
            "plans/x.yaml:7: fixed.fail_status: must be a number from 0 to 1, like 0.05, or a percentage, like 5%, not `NaN`",
        ),
        (
            "keys: 2",
            "cpu_offload: maybe",
            "plans/x.yaml:7: fixed.cpu_offload: must be true or false, not `maybe`",
        ),
        (
            "keys: 2",
            "timeout: 0",
            "plans/x.yaml:7: fixed.timeout: must be longer than 0",
        ),
        (
            "- sequential",
            "- threads",
            "plans/x.yaml:12: axes.strategy[0]: unknown strategy `threads`: expected one of sequential, async, thread-pool, process-pool",
        ),
        (
            "name: small",
            "name: a/b",
            "plans/x.yaml:1: name: must be 1 to 64 letters, digits, `-`, `_` or `.`, not `a/b`",
        ),
    ] {
        assert_eq!(changed(from, to), expected);
    }
}

#[test]
fn unknown_and_duplicate_fields_are_refused_with_line_and_field() {
    for (from, to, expected) in [
        (
            "warmup: 1",
            "warm_up: 1",
            "plans/x.yaml:5: unknown field `warm_up`: did you mean `warmup`?",
        ),
        (
            "warmup: 1",
            "workers: 1",
            "plans/x.yaml:5: unknown field `workers`: did you mean `max_workers`, in `fixed` or as an axis?",
        ),
        (
            "warmup: 1",
            "rpu: 1",
            "plans/x.yaml:5: `rpu` is a setting: write it in `fixed` or as an axis, not at the top",
        ),
        (
            "warmup: 1",
            "banana: 1",
            "plans/x.yaml:5: unknown field `banana`: expected one of name, fixed, axes, thresholds, repeats, cut_off, order, payloads, payload_template, key_pointer, window, ",
        ),
        (
            "  keys: 2",
            "  key: 2",
            "plans/x.yaml:7: fixed: there is no setting `key`: did you mean `keys`?",
        ),
        (
            "  keys: 2",
            "  windows: 2",
            "plans/x.yaml:7: fixed: `windows` is the same for all trials: write it at the top of the plan",
        ),
        (
            "  io_delay: [0, 200us, 1s]",
            "  ioDelay: [0]",
            "plans/x.yaml:10: axes: there is no setting `ioDelay`: did you mean `io_delay`?",
        ),
        (
            "- sequential",
            "- Async",
            "plans/x.yaml:12: axes.strategy[0]: unknown strategy `Async`: did you mean `async`?",
        ),
        (
            "at-close",
            "at_close",
            "plans/x.yaml:13: axes.strategy[1].start_rule: unknown start rule `at_close`: did you mean `at-close`?",
        ),
        (
            "max_workers: 1000",
            "maxWorkers: 1000",
            "plans/x.yaml:13: axes.strategy[1]: a strategy's level cannot carry `maxWorkers`: did you mean `max_workers`?",
        ),
        (
            "  rpu:",
            "  rps:",
            "plans/x.yaml:9: axes: there is no setting `rps`: did you mean `rpu`?",
        ),
        (
            "max_workers",
            "rpu",
            "plans/x.yaml:13: axes.strategy[1]: a strategy's level cannot carry `rpu`",
        ),
        (
            "strategy: async, ",
            "",
            "plans/x.yaml:13: axes.strategy[1]: a strategy's level must name its `strategy`",
        ),
        (
            "  io_delay:",
            "  rpu:",
            "plans/x.yaml:10: `rpu` is given twice; remove one of them",
        ),
        (
            "warmup: 1",
            "windows: 4",
            "plans/x.yaml:5: `windows` is given twice",
        ),
        (
            "[10, 100]",
            "[]",
            "plans/x.yaml:9: axes.rpu: an axis needs at least one level",
        ),
        (
            "[10, 100]",
            "10",
            "plans/x.yaml:9: axes.rpu: must be a list of levels, like [A, B], not `10`",
        ),
        ("name: small\n", "", "plans/x.yaml:1: missing field `name`"),
    ] {
        let error = changed(from, to);
        assert!(error.starts_with(expected), "{error}");
    }
    for text in [
        "",
        "- a\n",
        "name: [\n",
        "just text",
        "name: x\nfixed: 3\n",
        "a: 1\n---\nb: 1\n",
        "\u{0}",
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(
            error.starts_with("plans/x.yaml:") && !error.contains('\n'),
            "{error}"
        );
    }
}

#[test]
fn settings_that_do_not_go_together_are_refused_with_line_and_field() {
    for (from, to, expected) in [
        (
            "[10, 100]",
            "[10, 10]",
            "plans/x.yaml:9: axes.rpu[1]: is the same level as the one at position 0",
        ),
        (
            "200us",
            "1000ms",
            "plans/x.yaml:10: axes.io_delay[2]: is the same level as the one at position 1",
        ),
        (
            "keys: 2",
            "rpu: 2",
            "plans/x.yaml:9: axes.rpu: is also fixed; keep it in `fixed` or in `axes`",
        ),
        (
            "read_timeout: 100ms",
            "read_timeout: 3s",
            "plans/x.yaml:3: read_timeout: 3s must not be longer than the window (2s)",
        ),
        (
            "window: 2s\nread_timeout: 100ms",
            "window: 1ms",
            "plans/x.yaml:2: window: 1ms is shorter than read_timeout, which is 200ms where it is not given; make the window longer, or add `read_timeout: 1ms`",
        ),
        (
            "  rpu: [10, 100]",
            "  window: [1s, 2s]\n  rpu: [10, 100]",
            "plans/x.yaml:9: axes.window: is also given at the top; keep it there or in `axes`",
        ),
        (
            "  keys: 2",
            "  window: 1s",
            "plans/x.yaml:7: fixed.window: is also given at the top; keep it there or in `fixed`",
        ),
        (
            "  keys: 2",
            "  fail_hang: 60%\n  fail_body: 0.5",
            "plans/x.yaml:8: fixed.fail_body: the shares of failing calls add up to 1.1; at most 1 is possible",
        ),
        (
            "warmup: 1",
            "order: shuffled",
            "plans/x.yaml:5: order: `shuffled` needs a seed",
        ),
        (
            "- sequential",
            "- {strategy: sequential, max_workers: 4}",
            "plans/x.yaml:12: axes.strategy[0].max_workers: `sequential` has one call in flight, never 4",
        ),
        (
            "keys: 2",
            "max_workers: 4",
            "plans/x.yaml:7: fixed.max_workers: `sequential` has one call in flight, never 4",
        ),
        (
            "  rpu: [10, 100]\n",
            "",
            "plans/x.yaml:8: rpu is missing: give it in `fixed`, or as an axis with its levels",
        ),
        (
            "[10, 100]",
            "[10, 100]\n  max_workers: [1]",
            "plans/x.yaml:14: axes.strategy[1]: carries `max_workers`, which is an axis",
        ),
        (
            "- process-pool",
            "- {strategy: thread-pool, max_workers: 6}",
            "plans/x.yaml:8: axes: `rpu=10,io_delay=0,strategy=thread-pool,max_workers=6,repeat=0` would be the same trial as",
        ),
        (
            "warmup: 1",
            "repeats: 417",
            "plans/x.yaml:8: axes: the plan has more than 10000 trials",
        ),
        (
            "window: 2s\nread_timeout: 100ms",
            "window: 50ms\nread_timeout: 1ms",
            "plans/x.yaml:9: axes.rpu[0]: 10 a second leave windows without an event",
        ),
    ] {
        let error = changed(from, to);
        assert!(error.starts_with(expected), "{error}\n{expected}");
    }
    assert_eq!(
        parse("name: empty\n").unwrap_err().to_string(),
        "plans/x.yaml:1: strategy, rpu and io_delay are missing: give them in `fixed`, or as axes with their levels"
    );
}

#[test]
fn a_plan_without_any_value_is_empty() {
    for text in ["", " \n\n", "# a comment\n", "---\n", "null\n", "~"] {
        let error = parse(text).expect_err(text).to_string();
        assert!(
            error.starts_with("plans/x.yaml:1: the plan is empty: expected"),
            "{text:?}: {error}"
        );
    }
    for text in ["\u{feff}", "\t", "[]", "{}", "0"] {
        let error = parse(text).expect_err(text).to_string();
        assert!(!error.contains('\n'), "{text:?}: {error}");
    }
}
