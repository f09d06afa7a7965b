//! The report: one page that anyone can open anywhere, its main chart as a picture, its figures as CSV and Markdown.
//! Drawn from the journal alone; the same journal gives the same files.

mod charts;
mod csv;
mod page;
mod question;
mod scale;
mod sentences;
pub mod summary;
mod svg;
mod table;
mod tables;
mod text;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::summary::Summary;
use trials::journal::JournalLine;
use trials::outcome::TrialEnd;

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file could not be written; what was there before is untouched.
    #[error("cannot write {}: {source}{}", path.display(), advice(source))]
    WritingFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The page could not be drawn.
    #[error("cannot draw the report's page")]
    DrawingPage(#[from] minijinja::Error),
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space, then draw the report again from the journal with `experiment report`"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; choose a folder you may write to"
        }
        io::ErrorKind::NotFound => "; does the folder exist?",
        _ => "",
    }
}

/// Writes `report.html`, `close-tail.svg`, `windows.csv`, `summary.csv` and `summary.md` into `dir`, each whole or not at all, and
/// returns the page's path. The latest outcome of each trial counts.
///
/// # Errors
/// [`ReportError`] where a file cannot be written, or the page not be drawn.
pub fn write(dir: &Path, lines: &[JournalLine]) -> Result<PathBuf, ReportError> {
    let summary = Summary::new(lines);
    let page = page::draw(&summary)?;
    whole(&dir.join("windows.csv"), |out| csv::windows(&summary, out))?;
    whole(&dir.join("summary.csv"), |out| csv::summary(&summary, out))?;
    whole(&dir.join("summary.md"), |out| {
        out.write_all(markdown(&summary).as_bytes())
    })?;
    whole(&dir.join("close-tail.svg"), |out| {
        out.write_all(charts::picture(name(&summary), &charts::tails(&summary)).as_bytes())
    })?;
    let path = dir.join("report.html");
    whole(&path, |out| out.write_all(page.as_bytes()))?;
    Ok(path)
}

/// The table that is printed at the end of a run, with what failed or does not balance below it.
pub fn table(lines: &[JournalLine]) -> String {
    let summary = Summary::new(lines);
    let mut out = tables::terminal(&summary).terminal();
    for trial in &summary.trials {
        if let TrialEnd::Failed { reason } = &trial.end {
            out.push_str(&format!(
                "FAILED {}: {}\n",
                trial.trial.id,
                text::harmless(reason)
            ));
        }
    }
    for trial in summary.unbalanced() {
        out.push_str(&format!("LEDGER DOES NOT BALANCE {}\n", trial.trial.id));
    }
    out.push('\n');
    for sentence in sentences::outcome(&summary) {
        out.push_str(&format!("{sentence}\n"));
    }
    out
}

/// The plan's name.
fn name<'a>(summary: &Summary<'a>) -> &'a str {
    summary
        .facts
        .map_or("experiment", |facts| facts.plan_name.as_str())
}

fn markdown(summary: &Summary<'_>) -> String {
    let name = text::harmless(name(summary))
        .replace(['\n', '\t'], " ")
        .replace('<', "&lt;");
    let mut out = format!("# {name}\n\n");
    for sentence in sentences::outcome(summary) {
        out.push_str(&format!("- {sentence}\n"));
    }
    out.push_str(&format!("\n{}", tables::main(summary).markdown()));
    out.push_str(&format!(
        "\n## Prediction against measurement\n\n{}",
        tables::prediction(summary).markdown()
    ));
    out
}

/// Writes beside the file and renames, so that a reader meets the old file or the new one, never a part.
fn whole(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), ReportError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let partial = path.with_file_name(name);
    let attempt = || {
        let mut out = BufWriter::new(File::create(&partial)?);
        fill(&mut out)?;
        out.flush()?;
        // A full disk may tell of itself only now.
        out.get_ref().sync_all()?;
        fs::rename(&partial, path)
    };
    attempt().map_err(|source| {
        // What is left of it is worth nothing, and the error that counts is the first.
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
        whole(&path, |out| out.write_all(b"old")).unwrap();
        let error = whole(&path, |out| {
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
}
