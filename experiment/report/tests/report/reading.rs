//! Reads a report back as programs do: the page as XML, the figures as CSV.

use std::fs;

use roxmltree::{Document, ParsingOptions};
use trials::journal::JournalLine;

/// A report's files.
pub struct Report {
    pub folder: tempfile::TempDir,
    pub page: String,
}

impl Report {
    pub fn of(lines: &[JournalLine]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = report::write(folder.path(), lines).unwrap();
        assert_eq!(path, folder.path().join("report.html"));
        Self {
            page: fs::read_to_string(path).unwrap(),
            folder,
        }
    }

    pub fn file(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    /// Parsed as XML, which is stricter than HTML: nothing unescaped, everything closed.
    pub fn document(&self) -> Document<'_> {
        let options = ParsingOptions {
            allow_dtd: true,
            ..ParsingOptions::default()
        };
        Document::parse_with_options(&self.page, options).unwrap()
    }

    /// The CSV file as records of fields by name.
    pub fn records(&self, name: &str) -> Vec<Vec<(String, String)>> {
        let text = self.file(name);
        let mut lines = text.lines().map(fields);
        let names = lines.next().unwrap();
        let records = lines.map(|values| {
            assert_eq!(values.len(), names.len());
            names.iter().cloned().zip(values).collect()
        });
        records.collect()
    }

    pub fn sentences(&self) -> Vec<String> {
        let document = self.document();
        let list = document
            .descendants()
            .find(|node| node.attribute("class") == Some("sentences"))
            .unwrap();
        list.children()
            .filter(|node| node.is_element())
            .map(|node| text_of(&node).replace('\u{a0}', " "))
            .collect()
    }
}

pub fn text_of(node: &roxmltree::Node<'_, '_>) -> String {
    node.descendants()
        .filter(|node| node.is_text())
        .filter_map(|node| node.text())
        .collect()
}

/// One line of CSV (none of the tests' values contains a line's end).
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    fields.push(field);
    fields
}

pub fn value<'a>(record: &'a [(String, String)], name: &str) -> &'a str {
    &record
        .iter()
        .find(|(field, _)| field == name)
        .unwrap_or_else(|| panic!("no field {name}"))
        .1
}
