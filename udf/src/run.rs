//! Builds the process from its settings and serves: the entry point of a program with its own [`Call`].

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use numaflow::reduce;
use numaflow::shared::ServerExtras;
use tokio::runtime;
use vertex::VertexError;
use vertex::metrics::Process;
use wire::{Clock, StrategyKind};

use crate::call::Call;
use crate::metrics::Metrics;
use crate::reducer::AsyncReduce;
use crate::settings::{Cli, Command, Settings, SettingsError};
use crate::strategy::{PoolError, StrategySpec, WorkerCommand, build};
use crate::worker;

/// Why the UDF cannot serve, or has stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Settings that cannot work.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The call cannot be set up.
    #[error(transparent)]
    Call(Box<dyn std::error::Error + Send + Sync>),
    /// A pool cannot be started.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The socket, the server or the signals.
    #[error(transparent)]
    Vertex(#[from] VertexError),
    /// The runtime cannot be started.
    #[error("cannot start the runtime: {0}")]
    Runtime(#[source] std::io::Error),
    /// A worker process cannot read or write its pipe.
    #[error("worker: {0}")]
    Worker(#[source] std::io::Error),
    /// The path of this program is unknown, so it cannot start workers.
    #[error("cannot find this program to start workers: {0}")]
    OwnPath(#[source] std::io::Error),
}

impl RunError {
    /// Exit status: 2 for a wrong setting, 1 for any other failure.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) | Self::Call(_) | Self::Vertex(VertexError::PathTooLong(_)) => 2,
            Self::Pool(_) | Self::Vertex(_) | Self::Runtime(_) | Self::Worker(_) | Self::OwnPath(_) => 1,
        }
    }
}

/// Serves until a signal stops it. `make_call` creates the work of an event. In a worker process of the process pool,
/// makes that worker's calls instead.
///
/// # Errors
/// Returns an error if a setting is wrong, the call, a pool or the server cannot be set up, or serving fails. Its text
/// is one line for the user.
pub fn run<C, E>(cli: Cli, make_call: impl Fn(&Settings) -> Result<C, E>) -> Result<(), RunError>
where
    C: Call,
    E: std::error::Error + Send + Sync + 'static,
{
    run_dyn(cli, |settings| Ok::<_, E>(Arc::new(make_call(settings)?)))
}

/// Like [`run`], for programs whose settings decide on the type of the call.
///
/// # Errors
/// Returns an error like [`run`].
pub fn run_dyn<E>(cli: Cli, make_call: impl Fn(&Settings) -> Result<Arc<dyn Call>, E>) -> Result<(), RunError>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let call_error = |error: E| RunError::Call(Box::new(error));
    if let Some(Command::Worker(settings)) = &cli.command {
        return worker::work(&*make_call(settings).map_err(call_error)?).map_err(RunError::Worker);
    }
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    cli.settings.raise_descriptor_limit(cores)?;
    let call = make_call(&cli.settings).map_err(call_error)?;
    let runtime = match cli.settings.runtime_threads(cores).get() {
        1 => runtime::Builder::new_current_thread().enable_all().build(),
        threads => runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build(),
    };
    runtime
        .map_err(RunError::Runtime)?
        .block_on(serve(&cli, call, cores))
}

async fn serve(cli: &Cli, call: Arc<dyn Call>, cores: NonZeroUsize) -> Result<(), RunError> {
    let (socket, server_info) = cli.vertex.paths(reduce::SOCK_ADDR, reduce::SERVER_INFO_FILE)?;
    let settings = cli.settings.of_record(cores);
    let metrics = Arc::new(Metrics::new(&settings));
    let backlog = build(StrategySpec {
        kind: settings.strategy,
        max_workers: cli.settings.max_workers(cores),
        call,
        timeout: settings.timeout,
        retries: settings.retries,
        worker: worker_command()?,
        metrics: Arc::clone(&metrics),
    })?;
    let _stats_server = cli
        .vertex
        .serve_metrics(routes(&socket, settings.strategy, &metrics))?;
    tracing::info!(
        strategy = %settings.strategy,
        start_rule = %settings.start_rule,
        workload = %settings.workload,
        max_workers = settings.max_workers,
        io_delay = %settings.io_delay,
        "serving on {}",
        socket.display()
    );
    let max_waiting = usize::try_from(cli.settings.max_waiting.get()).unwrap_or(usize::MAX);
    let creator = AsyncReduce::new(
        backlog,
        settings,
        max_waiting,
        cli.settings.result_format,
        Clock::start(),
        metrics,
    );
    // The info file must be set first: the SDK deletes the default paths when either is replaced.
    let server = reduce::Server::new(creator)
        .with_server_info_file(server_info)
        .with_socket_file(socket.clone());
    vertex::serve(&socket, &cli.vertex, |stop| server.start_with_shutdown(stop)).await?;
    Ok(())
}

fn routes(socket: &Path, strategy: StrategyKind, metrics: &Metrics) -> Router {
    let process = match strategy {
        StrategyKind::ProcessPool => Process::with_children(),
        StrategyKind::Sequential | StrategyKind::Async | StrategyKind::ThreadPool => Process::alone(),
    };
    let registry = process.registry("udf", env!("CARGO_PKG_VERSION"), |registry| {
        metrics.register(registry)
    });
    let registry = Arc::new(registry);
    vertex::routes(socket, move || vertex::metrics::text(&registry))
}

/// The command that starts this program, with the same settings, as a worker.
fn worker_command() -> Result<WorkerCommand, RunError> {
    let program = std::env::current_exe().map_err(RunError::OwnPath)?;
    let args = std::env::args_os()
        .skip(1)
        .filter(|arg| arg != "--stop-on-stdin-close");
    Ok(WorkerCommand {
        program,
        args: std::iter::once("worker".into())
            .chain(worker_args(args))
            .collect(),
    })
}

/// Flags with a value that concern only the serving process.
const SERVER_FLAGS: [&str; 4] = ["--socket", "--server-info", "--stats-listen", "--stop-grace"];

/// Removes [`SERVER_FLAGS`] and their values.
fn worker_args(args: impl Iterator<Item = std::ffi::OsString>) -> Vec<std::ffi::OsString> {
    let mut kept = Vec::new();
    let mut skip_value = false;
    for arg in args {
        let text = arg.to_string_lossy();
        if std::mem::take(&mut skip_value) {
            continue;
        }
        let (flag, value) = text.split_once('=').unzip();
        if SERVER_FLAGS.contains(&flag.unwrap_or(&*text)) {
            skip_value = value.is_none();
        } else {
            kept.push(arg);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_gets_the_settings_but_not_the_socket() {
        let args = [
            "--socket",
            "/s",
            "--strategy",
            "process-pool",
            "--server-info=/i",
            "--stats-listen",
            "127.0.0.1:0",
            "--stop-grace=5s",
            "--io-delay",
            "1s",
        ];
        let kept = worker_args(args.iter().map(Into::into));
        assert_eq!(kept, ["--strategy", "process-pool", "--io-delay", "1s"]);
    }
}
