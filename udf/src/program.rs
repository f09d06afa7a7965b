//! The entry point of a program: its own flags beside the library's, in the process that serves and in the workers of
//! its process pool.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;

use clap::{ArgMatches, Args, Command, FromArgMatches};
use numaflow::reduce;
use tokio::runtime;
use vertex::VertexArgs;

use crate::aggregate::{Aggregate, MakeAggregate};
use crate::run::{RunError, reducers, serve, serve_pool};
use crate::settings::{Records, Settings, SettingsError};
use crate::strategy::{Work, WorkerCommand};

/// The subcommand of a worker process.
const WORKER: &str = "worker";

/// Flags with a value that concern only the serving process.
const SERVER_FLAGS: [&str; 4] = ["--socket", "--server-info", "--stats-listen", "--stop-grace"];

/// Settings that say what the calls of the shipped UDF do. A program of one's own has them for the record alone, so that the
/// experiment can pass what it passes to any UDF.
const OF_SHIPPED_CALLS: [&str; 5] = [
    "workload",
    "io_delay",
    "cpu_offload",
    "exec_type",
    "result_format",
];

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
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
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

/// What a command line says.
struct Parsed<A> {
    /// `None` in a worker process.
    vertex: Option<VertexArgs>,
    settings: Settings,
    own: A,
}

impl<A: Args> Parsed<A> {
    fn of(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let (vertex, matches) = match matches.subcommand_matches(WORKER) {
            Some(matches) => (None, matches),
            None => (Some(VertexArgs::from_arg_matches(matches)?), matches),
        };
        Ok(Self {
            vertex,
            settings: Settings::from_arg_matches(matches)?,
            own: A::from_arg_matches(matches)?,
        })
    }
}

/// The name of this program's file.
fn name() -> String {
    let path = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&path).file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The command line of a program with these flags, whose calls are `synthetic` or its own.
///
/// # Errors
/// Returns an error if one of them is the library's too.
fn command<A: Args>(synthetic: bool) -> Result<Command, SettingsError> {
    let heading = (!synthetic).then_some("Options of the library");
    let library = || {
        let command = Command::new("udf").next_help_heading(heading);
        let command = Settings::augment_args(VertexArgs::augment_args(command));
        let hidden = |id: &str| !synthetic && OF_SHIPPED_CALLS.contains(&id);
        command
            .mut_args(|arg| match hidden(arg.get_id().as_str()) {
                true => arg.hide(true),
                false => arg,
            })
            .next_help_heading(None::<&str>)
    };
    let own = A::augment_args(Command::new("own"));
    if let Some(flag) = collision(&library(), &own) {
        return Err(SettingsError::Collision(flag));
    }
    // The flags of the library have descriptions of their own, which are not the program's.
    let plain = |command: Command| command.about(None::<&str>).long_about(None::<&str>);
    let worker = Settings::augment_args(Command::new(WORKER));
    let worker = A::augment_args(worker)
        .version(None::<&str>)
        .after_help(None::<&str>)
        .long_about(None::<&str>)
        .about("Serve a process pool on standard input and output; started by the UDF itself");
    let name = name();
    Ok(A::augment_args(plain(library()))
        .bin_name(&name)
        .display_name(&name)
        .args_conflicts_with_subcommands(true)
        .subcommand(worker))
}

/// The first flag, environment variable or name of a value that both have.
fn collision(library: &Command, own: &Command) -> Option<String> {
    let names = |command: &Command| -> Vec<String> {
        let all = command.get_arguments().flat_map(|arg| {
            let longs = arg.get_long_and_visible_aliases().unwrap_or_default();
            let longs = longs.into_iter().map(|long| format!("--{long}"));
            let shorts = arg.get_short_and_visible_aliases().unwrap_or_default();
            let shorts = shorts.into_iter().map(|short| format!("-{short}"));
            let env = arg.get_env().map(|env| env.to_string_lossy().into_owned());
            let id = Some(arg.get_id().to_string());
            longs.chain(shorts).chain(env).chain(id).collect::<Vec<_>>()
        });
        all.collect()
    };
    let library = names(library);
    names(own).into_iter().find(|name| library.contains(name))
}

/// The command that starts this program, with the same settings, as a worker.
fn worker_command() -> Result<WorkerCommand, RunError> {
    let program = std::env::current_exe().map_err(RunError::OwnPath)?;
    let args = std::env::args_os()
        .skip(1)
        .filter(|arg| arg != "--stop-on-stdin-close");
    Ok(WorkerCommand {
        program,
        args: std::iter::once(WORKER.into()).chain(worker_args(args)).collect(),
    })
}

/// Removes [`SERVER_FLAGS`] and their values.
fn worker_args(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
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

    /// Scores payments
    #[derive(Debug, Args)]
    #[command(version = "7.8.9")]
    struct Own {
        /// Where
        #[arg(long, short = 'u')]
        url: String,
    }

    #[test]
    fn a_programs_flags_stand_beside_the_librarys_in_both_kinds_of_process() {
        for (worker, is_server) in [(&[] as &[&str], true), (&[WORKER], false)] {
            let flags = ["--url", "http://e", "--strategy", "thread-pool", "--retries", "2"];
            let args = ["score"].iter().chain(worker).chain(&flags);
            let matches = command::<Own>(false).unwrap().try_get_matches_from(args).unwrap();
            let parsed = Parsed::<Own>::of(&matches).unwrap();
            assert_eq!(parsed.own.url, "http://e");
            assert_eq!((parsed.settings.retries, parsed.vertex.is_some()), (2, is_server));
        }
        let mut command = command::<Own>(false).unwrap();
        assert!(command.render_version().to_string().ends_with(" 7.8.9\n"));
        let help = command.render_help().to_string();
        assert!(help.starts_with("Scores payments\n"), "{help}");
        let (own, of_library) = help.split_once("Options of the library:").unwrap();
        assert!(own.contains("--url") && own.contains("--version"), "{help}");
        for flag in ["--strategy", "--socket", "--records"] {
            assert!(of_library.contains(flag), "{flag}: {help}");
        }
        assert!(!help.contains("--workload"), "{help}");
    }

    #[test]
    fn a_flag_that_the_library_has_is_refused() {
        #[derive(Args)]
        struct Long {
            #[arg(long = "timeout")]
            _mine: Option<String>,
        }
        #[derive(Args)]
        struct Env {
            #[arg(long, env = "MAX_WORKERS")]
            _mine: Option<String>,
        }
        #[derive(Args)]
        struct Id {
            #[arg(long = "mine")]
            strategy: Option<String>,
        }
        let said = |command: Result<Command, SettingsError>| command.unwrap_err().to_string();
        assert_eq!(
            said(command::<Long>(false)),
            "`--timeout` is the library's and the program's: give the program's another name"
        );
        assert!(said(command::<Env>(false)).starts_with("`MAX_WORKERS` is"));
        assert!(said(command::<Id>(false)).starts_with("`strategy` is"));
        let _ = Id { strategy: None }.strategy;
    }
}
