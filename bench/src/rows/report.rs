//! The report of a journal with 100,000 windows: of a run that never happened, as the report's own tests write it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use trials::journal::{FILE_NAME, JournalLine};

use super::{Bench, folder};
use crate::child::Child;
use crate::error::BenchError;
use crate::figure::{Figure, Unit};
use crate::line::{Goal, Line};

#[path = "../../../experiment/report/tests/report/synthetic.rs"]
#[allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    reason = "shared with the report's tests"
)]
mod synthetic;

/// How long the report may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at its memory.
const LOOK: Duration = Duration::from_millis(2);

/// Time and memory of `experiment report`.
pub async fn drawn(bench: &Bench) -> Result<Vec<Line>, BenchError> {
    let folder = folder()?;
    write_journal(folder.path())?;
    let (mut times_ms, mut megabytes) = (Vec::new(), Vec::new());
    for _ in 0..bench.number(3) {
        let mut command = bench.programs.ours("experiment");
        command.arg("report").arg(folder.path());
        let begun = Instant::now();
        let mut child = Child::spawn("report", command, folder.path())?;
        let peak = child.peak_until_end(LOOK, PATIENCE).await?;
        times_ms.push(begun.elapsed().as_secs_f64() * 1e3);
        megabytes.push(peak as f64 / 1e6);
    }
    Ok(vec![
        Line::alone(
            "report",
            "time for 400 trials of 250 windows",
            Figure::of(Unit::Millis, &times_ms),
            Goal::AtMost(3_000.0),
        ),
        Line::alone(
            "report",
            "highest memory",
            Figure::of(Unit::Megabytes, &megabytes),
            Goal::AtMost(300.0),
        ),
    ])
}

fn write_journal(folder: &Path) -> Result<(), BenchError> {
    let path = folder.join(FILE_NAME);
    let failed = |path: &PathBuf, source| BenchError::File {
        doing: "writing",
        path: path.clone(),
        source,
    };
    let lines: Vec<JournalLine> = synthetic::huge(400, 247);
    let mut out = BufWriter::new(File::create(&path).map_err(|error| failed(&path, error))?);
    for line in lines {
        let written = serde_json::to_writer(&mut out, &line).map_err(std::io::Error::from);
        written
            .and_then(|()| out.write_all(b"\n"))
            .map_err(|error| failed(&path, error))?;
    }
    out.flush().map_err(|error| failed(&path, error))
}
