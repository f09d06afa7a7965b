//! What a UDF costs before it has done anything: the time until it is ready, and its size.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use dataplane::VertexSockets;

use super::{Bench, folder};
use crate::child::Child;
use crate::error::BenchError;
use crate::figure::{Figure, Unit};
use crate::line::{Goal, Line};
use crate::pipeline::serve;
use crate::programs::{CACHE, Udf};

const ROW: &str = "start";

/// How long a UDF may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks whether it is ready.
const LOOK: Duration = Duration::from_micros(200);

/// Starts a second and bytes.
pub async fn start(bench: &Bench) -> Result<Vec<Line>, BenchError> {
    let contenders = [Udf::Ours, Udf::Go, Udf::Python];
    let mut times_ms = [const { Vec::new() }; 3];
    for _ in 0..bench.number(9) {
        for (udf, times_ms) in contenders.into_iter().zip(&mut times_ms) {
            // Python's seconds would only be waited for.
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

/// Milliseconds until the server-info file is whole and the socket accepts; nothing where the UDF is absent.
async fn ready_ms(bench: &Bench, udf: Udf) -> Result<Option<f64>, BenchError> {
    let Some(mut command) = bench.programs.udf(udf) else {
        return Ok(None);
    };
    let folder = folder()?;
    let sockets = VertexSockets {
        socket: folder.path().join("udf"),
        server_info: folder.path().join("udf-info"),
    };
    serve(&mut command, &sockets);
    let begun = Instant::now();
    let child = Child::spawn("udf", command, folder.path())?;
    let looking = move || {
        while begun.elapsed() < PATIENCE {
            let info = std::fs::read_to_string(&sockets.server_info).unwrap_or_default();
            if info.trim_end().ends_with("U+005C__END__") && UnixStream::connect(&sockets.socket).is_ok() {
                return Some(begun.elapsed());
            }
            std::thread::sleep(LOOK);
        }
        None
    };
    let ready = tokio::task::spawn_blocking(looking).await.ok().flatten();
    let tail = child.tail();
    child.end().await;
    match ready {
        Some(time) => Ok(Some(time.as_secs_f64() * 1e3)),
        None => Err(BenchError::DataPlane {
            reason: format!("{} was not ready within {PATIENCE:?}", udf.name()),
            tail,
        }),
    }
}
