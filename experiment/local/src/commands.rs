//! Command lines of a trial's processes: settings as flags, and as environment variables for the user's own UDF.

use std::path::Path;

use launcher::Place;
use tokio::process::Command;
use trials::plan::Payloads;
use trials::trial::TrialSettings;
use wire::format_duration;
use wire::settings::Program;

/// Environment variables that our processes inherit. Others could be settings that are not in the plan.
const KEPT: [&str; 11] = [
    "PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "LD_LIBRARY_PATH",
    // Trusted certificates for an endpoint behind TLS.
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NO_COLOR",
    "LOG_FORMAT",
    "RUST_LOG",
    "RUST_BACKTRACE",
];

pub(crate) fn endpoint(binary: &Path, settings: &TrialSettings) -> Command {
    let mut command = ours(binary);
    command.args(["--listen", "127.0.0.1:0"]);
    // All results have been read when it is stopped, so no caller waits for its last answers.
    command.args(["--stop-grace", "0"]);
    add_settings(&mut command, settings, Program::Endpoint);
    command
}

pub(crate) fn generator(
    binary: &Path,
    settings: &TrialSettings,
    count: u64,
    payloads: Option<&Payloads>,
    place: &Place,
) -> Command {
    let mut command = ours(binary);
    command
        .args(["--stats-listen", "127.0.0.1:0"])
        .args(["--count", &count.to_string()])
        .args(["--align", &format_duration(settings.window)]);
    add_settings(&mut command, settings, Program::Generator);
    match payloads {
        Some(Payloads::File { path, key_pointer }) => {
            command.arg("--payloads").arg(path);
            let pointer = key_pointer.iter();
            command.args(pointer.map(|pointer| format!("--key-pointer={pointer}")));
        }
        Some(Payloads::Template(text)) => {
            command.arg(format!("--payload-template={text}"));
        }
        None => {}
    }
    command.envs(place.variables());
    command
}

pub(crate) fn sink(binary: &Path, place: &Place) -> Command {
    let mut command = ours(binary);
    command.envs(place.variables());
    command
}

pub(crate) fn udf(
    binary: &Path,
    settings: &TrialSettings,
    endpoint_url: &str,
    ca_file: Option<&Path>,
    place: &Place,
) -> Command {
    let mut command = ours(binary);
    if let Some(file) = ca_file {
        command.arg("--ca-file").arg(file);
    }
    add_settings(&mut command, settings, Program::Udf);
    command.arg(format!("--endpoint-url={endpoint_url}"));
    command.arg("--result-format=record");
    command.envs(place.variables());
    command
}

/// The user's own UDF, started by a shell with its settings in environment variables.
pub(crate) fn user_udf(
    line: &str,
    settings: &TrialSettings,
    endpoint_url: &str,
    ca_file: Option<&Path>,
    place: &Place,
) -> Command {
    let mut command = Command::new("sh");
    if let Some(file) = ca_file {
        // Most TLS libraries read it.
        command.env("SSL_CERT_FILE", file);
    }
    command
        .args(["-c", line])
        .envs(
            settings
                .of_program(Program::Udf)
                .map(|(setting, text)| (setting.env, text)),
        )
        .env("ENDPOINT_URL", endpoint_url)
        .env("RESULT_FORMAT", "record")
        .env("STOP_ON_STDIN_CLOSE", "true")
        .envs(place.variables());
    command
}

fn ours(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    command.env_clear().env("RUST_LOG", "warn");
    command.envs(
        KEPT.iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?))),
    );
    command.arg("--stop-on-stdin-close");
    command
}

/// Adds the flags of all settings of the program.
fn add_settings(command: &mut Command, settings: &TrialSettings, program: Program) {
    for (setting, text) in settings.of_program(program) {
        command.arg(format!("--{}={text}", setting.flag()));
    }
}
