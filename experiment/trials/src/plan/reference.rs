//! The reference of plans as a page (`docs/plan.md`) and as a JSON schema for editors, generated from the table of
//! settings and the fields that the parser reads.

use serde_json::{Map, Value, json};
use wire::settings::{Form, Program, Scope, Setting, TABLE};

use super::file::{FIELDS, THRESHOLDS};
use crate::metric::Metric;

/// The page `docs/plan.md`.
pub fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    page.push_str("\n## At the top\n\n| field | default | values | |\n|---|---|---|---|\n");
    page.push_str("| `name` | required | 1 to 64 letters, digits, `-`, `_` or `.` | Names the run's folder and report |\n");
    page.push_str("| `fixed` | | a mapping | Settings that every trial has |\n");
    page.push_str(
        "| `axes` | | a mapping of lists | Settings with their levels; every combination is a trial |\n",
    );
    page.push_str(&format!(
        "| `{THRESHOLDS}` | | a list, as [below](#thresholds) | What must hold; a run where one is missed ends with exit status 3 |\n"
    ));
    for field in FIELDS {
        page.push_str(&row(field.name, field.default, &field.form, field.meaning));
    }
    for setting in TABLE.iter().filter(|setting| !setting.is_axis()) {
        page.push_str(&row(
            setting.name,
            default(setting),
            &setting.form,
            setting.meaning,
        ));
    }
    page.push_str("\n## Settings, in `fixed` or as an axis\n\n| setting | default | values | | acts in |\n|---|---|---|---|---|\n");
    for setting in TABLE.iter().filter(|setting| setting.is_axis()) {
        let programs: Vec<String> = setting.programs.iter().map(Program::to_string).collect();
        let row = row(setting.name, default(setting), &setting.form, setting.meaning);
        page.push_str(&format!("{} {} |\n", row.trim_end(), programs.join(", ")));
    }
    let names = |which: fn(&&Setting) -> bool| {
        let names = TABLE
            .iter()
            .filter(which)
            .map(|setting| format!("`{}`", setting.name));
        names.collect::<Vec<_>>().join(", ")
    };
    let carried = names(|setting| setting.scope == Scope::Strategy);
    page.push_str(&format!("\n{LEVELS}{carried}.\n"));
    let anywhere = names(|setting| setting.scope == Scope::Anywhere);
    page.push_str(&format!(
        "\nThese can also be given at the top, once for all trials: {anywhere}.\n"
    ));
    page.push_str(ABOUT_THRESHOLDS);
    page.push_str("\n| metric | percentiles | |\n|---|---|---|\n");
    for metric in Metric::ALL {
        let percentiles = if metric.is_distribution() { "yes" } else { "" };
        page.push_str(&format!(
            "| `{}` | {percentiles} | {} |\n",
            metric.name(),
            metric.meaning()
        ));
    }
    page
}

const INTRODUCTION: &str = "\
# Plans

<!-- Written by `cargo run -p trials --example plan_reference -- page > docs/plan.md`; a test compares. -->

A plan is a YAML file: settings that are fixed, and axes with their levels. Every combination of levels is a cell, and
each cell is run `repeats` times as a trial of its own. `experiment predict PLAN` lists the trials without running them.
Editors that know JSON schemas can use `plans/schema.json` (`experiment schema` prints it).

```yaml
name: example
windows: 3
fixed: {keys: 5}
axes:
  rpu: [10, 100]
  io_delay: [200us, 'uniform(10ms,50ms)']
  strategy:
    - sequential
    - {strategy: async, start_rule: at-close}
```

A flow mapping or list needs quotes around a value with a comma, as above. Durations are written as in Go: `200us` or
`200µs`, `10ms`, `1.5s`, `1m30s`. Shares are `0.05` or `5%`. Anchors, aliases and merge keys (`<<`) are read; names that
begin with `x-` are left out, so that they can hold what aliases repeat. `-` in place of the file is standard input.

`io_delay: trace(latencies.txt)` takes measured latencies from a file beside the plan (with the flag, from the working
directory): one a line, as durations or as numbers of milliseconds. The file is read once, with the plan, and
`percentiles(…)` takes its place: the shortest and the longest latency, percentiles between them as far as the lines show
them, and points where the mean needs more, which is then within 2 % of theirs. Journal and kept plan have the percentiles,
and name, length and hash of the file. Only `experiment` reads such a file, not the endpoint or any other program.

