//! What the commands print on standard output: tables, and the report that is drawn from a journal.

use std::io::Write;
use std::path::Path;

use anyhow::anyhow;
use trials::journal::{self, JournalLine};

use crate::failure::Failure;

/// `experiment report`: draws the report of the journal in a folder.
pub fn draw_report(folder: &Path) -> Result<(), Failure> {
    write_report(folder, &journal::read(folder)?)
}

/// Prints the table of a journal, writes its report into the folder and prints where it is.
pub fn write_report(folder: &Path, lines: &[JournalLine]) -> Result<(), Failure> {
    say(&report::table(lines))?;
    let path = report::write(folder, lines).map_err(anyhow::Error::from)?;
    say(&format!("\nreport: {}\n", path.display()))
}

/// Writes to standard output; whoever has closed it, as `head` does, wants no more.
pub fn say(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(anyhow!("cannot write to standard output: {error}").into())
        }
        _ => Ok(()),
    }
}

/// Columns of equal width, the last one ragged.
pub fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    rows.iter()
        .map(|row| {
            let cells = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}"));
            format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
        })
        .collect()
}
