//! The sink: a Numaflow sink that writes one JSON line to stdout for each record.
//!
//! # Layout
//!
//! - `sinker`: implements the SDK's `Sinker`, a call for each read batch.
//! - `log`: writes the lines, never half a line.
//! - `recent`: keeps the last lines in memory and serves them.
//! - `seen`: the windows and keys already written, to mark repetitions.
//! - `metrics`: Prometheus metrics.

mod log;
mod metrics;
mod recent;
mod seen;
mod sinker;

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use numaflow::shared::ServerExtras;
use numaflow::sink::{SERVER_INFO_FILE, SOCK_ADDR, Server};
use vertex::metrics::Process;
use vertex::{VertexArgs, VertexError};
use wire::Clock;
use wire::settings::whole_number;

use crate::log::Log;
use crate::metrics::Metrics;
use crate::recent::{DEFAULT_CAPACITY_BYTES, Recent};
use crate::sinker::Recorder;

/// How long a write to a stdout that is not read may delay the end of the process.
const WRITE_GRACE: Duration = Duration::from_millis(200);

const EXAMPLES: &str = "Examples:
  sink
  sink --socket /tmp/s.sock --server-info /tmp/s.info > results.jsonl";

/// A user-defined sink for Numaflow that writes each record as one line of JSON to stdout, with its time of
/// arrival and a running number, and marks repetitions of a window and key (among the last 100000).
///
/// Records whose line cannot be written whole are answered as failed, so that Numaflow sends them again. The last lines
/// are kept in memory and served at /records?from=LINE of --stats-listen, for readers of a log that is rotated.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
struct Args {
    #[command(flatten)]
    vertex: VertexArgs,
    /// Bytes of lines that are kept in memory for /records; the oldest lines make room for new ones
    #[arg(long, env = "KEPT_BYTES", value_name = "BYTES", default_value_t = DEFAULT_CAPACITY_BYTES, value_parser = whole_number::<usize>(0, usize::MAX as u64), allow_hyphen_values = true)]
    kept_bytes: usize,
}

fn main() -> ExitCode {
    let args = Args::parse();
    vertex::init_logging();
    match start(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sink: {}", vertex::one_line(error.as_ref()));
            let wrong_use = matches!(error.downcast_ref(), Some(VertexError::PathTooLong(_)));
            ExitCode::from(if wrong_use { 2 } else { 1 })
        }
    }
}

fn start(args: &Args) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start threads")?;
    let ended = runtime.block_on(run(args));
    runtime.shutdown_timeout(WRITE_GRACE);
    ended
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let (socket, server_info) = args.vertex.paths(SOCK_ADDR, SERVER_INFO_FILE)?;
    // Without the standard library's buffer, which hides how much of a line has been written.
    let stdout = io::stdout()
        .as_fd()
        .try_clone_to_owned()
        .context("cannot use stdout")?;
    let metrics = Metrics::new();
    let registry = Process::alone().registry("sink", env!("CARGO_PKG_VERSION"), |registry| {
        metrics.register(registry);
    });
    let registry = Arc::new(registry);
    let process = rand::random();
    // Without a server nothing could read them.
    let kept_bytes = args.vertex.stats_listen.map_or(0, |_| args.kept_bytes);
    let recent = Recent::new(process, kept_bytes);
    let routes = vertex::routes(&socket, move || vertex::metrics::text(&registry));
    let _stats_server = args.vertex.serve_metrics(routes.merge(recent.routes()))?;
    let log = Log::new(File::from(stdout), process, recent, metrics);
    let recorder = Recorder::new(log, Clock::start());
    vertex::serve(&socket, &args.vertex, |stop| {
        Server::new(recorder)
            .with_server_info_file(&server_info)
            .with_socket_file(&socket)
            .start_with_shutdown(stop)
    })
    .await?;
    Ok(())
}
