//! Collects the content of the page and renders its template, which escapes all text of others (names, reasons, the plan).

use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};
use serde::Serialize;
use trials::threshold::Status;
use trials::verdict::Kind;

use crate::charts::{self, Figure, Style};
use crate::search::{COLUMNS, SearchReport};
use crate::summary::{Row, Summary};
use crate::table::{Table, Tone};
use crate::{question, sentences, tables, text};

#[derive(Serialize)]
struct Page<'a> {
    /// What the rows of a cell are.
    series: &'static str,
    title: &'a str,
    started: Option<String>,
    facts: Vec<Fact>,
    notes: Vec<Note>,
    question: Vec<String>,
    search: Option<SearchSection>,
    sentences: Vec<String>,
    stream_overhead: Option<String>,
    machine: BTreeMap<&'a str, &'a str>,
    engine: &'a str,
    command: &'a str,
    plan_text: &'a str,
    close_tails: Figure,
    execution_times: Figure,
    tables: Tables,
}

/// What a search found.
#[derive(Serialize)]
struct SearchSection {
    heading: String,
    chart: String,
    columns: [&'static str; 6],
    rows: Vec<SearchRow>,
}

#[derive(Serialize)]
struct SearchRow {
    cells: [String; 6],
    below: String,
    tone: Tone,
}

/// A number at the head of the page.
#[derive(Serialize)]
struct Fact {
    value: String,
    name: &'static str,
    bad: bool,
}

/// A warning above the results.
#[derive(Serialize)]
struct Note {
    text: String,
    bad: bool,
}

#[derive(Serialize)]
struct Tables {
    advice: Table,
    series: Table,
    main: Table,
    latency: Table,
    prediction: Table,
    ledger: Table,
    outcomes: Table,
    cost: Table,
    instruments: Table,
    stream_overhead: Table,
    partitions: Table,
    numaflow: Table,
    failures: Table,
    repeats: Table,
    thresholds: Table,
}

/// Renders the page.
///
/// # Errors
/// Returns an error if the template fails, which its tests rule out.
pub(super) fn draw(summary: &Summary<'_>, search: Option<&SearchReport>) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|name| match name {
        "report.css" => AutoEscape::None,
        _ => AutoEscape::Html,
    });
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
    environment.add_template("report.css", include_str!("report.css"))?;
    environment.add_template("report.html", include_str!("report.html.jinja"))?;
    let page = environment
        .get_template("report.html")?
        .render(Serde(Page::new(summary, search)))?;
    Ok(text::sanitize(&page))
}

impl<'a> Page<'a> {
    fn new(summary: &Summary<'a>, search: Option<&SearchReport>) -> Self {
        let facts = summary.facts;
        let swatches: Vec<String> = summary.series.iter().map(|one| Style::of(one).swatch()).collect();
        let machine = facts.map(|facts| {
            facts
                .machine
                .iter()
                .map(|(k, v)| (k.as_str(), v.as_str()))
                .collect()
        });
        Self {
            series: summary.series_word(),
            title: crate::name(summary),
            started: summary.first_started_us.map(text::date),
            facts: head(summary),
            notes: notes(summary),
            question: question::paragraphs(summary)
                .iter()
                .map(|paragraph| text::unbreakable(paragraph))
                .collect(),
            search: search.map(SearchSection::new),
            sentences: sentences::outcome(summary)
                .iter()
                .map(|sentence| text::unbreakable(sentence))
                .collect(),
            stream_overhead: stream_overhead(summary),
            machine: machine.unwrap_or_default(),
            engine: facts.map_or("", |facts| facts.engine.as_str()),
            command: facts.map_or("", |facts| facts.command.as_str()),
            plan_text: facts.map_or("", |facts| facts.plan_text.as_str()),
            close_tails: charts::close_tails(summary),
            execution_times: charts::execution_times(summary),
            tables: Tables {
                advice: tables::advice(summary).for_page(&swatches),
                series: tables::series(summary).for_page(&swatches),
                main: tables::main(summary).for_page(&swatches),
                latency: tables::latency(summary).for_page(&swatches),
                prediction: tables::prediction(summary).for_page(&swatches),
                ledger: tables::ledger(summary).for_page(&swatches),
                outcomes: tables::outcomes(summary).for_page(&swatches),
                cost: tables::cost(summary).for_page(&swatches),
                instruments: tables::instruments(summary).for_page(&swatches),
                stream_overhead: tables::stream_overhead(summary).for_page(&swatches),
                partitions: tables::partitions(summary).for_page(&swatches),
                numaflow: tables::numaflow(summary).for_page(&swatches),
                failures: tables::failures(summary).for_page(&swatches),
                repeats: tables::repeats(summary).for_page(&swatches),
                thresholds: tables::thresholds(summary).for_page(&swatches),
            },
        }
    }
}

