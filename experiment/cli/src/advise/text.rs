//! An advice for people.

use trials::advise::{Advice, Advised, Question, RuledOut};
use trials::metric::{Unit, micros};
use trials::text::{count, delay, list, setting, share};
use wire::Delay;

use crate::learn;
use crate::output::{TableRow, table, width, wrapped};

pub(super) fn text(question: &Question, advice: &Advice) -> String {
    let width = width();
    let mut out = wrapped(&asked(question), "", width);
    if let Some(learned) = &question.learned {
        out.push_str(&wrapped(&learn::sentence(learned), "", width));
    }
    out.push_str(&wrapped(&objective(advice), "", width));
    if !advice.settings.is_empty() {
        out.push_str(&format!("\n{}", settings(&advice.settings, width)));
    }
    if !advice.ruled_out.is_empty() {
        out.push_str("\nNot predicted to hold:\n");
        for (names, why) in ruled_out(&advice.ruled_out) {
            out.push_str(&wrapped(&format!("{}: {why}", names.join(" and ")), "  ", width));
        }
    }
    out.push_str(&format!("\n{}", wrapped(&next(advice), "", width)));
    for change in &advice.changes {
        out.push_str(&wrapped(&format!("- {}", change.sentence), "  ", width));
    }
    out
}

/// The question in a sentence.
fn asked(question: &Question) -> String {
    let Some(form) = question.forms.first() else {
        return String::new();
    };
    let figures = match &form.io_delay {
        Delay::Fixed(_) => String::new(),
        varying => {
            let text = |duration| Unit::Duration.text(micros(duration));
            format!(
                " (mean {}, p99 {})",
                text(varying.mean()),
                text(varying.quantile(0.99))
            )
        }
    };
    format!(
        "{} events a second over {}, windows of {}, calls ({}) of {}{figures}.",
        count(form.rpu.get()),
        trials::text::counted(form.reduce_keys().get(), "key"),
        setting(form.window),
        form.workload,
        delay(&form.io_delay),
    )
}

fn objective(advice: &Advice) -> String {
    let mut sentence = format!("Objective: it keeps up, and {}.", list(&advice.objective));
    if !advice.not_predicted.is_empty() {
        let many = advice.not_predicted.len() > 1;
        let counts = if many { "count" } else { "counts" };
        sentence.push_str(&format!(
            " Not predicted: {}, which {counts} in a run alone.",
            list(&advice.not_predicted)
        ));
    }
    sentence
}

/// Each reason once, with the forms that it rules out.
fn ruled_out(all: &[RuledOut]) -> Vec<(Vec<String>, &str)> {
    let mut reasons: Vec<(Vec<String>, &str)> = Vec::new();
    for one in all {
        let name = format!("{} {}", one.strategy, one.start_rule);
        match reasons.iter_mut().find(|(_, why)| *why == one.why) {
            Some((names, _)) => names.push(name),
            None => reasons.push((vec![name], &one.why)),
        }
    }
    reasons
}

fn settings(advised: &[Advised], width: usize) -> String {
    let rows: Vec<TableRow<5>> = advised
        .iter()
        .map(|one| TableRow {
            cells: [
                format!("{}, {}", one.settings.strategy, one.settings.start_rule),
                count(one.pods.get()),
                count(one.settings.max_workers.get()),
                share(one.load),
                format!("{}/s", count(one.holds_up_to.get())),
            ],
            below: one.why.clone(),
        })
        .collect();
    let names = ["setting", "pods", "max_workers", "load", "holds up to"];
    table(names, &names[1..], &rows, width)
}

/// What to do next.
fn next(advice: &Advice) -> String {
    match (advice.settings.first(), advice.changes.is_empty()) {
        (Some(first), _) => {
            let partitions = match first.pods.get() {
                1 => String::new(),
                pods => format!(", in {} partitions", count(pods)),
            };
            format!(
                "First: {} {}, max_workers {}{partitions}. Run it and half of its workers by adding --verify; \
                 --format values prints the chart's values.",
                first.settings.strategy,
                first.settings.start_rule,
                count(first.settings.max_workers.get()),
            )
        }
        (None, false) => "No setting is predicted to hold the objective. Any one of these would change that:".to_owned(),
        (None, true) => {
            "No setting is predicted to hold the objective, and no single change of delay, rate, window or keys by a factor \
             of up to 32 would change that: change several."
                .to_owned()
        }
    }
}
