//! The settings of a trial as the flags of its processes, and as the environment of a UDF that is not ours.

use std::path::Path;

use launcher::Place;
use tokio::process::Command;
use wire::format_duration;
use wire::settings::Program;

use trials::trial::TrialSettings;

/// Environment that our processes keep; anything else could hold settings that the plan does not know of.
const KEPT: [&str; 11] = [
    "PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "LD_LIBRARY_PATH",
    // Whom an endpoint behind TLS is believed by.
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NO_COLOR",
    "LOG_FORMAT",
    "RUST_LOG",
    "RUST_BACKTRACE",
];

/// The endpoint's command.
pub(super) fn endpoint(binary: &Path, settings: &TrialSettings) -> Command {
    let mut command = ours(binary);
    command.args(["--listen", "127.0.0.1:0"]);
    // When it is stopped everything has been read: nobody waits for its last answers.
    command.args(["--stop-grace", "0"]);
    set(&mut command, settings, Program::Endpoint);
    command
}

/// The generator's command.
pub(super) fn generator(binary: &Path, settings: &TrialSettings, count: u64, place: &Place) -> Command {
    let mut command = ours(binary);
    command
        .args(["--stats-listen", "127.0.0.1:0"])
        .args(["--count", &count.to_string()])
        .args(["--align", &format_duration(settings.window)]);
    set(&mut command, settings, Program::Generator);
    command.envs(place.variables());
    command
}

/// The sink's command.
pub(super) fn sink(binary: &Path, place: &Place) -> Command {
    let mut command = ours(binary);
    command.envs(place.variables());
    command
}

/// Our UDF's command.
pub(super) fn udf(binary: &Path, settings: &TrialSettings, endpoint_url: &str, place: &Place) -> Command {
    let mut command = ours(binary);
    set(&mut command, settings, Program::Udf);
    command.arg(format!("--endpoint-url={endpoint_url}"));
    command.arg("--result-format=record");
    command.envs(place.variables());
    command
}

/// The command of a UDF that is not ours, for a shell; it is told its settings by environment variables.
pub(super) fn foreign_udf(
    line: &str,
    settings: &TrialSettings,
    endpoint_url: &str,
    place: &Place,
) -> Command {
    let mut command = Command::new("sh");
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

/// Adds the flag of every setting that the program takes.
fn set(command: &mut Command, settings: &TrialSettings, program: Program) {
    for (setting, text) in settings.of_program(program) {
        command.arg(format!("--{}={text}", setting.flag()));
    }
}
