//! The report of a journal with 100,000 windows, generated as the report's own tests generate it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use launcher::Child;
use tokio::time::timeout;
use trials::journal::{FILE_NAME, JournalLine};
use vertex::proc::peak_resident_bytes;

use super::Bench;
use crate::child::spawn;
use crate::error::BenchError;
use crate::figure::{Figure, Unit};
use crate::line::{Goal, Line};
use crate::pipeline::folder;

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

/// Pause between two readings of its memory.
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
        let peak = peak_until_end(spawn("report", command)?).await?;
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

/// Waits for its end, which must be a success; returns its peak resident memory in bytes.
async fn peak_until_end(mut report: Child) -> Result<u64, BenchError> {
    let mut peak = 0;
    // Its output must not block it.
    let printed = report.take_stdout();
    let printed = tokio::spawn(async move {
        if let Some(printed) = printed {
            let _ = tokio::io::copy(&mut printed.into_inner(), &mut tokio::io::sink()).await;
        }
    });
    let ended = timeout(PATIENCE, async {
        loop {
            match timeout(LOOK, report.wait()).await {
                Ok(ended) => break ended,
                Err(_) => peak = peak.max(report.id().and_then(peak_resident_bytes).unwrap_or(0)),
            }
        }
    })
    .await;
    printed.abort();
    match ended {
        Ok(Ok(status)) if status.success() => Ok(peak),
        _ => Err(BenchError::Report {
            patience: PATIENCE,
            tail: report.tail(),
        }),
    }
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
