//! A table with three renderings: on the page, in Markdown and on the terminal.

use std::fmt::Write as _;

use serde::Serialize;

use crate::text;

/// Maximum rows of a table on the page; the CSV files have all.
pub(super) const MAX_ROWS: usize = 1_000;

/// A table whose rows are grouped by cell and named by series.
#[derive(Debug, Serialize)]
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<TableRow>,
    /// Rows left out beyond [`MAX_ROWS`].
    pub(super) left_out: usize,
}

/// A column after those of cell and series.
#[derive(Debug, Serialize)]
pub(super) struct Column {
    pub(super) name: &'static str,
    /// Numbers are right-aligned.
    pub(super) number: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct TableRow {
    /// The cell's label.
    pub(super) group: String,
    /// The series' label.
    pub(super) label: String,
    /// Position of the series in the summary.
    #[serde(skip)]
    pub(super) series: usize,
    /// The series' small drawing, set for the page only.
    pub(super) swatch: String,
    pub(super) entries: Vec<Entry>,
    /// Shown below the row on the page, unless empty.
    pub(super) note: String,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Entry {
    pub(super) text: String,
    pub(super) tone: Tone,
}

/// The meaning of a value, which is never shown by colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tone {
    Plain,
    Good,
    Edge,
    Bad,
    Muted,
}

/// Colours a text by its tone, or leaves it as it is.
pub type Paint<'a> = &'a dyn Fn(Tone, &str) -> String;

impl Entry {
    pub(super) fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
        }
    }

    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self::new(text, Tone::Plain)
    }

    /// A value, or a dash for `None`.
    pub(super) fn or_dash(text: Option<String>) -> Self {
        text.map_or_else(|| Self::new("–", Tone::Muted), Self::plain)
    }
}

/// Columns of numbers.
pub(super) fn numbers(names: &[&'static str]) -> Vec<Column> {
    names.iter().map(|name| Column { name, number: true }).collect()
}

/// A column of words.
pub(super) fn words(name: &'static str) -> Column {
    Column { name, number: false }
}

impl Table {
    /// Limits the rows to [`MAX_ROWS`] and sets their swatches, one for each series.
    pub(super) fn for_page(mut self, swatches: &[String]) -> Self {
        self.left_out += self.rows.len().saturating_sub(MAX_ROWS);
        self.rows.truncate(MAX_ROWS);
        for row in &mut self.rows {
            row.swatch = swatches.get(row.series).cloned().unwrap_or_default();
        }
        self
    }

    /// As GitHub's Markdown; `series` is what the rows of a cell are.
    pub(super) fn markdown(&self, series: &str) -> String {
        let escaped = |raw: &str| {
            let text = text::sanitize(raw).replace('\\', "\\\\").replace('|', "\\|");
            text.replace(['\n', '\t'], " ").replace('<', "&lt;")
        };
        let mut out = format!("| cell | {series} |");
        for column in &self.columns {
            let _ = write!(out, " {} |", column.name);
        }
        out.push_str("\n|---|---|");
        for column in &self.columns {
            out.push_str(if column.number { "---:|" } else { "---|" });
        }
        out.push('\n');
        for row in &self.rows {
            let _ = write!(out, "| {} | {} |", escaped(&row.group), escaped(&row.label));
            for entry in &row.entries {
                let _ = write!(out, " {} |", escaped(&entry.text));
            }
            out.push('\n');
        }
        out
    }

    /// As aligned text with cells as headings; `series` is what the rows of a cell are.
    pub(super) fn terminal(&self, series: &str, paint: Paint<'_>) -> String {
        let width = |text: &str| text.chars().count();
        let labels = self
            .rows
            .iter()
            .map(|row| width(&row.label))
            .chain([width(series)]);
        let first = labels.max().unwrap_or(0) + 2;
        let widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(i, column)| {
                let entries = self.rows.iter().filter_map(|row| row.entries.get(i));
                entries
                    .map(|entry| width(&entry.text))
                    .chain([width(column.name)])
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let line = |label: &str, texts: &mut dyn Iterator<Item = (&str, Tone)>| {
            let mut line = text::sanitize(&format!("{label:<first$}"));
            for (((text, tone), column), widest) in texts.zip(&self.columns).zip(&widths) {
                let padding = " ".repeat(widest.saturating_sub(width(text)));
                let text = text::sanitize(text);
                // Most values are plain.
                let text = if tone == Tone::Plain {
                    text
                } else {
                    paint(tone, &text)
                };
                line.push_str("  ");
                line.push_str(&match column.number {
                    true => padding + &text,
                    false => text + &padding,
                });
            }
            line.truncate(line.trim_end().len());
            line + "\n"
        };
        let mut out = line(
            series,
            &mut self.columns.iter().map(|column| (column.name, Tone::Plain)),
        );
        let mut group = None;
        for row in &self.rows {
            if group != Some(&row.group) {
                out.push_str(&format!("{}\n", text::sanitize(&row.group)));
                group = Some(&row.group);
            }
            out.push_str(&line(
                &format!("  {}", row.label),
                &mut row.entries.iter().map(|entry| (entry.text.as_str(), entry.tone)),
            ));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let row = |group: &str, label: &str, number: &str, word: &str| TableRow {
            group: group.into(),
            label: label.into(),
            series: 0,
            swatch: String::new(),
            entries: vec![Entry::plain(number), Entry::plain(word)],
            note: String::new(),
        };
        Table {
            columns: vec![
                Column {
                    name: "tail",
                    number: true,
                },
                words("verdict"),
            ],
            rows: vec![
                row("RPU 10", "async", "1.00 s", "a|b"),
                row("RPU 10", "thread-pool", "200 µs", "c\nd"),
            ],
            left_out: 0,
        }
    }

    #[test]
    fn a_terminal_table_is_aligned_by_characters() {
        let mut table = table();
        table.rows[1].entries[1].text = "cd".into();
        assert_eq!(
            table.terminal("strategy", &|_, text| text.to_owned()),
            "strategy         tail  verdict\nRPU 10\n  async        1.00 s  a|b\n  thread-pool  200 µs  cd\n"
        );
    }

    #[test]
    fn markdown_keeps_its_columns_whatever_is_written() {
        let markdown = table().markdown("strategy");
        assert!(markdown.contains("| RPU 10 | async | 1.00 s | a\\|b |\n"));
        assert!(markdown.contains("| RPU 10 | thread-pool | 200 µs | c d |\n"));
    }
}
