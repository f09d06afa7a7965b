//! Builds the process from its settings and serves: what [`main`](crate::main) is made of, for programs that embed it.

use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use numaflow::reduce;
use numaflow::shared::ServerExtras;
use vertex::metrics::Process;
use vertex::{VertexArgs, VertexError};
use wire::{Clock, Outcome, StrategyKind};

use crate::aggregate::{Aggregate, Factory, MakeAggregate};
use crate::backlog::{Retry, Room};
use crate::call::{Answer, BlockingCall};
use crate::call_error::CallError;
use crate::event::Event;
use crate::metrics::Metrics;
use crate::reducer::{AsyncReduce, ReduceSpec};
use crate::settings::{Records, Settings, SettingsError};
use crate::strategy::{Forms, PoolError, StrategySpec, Work, WorkerCommand, build};
use crate::worker;

/// Why the UDF cannot serve, or has stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Settings that cannot work.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The program's own set-up failed.
    #[error("{}", vertex::one_line(.0.as_ref()))]
    SetUp(Box<dyn std::error::Error + Send + Sync>),
    /// A strategy cannot be started.
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
            Self::Settings(_)
            | Self::SetUp(_)
            | Self::Vertex(VertexError::PathTooLong(_))
            | Self::Pool(PoolError::NoCall(_) | PoolError::NoBlockingCall(_)) => 2,
            Self::Pool(_) | Self::Vertex(_) | Self::Runtime(_) | Self::Worker(_) | Self::OwnPath(_) => 1,
        }
    }
}

/// The reducers of a process, for a server of the SDK that the program sets up itself.
pub struct Reducers<A> {
    /// Passed to `numaflow::reduce::Server::new`.
    pub creator: AsyncReduce<A>,
    /// To be registered where the program serves its metrics.
    pub metrics: Arc<Metrics>,
}

/// The blocking call of a program whose workers are other programs.
struct Elsewhere<A>(PhantomData<fn() -> A>);

impl<A: Answer> BlockingCall for Elsewhere<A> {
    type Answer = A;

    fn call_blocking(&self, _: &Event) -> Result<A, CallError> {
        Err(CallError::from(Outcome::WorkerDied).because("this process makes no calls"))
    }
}

/// Builds the reducers of a process and starts its pool. Must be called within a tokio runtime. `worker` starts a child
/// process of the process pool, which calls [`serve_pool`].
///
/// # Errors
/// Returns an error if the strategy needs a form of the call that is missing, or if a pool cannot be started.
///
/// # Examples
/// A server on a socket of one's own, which stops when `stop` is sent:
/// ```no_run
/// # use async_reduce::{Call, CallError, Count, Event, Records, Settings, WorkerCommand, reducers};
/// # struct Score;
/// # impl Call for Score {
/// #     type Answer = f64;
/// #     async fn call(&self, event: &Event) -> Result<f64, CallError> { event.json() }
/// # }
/// # async fn embed(settings: &Settings, worker: WorkerCommand) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// use numaflow::shared::ServerExtras;
///
/// let reducers = reducers(settings, Records::Off, Score, Count::default, worker)?;
/// let (stop, stopped) = tokio::sync::oneshot::channel();
/// let server = numaflow::reduce::Server::new(reducers.creator)
///     .with_server_info_file("/tmp/reducer-info")
///     .with_socket_file("/tmp/reduce.sock");
/// tokio::spawn(server.start_with_shutdown(stopped));
/// # stop.send(()).ok();
/// # Ok(())
/// # }
/// ```
pub fn reducers<W, F, M>(
    settings: &Settings,
    records: Records,
    work: W,
    make: F,
    worker: WorkerCommand,
) -> Result<Reducers<W::Answer>, RunError>
where
    W: Work,
    M: 'static,
    F: MakeAggregate<M>,
    F::Aggregate: Aggregate<Answer = W::Answer>,
{
    let cores = vertex::machine::cores();
    let of_record = settings.of_record(cores);
    let metrics = Arc::new(Metrics::new(&of_record));
    let mut forms = work.into_forms();
    let worker = match &settings.worker_command {
        None => worker,
        Some(_) if of_record.strategy != StrategyKind::ProcessPool => {
            return Err(SettingsError::NoWorkers(of_record.strategy).into());
        }
        Some(command) => {
            // Its workers make the calls, and need no call of this program.
            forms
                .blocking
                .get_or_insert_with(|| Arc::new(Elsewhere(PhantomData)));
            WorkerCommand {
                program: command.program.clone().into(),
                args: command.args.iter().map(Into::into).collect(),
            }
        }
    };
    let repeatable = forms.repeatable;
    let backlog = build(StrategySpec {
        kind: of_record.strategy,
        max_workers: settings.slots(cores),
        forms,
        timeout: settings.timeout,
        retry: Retry {
            retries: settings.retries,
            first_pause: settings.retry_pause,
            statuses: settings.retry_statuses.clone(),
            repeatable,
        },
        worker,
        metrics: Arc::clone(&metrics),
    })?;
    if of_record.strategy == StrategyKind::Sequential
        && settings.max_workers.is_some_and(|most| most.get() > 1)
    {
        tracing::info!(
            "max_workers has no effect: sequential makes one call at a time for each key and window"
        );
    }
    let bound = |bound: u64| usize::try_from(bound).unwrap_or(usize::MAX);
    let creator = AsyncReduce::new(ReduceSpec {
        backlog,
        make: Arc::new(Factory::new(make)),
        settings: of_record,
        results: settings.results(records),
        close_deadline: settings.close_deadline.0,
        room: Room::new(bound(settings.max_waiting.get()), settings.max_waiting_bytes()),
        max_message_bytes: bound(settings.max_message_bytes.get()),
        event_id: settings.event_id.as_deref().map(Arc::from),
        clock: Clock::start(),
        metrics: Arc::clone(&metrics),
    });
    Ok(Reducers { creator, metrics })
}

/// Makes the calls of a process pool in this process, a child of the one that serves: reads events from standard input
/// and writes answers to standard output until its input ends.
///
/// # Errors
/// Returns an error if there is no blocking call or a pipe cannot be read or written.
pub fn serve_pool<W: Work>(settings: &Settings, work: W) -> Result<(), RunError> {
    let Forms { blocking, .. } = work.into_forms();
    let call = blocking.ok_or(PoolError::NoBlockingCall(StrategyKind::ProcessPool))?;
    let event_id = settings.event_id.as_deref().map(Arc::from);
    worker::work(&*call, event_id.as_ref()).map_err(RunError::Worker)
}

/// Serves on the socket of `args` until a signal stops it.
pub(crate) async fn serve<A: Send + 'static>(
    args: &VertexArgs,
    settings: &wire::Settings,
    reducers: Reducers<A>,
) -> Result<(), RunError> {
    let (socket, server_info) = args.paths(reduce::SOCK_ADDR, reduce::SERVER_INFO_FILE)?;
    let _stats_server = args.serve_metrics(routes(&socket, settings.strategy, &reducers.metrics))?;
    tracing::info!(
        strategy = %settings.strategy,
        start_rule = %settings.start_rule,
        workload = %settings.workload,
        max_workers = settings.max_workers,
        io_delay = %settings.io_delay,
        "the calls"
    );
    // The info file must be set first: the SDK deletes the default paths when either is replaced.
    let server = reduce::Server::new(reducers.creator)
        .with_server_info_file(server_info)
        .with_socket_file(socket.clone());
    vertex::serve(&socket, args, |stop| server.start_with_shutdown(stop)).await?;
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
