//! The report of a run: a self-contained HTML page, its main chart as SVG, its figures as CSV and Markdown. Its only input
//! is the journal; the same journal gives the same files.
//!
//! # Layout
//!
//! From the top down; a module uses only those below it.
//!
//! - crate root: [`write()`] for the files, [`table()`] for the terminal.
//! - [`comparison`]: two runs, cell by cell.
//! - [`search`]: what a search found, and its chart.
//! - [`live`]: the figures of one trial, as it ends.
//! - `page`: the HTML page, from the template `report.html.jinja`.
//! - `question`, `sentences`: what the plan asks and what was measured, in words.
//! - `charts`: close tails, execution times, and the main chart as a picture.
//! - `tables`: the content of each table; `table`: a table as HTML, Markdown and text.
//! - `csv`, `json`: the figures for other programs.
//! - [`summary`]: trials grouped into cells and series, repeats merged.
//! - `svg`, `scale`, `text`: shapes, axis scales, text of the page; number formats are in [`trials::text`].

#![allow(
    missing_docs,
    reason = "used by this workspace only: a name that says what it holds needs no second sentence"
)]

mod charts;
pub mod comparison;
mod csv;
mod json;
pub mod live;
mod page;
mod question;
mod scale;
pub mod search;
mod sentences;
pub mod summary;
mod svg;
mod table;
mod tables;
mod text;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use trials::journal::JournalLine;
use trials::threshold::Judged;
use trials::verdict::Verdict;

use crate::search::SearchReport;
use crate::summary::Summary;

pub use crate::sentences::predicted_verdict;
pub use crate::table::{Paint, Tone};

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file could not be written; the earlier one is unchanged.
    #[error("cannot write {}: {source}{}", path.display(), advice(source))]
    WritingFile { path: PathBuf, source: io::Error },
    #[error("cannot draw the report's page")]
    DrawingPage(#[from] minijinja::Error),
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space, then draw the report again from the journal with `experiment report`, or continue with --resume"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; choose a folder you may write to"
        }
        io::ErrorKind::NotFound => "; does the folder exist?",
        _ => "",
    }
}

/// The files of a report.
pub const FILES: [&str; 6] = [
    "windows.csv",
    "summary.csv",
    "summary.md",
    "summary.json",
    "close-tail.svg",
    "report.html",
];

/// The files of a search beside them.
pub const SEARCH_FILES: [&str; 3] = ["search.json", "search.md", "search.svg"];

/// Writes [`FILES`], and for a search [`SEARCH_FILES`], into `dir`, each atomically, and returns the page's path. The latest outcome of each trial counts.
///
/// # Errors
/// Returns an error if a file cannot be written or the page's template fails.
pub fn write(dir: &Path, lines: &[JournalLine]) -> Result<PathBuf, ReportError> {
    let summary = Summary::new(lines);
    let search = SearchReport::of(lines);
    let page = page::draw(&summary, search.as_ref())?;
    if let Some(search) = &search {
        let texts = [search.json(), search.markdown(), search.chart()];
        write_texts(dir, SEARCH_FILES.into_iter().zip(texts))?;
    }
    write_atomically(&dir.join("windows.csv"), |out| csv::windows(&summary, out))?;
    write_atomically(&dir.join("summary.csv"), |out| csv::summary(&summary, out))?;
    write_atomically(&dir.join("summary.md"), |out| {
        out.write_all(markdown(&summary).as_bytes())
    })?;
    write_atomically(&dir.join("summary.json"), |out| json::summary(&summary, out))?;
    write_atomically(&dir.join("close-tail.svg"), |out| {
        out.write_all(charts::picture(name(&summary), &charts::close_tails(&summary)).as_bytes())
    })?;
    let path = dir.join("report.html");
    write_atomically(&path, |out| out.write_all(page.as_bytes()))?;
    Ok(path)
}