The flag of a setting is its name with dashes (`--max-workers`), its environment variable the name in capitals
(`MAX_WORKERS`), its chart value the name in camel case (`udf.maxWorkers`). Values and bounds are the same everywhere.

## Without a file

`experiment run` and `experiment predict` take every field below as a flag, with a plan or without one:

    experiment run --strategy async,thread-pool --rpu 300 --io-delay 20ms --max-workers 32,64 --windows 5

A comma outside of brackets makes an axis; the axes are in the order of the flags. A flag adds to a plan: what the plan's
file gives, no flag may give again. The plan that a run made of flags or read from standard input is kept as `plan.yaml`
beside the journal, and `experiment run` runs it again.
";

const ABOUT_THRESHOLDS: &str = "
## Thresholds

A threshold is one line of text. Each holds for each cell, over all of its repeats:

```yaml
thresholds:
  - close_tail p95 < 1.2s
  - failed < 1%
  - ledger balances
  - memory < 200MiB
  - close_tail{strategy=async} p50 < +10% vs results/main
```

- The metric comes first; `{setting=value, …}` after it chooses cells by any setting.
- Then, for metrics with one value for each window or call, the statistic: `p50`, `p95`, `p99.9`, `median`, `mean` or
  `max`; `max` where it is left out. A percentile p needs 1 ÷ (1 − p) values, p95 thus 20 windows; with fewer the threshold
  is undecided, which is not met. A window without a result is longer than any bound.
- Then `<`, `<=`, `>` or `>=`, and a duration, a share like `1%`, or bytes like `200MiB`, as the metric has it.
- `+10% vs FOLDER` compares with the same cell of a kept run, whose folder is taken from where the command is run. Its figures
  are read at the start and kept in the journal. Processor time and memory of another processor, number of cores, SDK or
  build are not compared: such a threshold is undecided.
- `ledger balances` holds where the ledger of every trial does.
- `failed` takes the place of `max_failed`: its bound is also what the verdict allows.

`--threshold 'close_tail p95 < 1.2s'` adds one to those of the plan, and may be given several times.
";

const LEVELS: &str = "\
A level of the axis `strategy` is a name, or a mapping with `strategy` and settings that belong to that level alone:
";

fn row(name: &str, default: &str, form: &Form, meaning: &str) -> String {
    let default = match form.canonical(default) {
        Ok(value) => format!("`{value}`"),
        Err(_) => default.to_owned(),
    };
    let meaning = meaning.split(" [default").next().unwrap_or(meaning);
    format!("| `{name}` | {default} | {} | {meaning} |\n", form.words())
}

fn default(setting: &Setting) -> &'static str {
    match setting.scope {
        Scope::Cell { required: true } => "required",
        // The meaning ends with it where it depends on other settings.
        _ if setting.default.is_empty() => {
            let default = setting
                .meaning
                .split_once("[default: ")
                .map(|(_, default)| default);
            default.unwrap_or_default().trim_end_matches(']')
        }
        _ => setting.default,
    }
}

