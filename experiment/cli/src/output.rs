//! Standard output: tables, and the report of a journal.

use std::io::Write;
use std::path::Path;

use anyhow::anyhow;
use trials::journal::{self, JournalLine};

use crate::failure::Failure;

/// Draws the report of the journal in a folder.
pub fn draw_report(folder: &Path) -> Result<(), Failure> {
    write_report(folder, &journal::read(folder)?)
}

/// Prints the table of a journal, writes its report into the folder and prints its path.
pub fn write_report(folder: &Path, lines: &[JournalLine]) -> Result<(), Failure> {
    print(&report::table(lines))?;
    let path = report::write(folder, lines).map_err(anyhow::Error::from)?;
    print(&format!("\nreport: {}\n", path.display()))
}

/// Writes to standard output. A closed pipe, as after `head`, is no error.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(anyhow!("cannot write to standard output: {error}").into())
        }
        _ => Ok(()),
    }
}

/// Aligns columns, except for the end of the last one.
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