impl SearchSection {
    fn new(search: &SearchReport) -> Self {
        let rows = search.rows().into_iter();
        Self {
            heading: search.heading(),
            chart: search.chart_of_page(),
            columns: COLUMNS,
            rows: rows
                .map(|(cells, below, tone)| SearchRow { cells, below, tone })
                .collect(),
        }
    }
}

fn head(summary: &Summary<'_>) -> Vec<Fact> {
    let sum = |of: fn(&Row<'_>) -> u64| summary.rows.iter().map(of).sum::<u64>();
    let (measured, censored) = (sum(|row| row.measured), sum(|row| row.censored));
    let ledgers = sum(|row| row.ledger.map_or(0, |sum| sum.trials as u64));
    let balanced = sum(|row| row.ledger.map_or(0, |sum| sum.balanced as u64));
    let events = sum(|row| row.ledger.map_or(0, |sum| sum.offered));
    let fact = |value: u64, name| Fact {
        value: text::count(value),
        name,
        bad: false,
    };
    let mut facts = vec![
        fact(summary.trials.len() as u64, "trials"),
        fact(events, "events"),
        fact(measured, "windows measured"),
        fact(censored, "windows censored"),
        Fact {
            value: format!("{} of {}", text::count(balanced), text::count(ledgers)),
            name: "ledgers balance",
            bad: balanced < ledgers,
        },
    ];
    if !summary.thresholds.is_empty() {
        let met = summary
            .thresholds
            .iter()
            .filter(|judged| judged.status == Status::Met)
            .count();
        let all = summary.thresholds.len();
        facts.push(Fact {
            value: format!("{} of {}", text::count(met as u64), text::count(all as u64)),
            name: "thresholds met",
            bad: met < all,
        });
    }
    for (kind, name) in [
        (Kind::CallsFailed, "trials with failed calls"),
        (Kind::NotMeasured, "trials not measured"),
        (Kind::Failed, "trials failed"),
    ] {
        let trials = summary.verdicts().filter(|verdict| verdict.kind == kind);
        match trials.count() as u64 {
            0 => {}
            trials => facts.push(Fact {
                value: text::count(trials),
                name,
                bad: true,
            }),
        }
    }
    facts
}

/// `None` if no window has both measurements.
fn stream_overhead(summary: &Summary<'_>) -> Option<String> {
    let overhead = summary.stream_overhead()?;
    let [p50, p99, max] = [overhead.p50, overhead.p99, overhead.max].map(text::duration);
    let windows = text::counted(overhead.windows, "window");
    let sentence = format!(
        "Over {windows}, stream and data plane added {p50} to a close at the median, {p99} at p99 and {max} at most."
    );
    Some(text::unbreakable(&sentence))
}

fn notes(summary: &Summary<'_>) -> Vec<Note> {
    let mut notes = Vec::new();
    let unbalanced = summary.unbalanced().count() as u64;
    if unbalanced > 0 {
        let text = format!(
            "The ledger of {} does not balance: some events are unaccounted for, so do not rely on its figures.",
            text::counted(unbalanced, "trial")
        );
        notes.push(Note { text, bad: true });
    }
    if summary.has_foreign_udf() {
        let text = "The UDF is not ours: the strategies, start rules and workers are the plan's labels, which it need not follow.";
        notes.push(Note {
            text: text.to_owned(),
            bad: false,
        });
    }
    let ended = summary.trials.len();
    if let Some(facts) = summary
        .facts
        .filter(|facts| facts.search.is_none() && facts.trials > ended)
    {
        let all = text::counted(facts.trials as u64, "trial");
        notes.push(Note {
            text: format!("{ended} of the plan's {all} have ended; this report shows those."),
            bad: false,
        });
    }
    if summary.starts > 1 {
        let times = text::counted(summary.starts as u64 - 1, "time");
        notes.push(Note {
            text: format!("The run was resumed {times}."),
            bad: false,
        });
    }
    notes
}