/// Writes files of other results into `dir`, each atomically.
///
/// # Errors
/// Returns an error if a file cannot be written.
pub fn write_texts(
    dir: &Path,
    files: impl IntoIterator<Item = (&'static str, String)>,
) -> Result<(), ReportError> {
    files
        .into_iter()
        .try_for_each(|(name, text)| write_atomically(&dir.join(name), |out| out.write_all(text.as_bytes())))
}

/// The table for the terminal, followed by failed trials and ledgers that do not balance.
pub fn table(lines: &[JournalLine]) -> String {
    painted_table(lines, &|_, text| text.to_owned())
}

/// The same; `paint` may colour a text by its tone.
pub fn painted_table(lines: &[JournalLine], paint: Paint<'_>) -> String {
    let summary = Summary::new(lines);
    let mut out = tables::terminal(&summary).terminal(summary.series_word(), paint);
    for (trial, Verdict { kind, reason, .. }) in summary.trials.iter().zip(summary.verdicts()) {
        if kind.is_failure() {
            let (kind, reason) = (kind.name().to_uppercase(), text::sanitize(reason));
            let kind = paint(Tone::Bad, &kind);
            out.push_str(&format!("{kind} {}: {reason}\n", trial.trial.id));
        }
    }
    for trial in summary.unbalanced() {
        out.push_str(&format!("LEDGER DOES NOT BALANCE {}\n", trial.trial.id));
    }
    let mut thresholds: Vec<&Judged> = summary.thresholds.iter().collect();
    thresholds.sort_by_key(|judged| std::cmp::Reverse(judged.status));
    if !thresholds.is_empty() {
        out.push('\n');
    }
    for judged in thresholds {
        let text = format!("{} {}", judged.status.mark(), text::sanitize(&judged.text()));
        let text = paint(tables::threshold_tone(judged.status), &text);
        out.push_str(&format!("threshold {text} ({})\n", judged.cell));
    }
    out.push('\n');
    for sentence in sentences::outcome(&summary) {
        out.push_str(&format!("{sentence}\n"));
    }
    out
}

fn name<'a>(summary: &Summary<'a>) -> &'a str {
    summary
        .facts
        .map_or("experiment", |facts| facts.plan_name.as_str())
}

fn markdown(summary: &Summary<'_>) -> String {
    let name = text::sanitize(name(summary))
        .replace(['\n', '\t'], " ")
        .replace('<', "&lt;");
    let mut out = format!("# {name}\n\n");
    for sentence in sentences::outcome(summary) {
        out.push_str(&format!("- {sentence}\n"));
    }
    let thresholds = tables::thresholds(summary);
    if !thresholds.rows.is_empty() {
        let table = thresholds.markdown(summary.series_word());
        out.push_str(&format!("\n## Thresholds\n\n{table}\n## All cells\n"));
    }
    out.push_str(&format!(
        "\n{}",
        tables::main(summary).markdown(summary.series_word())
    ));
    let repeats = tables::repeats(summary);
    if !repeats.rows.is_empty() {
        let table = repeats.markdown(summary.series_word());
        out.push_str(&format!("\n## Repeats\n\n{table}"));
    }
    out.push_str(&format!(
        "\n## What to use\n\n{}",
        tables::advice(summary).markdown(summary.series_word())
    ));
    out.push_str(&format!(
        "\n## Prediction against measurement\n\n{}",
        tables::prediction(summary).markdown(summary.series_word())
    ));
    out
}

/// Writes to a temporary file and renames it, so that a reader sees the old file or the new one, never a part.
fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), ReportError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let partial = path.with_file_name(name);
    let attempt = || {
        let mut out = BufWriter::new(File::create(&partial)?);
        fill(&mut out)?;
        out.flush()?;
        // A full disk may be reported only now.
        out.get_ref().sync_all()?;
        fs::rename(&partial, path)
    };
    attempt().map_err(|source| {
        // The partial file is useless, and the first error is the one to report.
        let _ = fs::remove_file(&partial);
        ReportError::WritingFile {
            path: path.to_owned(),
            source,
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_file_that_could_not_be_written_is_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.html");
        write_atomically(&path, |out| out.write_all(b"old")).unwrap();
        let error = write_atomically(&path, |out| {
            // More than is kept back until the end.
            out.write_all(&[b'n'; 100_000])?;
            Err(io::ErrorKind::StorageFull.into())
        })
        .unwrap_err()
        .to_string();
        assert!(
            error.starts_with(&format!("cannot write {}: ", path.display())),
            "{error}"
        );
        assert!(
            error.contains("free some space") && error.contains("`experiment report`"),
            "{error}"
        );
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn other_files_are_written_whole_and_name_what_cannot_be() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.md"), "old").unwrap();
        write_texts(
            folder.path(),
            [("a.md", "new".to_owned()), ("b.json", "{}".to_owned())],
        )
        .unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(
            (read("a.md"), read("b.json")),
            ("new".to_owned(), "{}".to_owned())
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        let nowhere = folder.path().join("nowhere");
        let error = write_texts(&nowhere, [("a.md", String::new())])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("nowhere/a.md: ") && error.ends_with("does the folder exist?"),
            "{error}"
        );
    }
}
