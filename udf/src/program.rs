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

/// What a set-up gives: the call and what makes the aggregates, and third, where there is something to clean up, a function
/// that does so at the end of the process.
///
/// `M` tells the two forms of [`MakeAggregate`] apart and is found by the compiler.
pub trait SetUp<M> {
    /// Makes the calls.
    type Work: Work;

    /// Makes the aggregates of their answers.
    type Make: MakeAggregate<M, Aggregate: Aggregate<Answer = <Self::Work as Work>::Answer>>;

    /// The three parts; one without a clean-up has one that does nothing.
    fn into_parts(self) -> (Self::Work, Self::Make, Box<dyn FnOnce()>);
}

impl<M, W, F> SetUp<M> for (W, F)
where
    W: Work,
    F: MakeAggregate<M, Aggregate: Aggregate<Answer = W::Answer>>,
{
    type Work = W;
    type Make = F;

    fn into_parts(self) -> (W, F, Box<dyn FnOnce()>) {
        (self.0, self.1, Box::new(|| ()))
    }
}

impl<M, W, F, C> SetUp<M> for (W, F, C)
where
    W: Work,
    F: MakeAggregate<M, Aggregate: Aggregate<Answer = W::Answer>>,
    C: FnOnce() + 'static,
{
    type Work = W;
    type Make = F;

    fn into_parts(self) -> (W, F, Box<dyn FnOnce()>) {
        (self.0, self.1, Box::new(self.2))
    }
}

/// Runs a program: serves Numaflow until a signal stops it. `set_up` makes its [parts](SetUp), once in every process, of the
/// program's own flags, which stand beside the library's.
///
/// A worker of the process pool is a process too: it has a set-up and a clean-up of its own. The clean-up runs when the
/// process ends: after a signal, after an error, and in a worker when its parent ends. Calls that run as futures have ended
/// or been dropped by then; a thread may still be in a call. It does not run in a process that is killed, as a worker is
/// whose call has not ended in time, or whose clean-up takes longer than 5 s.
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
pub fn main<A, P, M>(set_up: impl Fn(&A) -> Result<P, SetUpError>) -> ExitCode
where
    A: Args,
    M: 'static,
    P: SetUp<M>,
{
    Program::new().run(|args, _| set_up(args))
}

/// A program with other defaults than [`main`]'s, or whose set-up needs the library's settings.
///
/// # Examples
/// ```no_run
/// # use async_reduce::{BlockingCall, Blocking, CallError, Event, Program, Records, Sum};
/// # use std::time::Duration;
/// struct Query { timeout: Duration }
/// # impl BlockingCall for Query {
/// #     type Answer = i64;
/// #     fn call_blocking(&self, event: &Event) -> Result<i64, CallError> { let _ = self.timeout; event.json() }
/// # }
///
/// fn main() -> std::process::ExitCode {
///     Program::new().records(Records::Beside).run(|_: &(), settings| {
///         // A blocking call keeps the timeout itself.
///         let query = Query { timeout: settings.timeout };
///         let at_end = || println!("cleaned up");
///         Ok((Blocking(query), Sum::default, at_end))
///     })
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Program {
    records: Records,
    results_by: Option<&'static str>,
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
            results_by: None,
            synthetic: false,
        }
    }

    /// What is sent unless `--records` says otherwise.
    #[must_use]
    pub fn records(mut self, default: Records) -> Self {
        self.records = default;
        self
    }

    /// The flag of the program's own, by the name of its field, with which it sends its own results alone unless `--records`
    /// says otherwise.
    #[must_use]
    pub fn results_by(mut self, flag: &'static str) -> Self {
        self.results_by = Some(flag);
        self
    }

    /// Shows the settings of synthetic calls in the help: `--workload`, `--io-delay`, `--cpu-offload`.
    #[must_use]
    pub fn synthetic(mut self) -> Self {
        self.synthetic = true;
        self
    }

    /// Runs the program like [`main`]; `set_up` gets the library's settings too.
    pub fn run<A, P, M>(self, set_up: impl Fn(&A, &Settings) -> Result<P, SetUpError>) -> ExitCode
    where
        A: Args,
        M: 'static,
        P: SetUp<M>,
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

    fn start<A, P, M>(self, set_up: impl Fn(&A, &Settings) -> Result<P, SetUpError>) -> Result<(), RunError>
    where
        A: Args,
        M: 'static,
        P: SetUp<M>,
    {
        let matches = command::<A>(self.synthetic)?.get_matches();
        let gives_results = |flag| matches.value_source(flag).is_some();
        let records = match self.results_by {
            Some(flag) if gives_results(flag) => Records::Off,
            _ => self.records,
        };
        let Parsed {
            vertex,
            settings,
            own,
        } = Parsed::<A>::of(&matches).unwrap_or_else(|error| error.exit());
        let set_up = |settings| match set_up(&own, settings) {
            Ok(parts) => Ok(parts.into_parts()),
            Err(error) => Err(RunError::SetUp(error)),
        };
        let Some(vertex) = vertex else {
            vertex::outlive_signals().map_err(RunError::Worker)?;
            let (work, _, clean_up) = set_up(&settings)?;
            let _at_end = AtEnd(Some(clean_up));
            return serve_pool(&settings, work);
        };
        if let Some(note) = settings.without_effect() {
            tracing::warn!("{note}");
        }
        let cores = vertex::machine::cores();
        settings.raise_descriptor_limit(cores)?;
        let (work, make, clean_up) = set_up(&settings)?;
        // Outlives the runtime, and with it all tasks and child processes.
        let _at_end = AtEnd(Some(clean_up));
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
            let reducers = reducers(&settings, records, work, make, worker_command()?)?;
            serve(&vertex, &settings.of_record(cores), reducers).await
        })
    }
}

/// Runs a clean-up when it is dropped.
struct AtEnd(Option<Box<dyn FnOnce()>>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        if let Some(clean_up) = self.0.take() {
            clean_up();
        }
    }
}

#[cfg(test)]
mod tests;
