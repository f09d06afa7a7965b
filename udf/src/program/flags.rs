//! The command line of a program: its flags beside the library's, in the process that serves and in its workers.

use std::ffi::OsString;
use std::path::Path;

use clap::{ArgMatches, Args, Command, FromArgMatches};
use vertex::VertexArgs;

use crate::run::RunError;
use crate::settings::{Settings, SettingsError};
use crate::strategy::WorkerCommand;

/// The subcommand of a worker process.
pub(super) const WORKER: &str = "worker";

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

/// What a command line says.
pub(super) struct Parsed<A> {
    /// `None` in a worker process.
    pub(super) vertex: Option<VertexArgs>,
    pub(super) settings: Settings,
    pub(super) own: A,
}

impl<A: Args> Parsed<A> {
    pub(super) fn of(matches: &ArgMatches) -> Result<Self, clap::Error> {
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
pub(super) fn name() -> String {
    let path = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&path).file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The command line of a program with these flags, whose calls are `synthetic` or its own.
///
/// # Errors
/// Returns an error if one of them is the library's too.
pub(super) fn command<A: Args>(synthetic: bool) -> Result<Command, SettingsError> {
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
pub(super) fn worker_command() -> Result<WorkerCommand, RunError> {
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
pub(super) fn worker_args(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
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
