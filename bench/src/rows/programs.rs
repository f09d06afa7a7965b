//! The cost of a UDF before any work: the time until it is ready, and its size.

use std::path::Path;
use std::time::{Duration, Instant};

use launcher::Place;

use super::Bench;
use crate::child::{PATIENCE, spawn};
use crate::error::BenchError;
use crate::figure::{Figure, Unit};
use crate::line::{Goal, Line};
use crate::pipeline::folder;
use crate::programs::{CACHE, Udf};

const ROW: &str = "start";

/// Pause between two checks for readiness.
const LOOK: Duration = Duration::from_micros(200);

/// Starts per second, and bytes.
pub async fn start(bench: &Bench) -> Result<Vec<Line>, BenchError> {
    let contenders = [Udf::Ours, Udf::Go, Udf::Python];
    let mut times_ms = [const { Vec::new() }; 3];
    for _ in 0..bench.number(9) {
        for (udf, times_ms) in contenders.into_iter().zip(&mut times_ms) {
            // More rounds would only wait for Python, which takes seconds to start.
            if udf != Udf::Python || times_ms.is_empty() {
                times_ms.extend(ready_ms(bench, udf).await?);
            }
        }
    }
    let [ours, go, python] = times_ms.map(|times_ms| Figure::of(Unit::Millis, &times_ms));
    let what = "from start to ready";
    let size = |path: &Path| {
        let bytes = std::fs::metadata(path).ok()?.len();
        Figure::of(Unit::Megabytes, &[bytes as f64 / 1e6])
    };
    let (own, theirs) = (
        size(&bench.programs.path("udf")),
        size(&Path::new(CACHE).join("go-udf")),
    );
    Ok(vec![
        Line::beside(ROW, what, ours.clone(), Udf::Go.name(), go, Goal::AtMost(30.0)),
        Line::beside(ROW, what, ours, Udf::Python.name(), python, Goal::Seen),
        Line::beside(
            ROW,
            "size of the program",
            own,
            Udf::Go.name(),
            theirs,
            Goal::AtMost(12.0),
        ),
    ])
}

/// Milliseconds until the server-info file is complete and the socket accepts; `None` if the UDF is absent.
async fn ready_ms(bench: &Bench, udf: Udf) -> Result<Option<f64>, BenchError> {
    let Some(mut command) = bench.programs.udf(udf) else {
        return Ok(None);
    };
    let folder = folder()?;
    let place = Place::within(folder.path(), "udf")?;
    command.envs(place.variables());
    let begun = Instant::now();
    let child = spawn("udf", command)?;
    let looking = move || {
        while begun.elapsed() < PATIENCE {
            if place.is_ready() {
                return Some(begun.elapsed());
            }
            std::thread::sleep(LOOK);
        }
        None
    };
    let ready = tokio::task::spawn_blocking(looking).await.ok().flatten();
    let tail = child.tail();
    child.kill().await;
    match ready {
        Some(time) => Ok(Some(time.as_secs_f64() * 1e3)),
        None => Err(BenchError::DataPlane {
            reason: format!("{} was not ready within {PATIENCE:?}", udf.name()),
            tail,
        }),
    }
}
