//! The entry point of a program: its own flags beside the library's, in the process that serves and in the workers of
//! its process pool.

mod flags;

use std::process::ExitCode;

use clap::Args;
use numaflow::reduce;
use tokio::runtime;

use crate::aggregate::{Aggregate, MakeAggregate};
use crate::run::{RunError, reducers, serve, serve_pool};
use crate::settings::{Records, Settings};
use crate::strategy::Work;

use flags::{Parsed, command, name, worker_command};

/// Why a program's own set-up failed.
pub type SetUpError = Box<dyn std::error::Error + Send + Sync>;

/// Runs a program: serves Numaflow until a signal stops it. `set_up` makes the call and what makes the aggregates, once in
/// every process, of the program's own flags, which stand beside the library's. What both have to clean up they do where
/// they are dropped.
///
/// The program's name is that of its file; its version and description are those of the flags (`#[command(version)]`).
///
/// # Examples
/// ```no_run
/// use async_reduce::{Call, CallError, Event, Mean};
///
/// /// Scores payments
/// #[derive(clap::Args)]
/// #[command(version)]
/// struct ScoreArgs {
///     /// Where payments are scored
///     #[arg(long, env)]
///     url: String,
/// }
///
/// struct Score { url: String }
///
/// impl Call for Score {
///     type Answer = f64;
///     async fn call(&self, event: &Event) -> Result<f64, CallError> {
///         let payment: serde_json::Value = event.json()?;
///         let _ = &self.url; // ask the service
///         Ok(payment["amount"].as_f64().unwrap_or_default())
///     }
/// }
///
/// fn main() -> std::process::ExitCode {
///     async_reduce::main(|args: &ScoreArgs| Ok((Score { url: args.url.clone() }, Mean::default)))
/// }
/// ```
pub fn main<A, W, F, M>(set_up: impl Fn(&A) -> Result<(W, F), SetUpError>) -> ExitCode
where
    A: Args,
    W: Work,
    M: 'static,
    F: MakeAggregate<M>,
    F::Aggregate: Aggregate<Answer = W::Answer>,
{
    Program::new().run(|args, _| set_up(args))
}

/// A program with other defaults than [`main`]'s, or whose set-up needs the library's settings.
#[derive(Debug, Clone)]
pub struct Program {
    records: Records,
    synthetic: bool,
}

impl Default for Program {
    fn default() -> Self {
        Self::new()
    }
}

impl Program {
    /// A program that sends its own results.
    pub fn new() -> Self {
        Self {
            records: Records::Off,
            synthetic: false,
        }
    }

    /// What is sent unless `--records` says otherwise.
    #[must_use]
    pub fn records(mut self, default: Records) -> Self {
        self.records = default;
        self
    }

    /// Shows the settings of synthetic calls in the help: `--workload`, `--io-delay`, `--cpu-offload`.
    #[must_use]
    pub fn synthetic(mut self) -> Self {
        self.synthetic = true;
        self
    }

    /// Runs the program like [`main`]; `set_up` gets the library's settings too.
    pub fn run<A, W, F, M>(self, set_up: impl Fn(&A, &Settings) -> Result<(W, F), SetUpError>) -> ExitCode
    where
        A: Args,
        W: Work,
        M: 'static,
        F: MakeAggregate<M>,
        F::Aggregate: Aggregate<Answer = W::Answer>,
    {
        vertex::init_logging();
        match self.start(set_up) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{}: {error}", name());
                ExitCode::from(error.exit_code())
            }
        }
    }

    fn start<A, W, F, M>(
        self,
        set_up: impl Fn(&A, &Settings) -> Result<(W, F), SetUpError>,
    ) -> Result<(), RunError>
    where
        A: Args,
        W: Work,
        M: 'static,
        F: MakeAggregate<M>,
        F::Aggregate: Aggregate<Answer = W::Answer>,
    {
        let matches = command::<A>(self.synthetic)?.get_matches();
        let Parsed {
            vertex,
            settings,
            own,
        } = Parsed::<A>::of(&matches).unwrap_or_else(|error| error.exit());
        let set_up = |settings| set_up(&own, settings).map_err(RunError::SetUp);
        let Some(vertex) = vertex else {
            return serve_pool(&settings, set_up(&settings)?.0);
        };
        if let Some(note) = settings.without_effect() {
            tracing::warn!("{note}");
        }
        let cores = vertex::machine::cores();
        settings.raise_descriptor_limit(cores)?;
        let (work, make) = set_up(&settings)?;
        // Before a pool is started.
        vertex.paths(reduce::SOCK_ADDR, reduce::SERVER_INFO_FILE)?;
        let runtime = match settings.runtime_threads(cores).get() {
            1 => runtime::Builder::new_current_thread().enable_all().build(),
            threads => runtime::Builder::new_multi_thread()
                .worker_threads(threads)
                .enable_all()
                .build(),
        };
        runtime.map_err(RunError::Runtime)?.block_on(async {
            let reducers = reducers(&settings, self.records, work, make, worker_command()?)?;
            serve(&vertex, &settings.of_record(cores), reducers).await
        })
    }
}

#[cfg(test)]
mod tests;
