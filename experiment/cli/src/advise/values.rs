//! The values of the chart that install an advised setting.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use trials::advise::Advised;
use trials::text::count;
use wire::settings::{KEYED, MAX_WORKERS, Program, READ_TIMEOUT, RPU, START_RULE, STRATEGY, Setting, WINDOW};
use wire::{Workload, format_duration};

use crate::output::wrapped;

/// In the order of the chart's own file.
const PARTS: [Program; 3] = [Program::Generator, Program::Udf, Program::Endpoint];

/// The values for pods with so many cores.
pub(super) fn values(advised: &Advised, cores: NonZeroUsize) -> String {
    let settings = &advised.settings;
    let mut parts: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    let mut add = |part: Program, name: &str, text: &str| {
        let position = PARTS.iter().position(|one| *one == part).unwrap_or_default();
        let line = format!("  {}: {}", camel(name), scalar(text));
        parts.entry(position).or_default().push(line);
    };
    // What was advised is written although it may be the default, and the rate, which is the question.
    let always = [STRATEGY.name, START_RULE.name, MAX_WORKERS.name, RPU.name];
    let differs = |setting: &Setting, text: &str| text != setting.default || always.contains(&setting.name);
    for (setting, text, _) in settings.values() {
        let Some(text) = text.filter(|text| differs(setting, text)) else {
            continue;
        };
        match setting.name {
            // Of the UDF in the chart, as Numaflow takes them.
            name if name == KEYED.name || name == WINDOW.name => add(Program::Udf, name, &text),
            _ => setting
                .programs
                .iter()
                .for_each(|program| add(*program, setting.name, &text)),
        }
    }
    add(Program::Udf, "partitions", &advised.pods.to_string());
    if settings.workload == Workload::Cpu {
        // The UDF computes with as many threads as its limit has cores.
        let lines = [
            "resources:".to_owned(),
            format!("  requests: {{cpu: \"{}\"}}", advised.in_flight.ceil().max(1.0)),
            format!("  limits: {{cpu: \"{cores}\"}}"),
        ];
        let udf = parts.entry(1).or_default();
        udf.extend(lines.map(|line| format!("  {line}")));
    }
    let mut out = header(advised);
    for (position, lines) in &parts {
        let name = PARTS.get(*position).map(ToString::to_string).unwrap_or_default();
        out.push_str(&format!("{name}:\n{}\n", lines.join("\n")));
    }
    let read_timeout = format_duration(settings.read_timeout);
    if read_timeout != READ_TIMEOUT.default {
        out.push_str(&format!(
            "pipeline:\n  limits:\n    readTimeout: {read_timeout}\n"
        ));
    }
    out
}

fn header(advised: &Advised) -> String {
    let rate = count(advised.holds_up_to.get());
    let comment = |text: &str| wrapped(text, "# ", 120);
    let predicted = comment(&format!(
        "Predicted to hold up to {rate} events a second: {}",
        advised.why
    ));
    let own = comment(
        "With a source of your own leave `generator` out; with a service of your own `udf.ioDelay` has no effect.",
    );
    predicted + &own
}

/// A setting's name in the chart: `maxWorkers` for `max_workers`.
fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |name, part| {
        let (head, tail) = part.split_at(part.len().min(1));
        name + &head.to_uppercase() + tail
    })
}

/// A value in YAML: numbers and switches as they are, other texts in quotes.
fn scalar(text: &str) -> String {
    match text.parse::<f64>().is_ok() || text.parse::<bool>().is_ok() {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_those_of_the_chart() {
        assert_eq!(camel("max_workers") + &camel("rpu"), "maxWorkersrpu");
        assert_eq!(["39", "true", "0.5"].map(scalar), ["39", "true", "0.5"]);
        assert_eq!(
            scalar("lognormal(50=80ms,99=400ms)"),
            "'lognormal(50=80ms,99=400ms)'"
        );
    }
}