/// The JSON schema of a plan (draft 2020-12).
pub fn schema() -> Value {
    let mut top = Map::new();
    top.insert(
        "name".to_owned(),
        json!({"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"}),
    );
    top.insert(
        THRESHOLDS.to_owned(),
        json!({
            "type": "array",
            "description": "What must hold",
            "items": {"type": "string", "examples": ["close_tail p95 < 1.2s", "failed < 1%", "ledger balances"]},
        }),
    );
    for field in FIELDS {
        top.insert(
            field.name.to_owned(),
            described(&field.form, field.meaning, field.default),
        );
    }
    let (mut fixed, mut axes, mut carried) = (Map::new(), Map::new(), Map::new());
    for setting in &TABLE {
        let value = described(&setting.form, setting.meaning, setting.default);
        if setting.is_at_top() {
            top.insert(setting.name.to_owned(), value.clone());
        }
        if !setting.is_axis() {
            continue;
        }
        if setting.name == "strategy" || setting.scope == Scope::Strategy {
            carried.insert(setting.name.to_owned(), value.clone());
        }
        axes.insert(
            setting.name.to_owned(),
            json!({"type": "array", "minItems": 1, "items": value.clone()}),
        );
        fixed.insert(setting.name.to_owned(), value);
    }
    let level = json!({"type": "object", "required": ["strategy"], "additionalProperties": false, "properties": carried});
    axes["strategy"]["items"] = json!({"anyOf": [axes["strategy"]["items"].clone(), level]});
    top.insert(
        "fixed".to_owned(),
        json!({"type": "object", "additionalProperties": false, "patternProperties": {"^x-": {}}, "properties": fixed}),
    );
    top.insert(
        "axes".to_owned(),
        json!({"type": "object", "additionalProperties": false, "patternProperties": {"^x-": {}}, "properties": axes}),
    );
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A plan of async-reduce",
        "type": "object",
        "required": ["name"],
        "additionalProperties": false,
        "patternProperties": {"^x-": {}},
        "properties": top,
    })
}

fn described(form: &Form, meaning: &str, default: &str) -> Value {
    let mut value = values(form);
    value["description"] = json!(meaning);
    if !default.is_empty() {
        // Numbers and booleans are written as such, not as strings.
        value["default"] = serde_json::from_str(default).unwrap_or_else(|_| json!(default));
    }
    value
}

/// A duration as a regular expression.
const DURATION: &str = r"([0-9]+(\.[0-9]+)?(ns|us|µs|μs|ms|s|m|h))+";

/// A set of statuses as a regular expression.
const STATUSES: &str = "^(none|[45][0-9]{2}([ ,]+[45][0-9]{2})*)$";

fn values(form: &Form) -> Value {
    match form {
        Form::Count { least, most } => json!({"type": "integer", "minimum": least, "maximum": most}),
        Form::Limit { most } => json!({"anyOf": [
            {"type": "integer", "minimum": 1, "maximum": most}, {"const": "unlimited"}, {"type": "null"}]}),
        Form::Number { most } => json!({"type": "number", "minimum": 0, "maximum": most}),
        Form::Share => json!({"anyOf": [
            {"type": "number", "minimum": 0, "maximum": 1}, {"type": "string", "pattern": "^[0-9.]+(e-?[0-9]+)?%?$"}]}),
        Form::Duration | Form::Millis => json!({"type": "string", "pattern": format!("^{DURATION}$")}),
        Form::Deadline => json!({"type": ["string", "null"], "pattern": format!("^(none|{DURATION})$")}),
        Form::Wait => json!({"type": ["string", "integer"], "pattern": format!("^(0|{DURATION})$")}),
        Form::Delay => json!({"type": ["string", "integer"]}),
        Form::Statuses => json!({"anyOf": [
            {"type": "integer", "minimum": 400, "maximum": 599}, {"type": "string", "pattern": STATUSES}]}),
        Form::Switch => json!({"type": "boolean"}),
        Form::Name { names, .. } => json!({"enum": names}),
        Form::Path | Form::Text => json!({"type": "string", "minLength": 1}),
        Form::Pointer => json!({"type": "string", "pattern": "^/"}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(path: &str) -> String {
        std::fs::read_to_string(format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    #[test]
    fn the_page_is_the_one_that_the_table_gives() {
        assert_eq!(kept("docs/plan.md"), page());
    }

    #[test]
    fn the_schema_is_the_one_that_the_table_gives() {
        let kept: Value = serde_json::from_str(&kept("plans/schema.json")).unwrap();
        assert_eq!(kept, schema());
    }

    #[test]
    fn every_setting_is_on_the_page_and_in_the_schema() {
        let (page, schema) = (page(), schema());
        for setting in &TABLE {
            assert!(
                page.contains(&format!("| `{}` |", setting.name)),
                "{}",
                setting.name
            );
            let parent = if setting.is_axis() {
                "/properties/fixed/properties"
            } else {
                "/properties"
            };
            assert!(
                schema.pointer(&format!("{parent}/{}", setting.name)).is_some(),
                "{}",
                setting.name
            );
        }
    }
}
