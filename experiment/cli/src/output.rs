//! Standard output: tables, and the report of a journal. Colours, for both streams.

use std::io::Write;
use std::path::Path;

use anyhow::anyhow;
use console::{Style, StyledObject, Term};
use report::Tone;
use report::search::{COLUMNS, SearchReport};
use trials::journal::{self, JournalLine};

use crate::failure::Failure;

/// Longest line of a table where the terminal is not narrower.
const MAX_WIDTH: usize = 120;

/// Indentation of what stands beneath a row.
const INDENT: &str = "    ";

/// One row of a table.
pub struct TableRow<const N: usize> {
    pub cells: [String; N],
    /// Sentence beneath the row; may be empty.
    pub below: String,
}

/// Refuses a folder with files of a report's names, but without a journal: they are somebody else's, and a report there
/// would replace them.
///
/// # Errors
/// Returns an error that names the first of them.
pub fn check_folder(folder: &Path) -> Result<(), Failure> {
    if folder.join(journal::FILE_NAME).exists() {
        return Ok(());
    }
    let files = report::FILES.into_iter().chain(report::SEARCH_FILES);
    let other = files.into_iter().find(|name| folder.join(name).exists());
    other.map_or(Ok(()), |name| {
        Err(Failure::wrong_use(anyhow!(
            "--out: `{}` holds a `{name}` that no run here wrote (there is no {} beside it): choose another folder",
            folder.display(),
            journal::FILE_NAME
        )))
    })
}

/// Draws the report of the journal in a folder.
pub fn draw_report(folder: &Path) -> Result<(), Failure> {
    write_report(folder, &journal::read(folder)?)
}

/// Prints the table of a journal, or what its search found, writes its report into the folder and prints its path.
pub fn write_report(folder: &Path, lines: &[JournalLine]) -> Result<(), Failure> {
    print(&match SearchReport::of(lines) {
        Some(search) => search_text(&search),
        None => report::painted_table(lines, &paint_stdout),
    })?;
    let path = report::write(folder, lines).map_err(anyhow::Error::from)?;
    print(&format!("\nreport: {}\n", path.display()))
}

fn search_text(report: &SearchReport) -> String {
    let rows: Vec<TableRow<6>> = report
        .rows()
        .into_iter()
        .map(|(mut cells, below, tone)| {
            cells[5] = paint_stdout(tone, &cells[5]);
            TableRow { cells, below }
        })
        .collect();
    let table = table(COLUMNS, &["bracket", "predicted", "trials"], &rows, width());
    format!("{}\n\n{table}", report.heading())
}

/// Colours a text for stderr by its tone, if stderr is a terminal and `NO_COLOR` is not set.
pub fn paint_stderr(tone: Tone, text: &str) -> String {
    styled(tone, text).for_stderr().to_string()
}

/// The same for stdout.
pub fn paint_stdout(tone: Tone, text: &str) -> String {
    styled(tone, text).to_string()
}

fn styled(tone: Tone, text: &str) -> StyledObject<&str> {
    let style = Style::new();
    let style = match tone {
        Tone::Plain => style.bold(),
        Tone::Good => style.green(),
        Tone::Edge => style.yellow(),
        Tone::Bad => style.red(),
        Tone::Muted => style.dim(),
    };
    style.apply_to(text)
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

/// Width for tables: that of the terminal, at most [`MAX_WIDTH`].
pub fn width() -> usize {
    let columns = Term::stdout()
        .size_checked()
        .map(|(_, columns)| usize::from(columns));
    columns.unwrap_or(MAX_WIDTH).clamp(60, MAX_WIDTH)
}

/// A table of at most `width` columns: the first cell of a row gets a line of its own where the row would be longer. All
/// other columns are aligned to the right if their name is in `numbers`.
pub fn table<const N: usize>(
    names: [&str; N],
    numbers: &[&str],
    rows: &[TableRow<N>],
    width: usize,
) -> String {
    let header = TableRow {
        cells: names.map(str::to_owned),
        below: String::new(),
    };
    let all = || std::iter::once(&header).chain(rows);
    let length = |text: &String| text.chars().count();
    let widths: Vec<usize> = (0..N)
        .map(|column| all().map(|row| length(&row.cells[column])).max().unwrap_or(0))
        .collect();
    let rest: usize = widths.iter().skip(1).map(|width| width + 2).sum();
    let fitting = width.saturating_sub(rest).max(INDENT.len());
    let first = match widths[0] <= fitting {
        true => widths[0],
        // As wide as the widest that fits beside the other columns.
        false => {
            let lengths = all().map(|row| length(&row.cells[0]));
            lengths.filter(|length| *length <= fitting).max().unwrap_or(0)
        }
    };
    let mut out = String::new();
    for row in all() {
        let name = &row.cells[0];
        let mut line = match length(name) > first {
            true => {
                out.push_str(&format!("{name}\n"));
                " ".repeat(first)
            }
            false => format!("{name:<first$}"),
        };
        for ((cell, width), name) in row.cells.iter().zip(&widths).zip(names).skip(1) {
            line.push_str(&match numbers.contains(&name) {
                true => format!("  {cell:>width$}"),
                false => format!("  {cell:<width$}"),
            });
        }
        out.push_str(line.trim_end());
        out.push('\n');
        out.push_str(&wrapped(&row.below, INDENT, width));
    }
    out
}

/// Breaks a text into lines of at most `width` columns, each with the indentation. A longer word is not broken.
pub fn wrapped(text: &str, indent: &str, width: usize) -> String {
    let mut out = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let longer = indent.len() + line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && longer > width {
            out.push_str(&format!("{indent}{line}\n"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        out.push_str(&format!("{indent}{line}\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, number: &str, word: &str, below: &str) -> TableRow<3> {
        TableRow {
            cells: [name, number, word].map(str::to_owned),
            below: below.to_owned(),
        }
    }

    #[test]
    fn a_table_fits_whatever_its_names() {
        let rows = [
            row("a", "1", "yes", ""),
            row("a-name-that-is-longer", "10", "no", "because it is so"),
        ];
        let wide = table(["name", "n", "word"], &["n"], &rows, 40);
        let expected = "name                    n  word\n\
                        a                       1  yes\n\
                        a-name-that-is-longer  10  no\n    because it is so\n";
        assert_eq!(wide, expected);
        let narrow = table(["name", "n", "word"], &["n"], &rows, 18);
        let expected =
            "name   n  word\na      1  yes\na-name-that-is-longer\n      10  no\n    because it is\n    so\n";
        assert_eq!(narrow, expected);
    }
}
