//! The table: printed, and written as Markdown and JSON with the facts of the machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use crate::error::BenchError;
use crate::line::{Line, Verdict};
use crate::programs::CACHE;

/// The content of both files.
#[derive(Debug, Serialize)]
pub struct Table {
    /// When the run started.
    pub started: String,
    /// Facts needed to compare it with another run.
    pub facts: BTreeMap<String, String>,
    /// The command line.
    pub arguments: Vec<String>,
    pub lines: Vec<Line>,
}

/// Facts of the machine, the versions and the commit; facts that cannot be found are left out.
pub fn facts() -> BTreeMap<String, String> {
    let output_of = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let commit = output_of("git", &["rev-parse", "--short", "HEAD"]).map(|commit| {
        let changed = output_of("git", &["status", "--porcelain", "--untracked-files=no"]);
        match changed {
            Some(changed) if !changed.is_empty() => format!("{commit}, with changes"),
            _ => commit,
        }
    });
    let version = |name: &str| {
        let text = std::fs::read_to_string(Path::new(CACHE).join(name)).ok()?;
        Some(text.trim().to_owned())
    };
    let mut facts = vertex::machine::facts();
    let more = [
        ("commit", commit),
        ("rustc", output_of("rustc", &["--version"])),
        ("peer on pynumaflow", version("python.version")),
        ("peer on the Go SDK", version("go.version")),
    ];
    facts.extend(
        more.into_iter()
            .filter_map(|(name, fact)| Some((name.to_owned(), fact?))),
    );
    facts
}

impl Table {
    /// As Markdown.
    pub fn markdown(&self) -> String {
        let mut out = format!("# Benchmark of {}\n\n", self.started);
        for (name, fact) in &self.facts {
            out += &format!("- {name}: {fact}\n");
        }
        out += &format!("- arguments: `{}`\n", self.arguments.join(" "));
        let count = |verdict| self.lines.iter().filter(|line| line.verdict == verdict).count();
        out += &format!(
            "\nMedian of the rounds (lowest … highest). {} met, {} missed, {} absent, {} failed.\n\n",
            count(Verdict::Met),
            count(Verdict::Missed),
            count(Verdict::Absent),
            count(Verdict::Failed)
        );
        out += "| row | what | measured | beside | its figure | ratio | goal | | stolen |\n|---|---|---:|---|---:|---:|---:|---|---:|\n";
        for line in &self.lines {
            out += &line.markdown();
        }
        let notes: Vec<String> = self
            .lines
            .iter()
            .filter_map(|line| {
                Some(format!(
                    "- {}, {}: {}\n",
                    line.row,
                    line.what,
                    line.note.as_ref()?
                ))
            })
            .collect();
        if !notes.is_empty() {
            out += "\n";
            out += &notes.concat();
        }
        out
    }

    /// Writes both files into `folder`; returns their paths.
    pub fn write(&self, folder: &Path, name: &str) -> Result<[PathBuf; 2], BenchError> {
        let write = |path: PathBuf, text: &[u8]| {
            std::fs::write(&path, text)
                .map_err(|source| BenchError::File {
                    doing: "writing",
                    path: path.clone(),
                    source,
                })
                .map(|()| path)
        };
        std::fs::create_dir_all(folder).map_err(|source| BenchError::File {
            doing: "making",
            path: folder.to_owned(),
            source,
        })?;
        let json = serde_json::to_vec_pretty(self).unwrap_or_default();
        Ok([
            write(folder.join(format!("{name}.md")), self.markdown().as_bytes())?,
            write(folder.join(format!("{name}.json")), &json)?,
        ])
    }
}

impl Line {
    /// As one line of Markdown.
    pub fn markdown(&self) -> String {
        let figure = |figure: Option<&crate::figure::Figure>| figure.map_or("–".to_owned(), |f| f.text());
        let beside = self.beside.as_ref();
        format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
            self.row,
            self.what,
            figure(self.measured.as_ref()),
            beside.map_or("", |beside| &beside.name),
            beside.map_or(String::new(), |beside| figure(beside.figure.as_ref())),
            self.ratio.map_or(String::new(), |ratio| format!("{ratio:.2}")),
            self.goal,
            self.verdict.text(),
            self.stolen
                .map_or(String::new(), |stolen| format!("{:.0} %", stolen * 100.0)),
        )
    }
}
