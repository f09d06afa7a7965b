//! The settings of a trial as the flags of its processes, and as the environment of a UDF that is not ours.

use std::path::{Path, PathBuf};

use tokio::process::Command;
use trials::udf_settings::udf_settings;
use wire::format_duration;

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

/// Where a vertex serves.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Its Unix socket.
    pub socket: PathBuf,
    /// Its server-info file.
    pub server_info: PathBuf,
}

impl Place {
    /// In a folder, under a short name: a socket's path has room for a hundred bytes.
    pub fn within(folder: &Path, name: &str) -> Self {
        Self {
            socket: folder.join(name),
            server_info: folder.join(format!("{name}-info")),
        }
    }
}

/// The endpoint's command.
pub(super) fn endpoint(binary: &Path, settings: &TrialSettings) -> Command {
    let mut command = ours(binary);
    command
        .args(["--listen", "127.0.0.1:0"])
        .args(["--seed", &settings.seed.to_string()]);
    // When it is stopped everything has been read: nobody waits for its last answers.
    command.args(["--stop-grace", "0"]);
    if let Some(capacity) = settings.capacity {
        command.args(["--capacity", &capacity.to_string()]);
    }
    if settings.fail_status > 0.0 {
        command.args(["--fail-status", &settings.fail_status.to_string()]);
    }
    command
}

/// The generator's command.
pub(super) fn generator(binary: &Path, settings: &TrialSettings, count: u64, place: &Place) -> Command {
    let mut command = ours(binary);
    command
        .args(["--stats-listen", "127.0.0.1:0"])
        .args(["--rpu", &settings.rpu.to_string()])
        .args(["--keys", &settings.keys.to_string()])
        .args(["--key-skew", &settings.key_skew.to_string()])
        .args(["--payload-size", &settings.payload_size.to_string()])
        .args(["--count", &count.to_string()])
        .args(["--seed", &settings.seed.to_string()])
        .args(["--align", &format_duration(settings.window)]);
    serve(&mut command, place);
    command
}

/// The sink's command.
pub(super) fn sink(binary: &Path, place: &Place) -> Command {
    let mut command = ours(binary);
    serve(&mut command, place);
    command
}

/// Our UDF's command.
pub(super) fn udf(binary: &Path, settings: &TrialSettings, endpoint_url: &str, place: &Place) -> Command {
    let mut command = ours(binary);
    for (name, value) in udf_settings(settings, endpoint_url) {
        command.arg(format!(
            "--{}={value}",
            name.to_ascii_lowercase().replace('_', "-")
        ));
    }
    if settings.cpu_offload {
        command.arg("--cpu-offload");
    }
    command.arg("--result-format=record");
    serve(&mut command, place);
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
        .envs(udf_settings(settings, endpoint_url))
        .env("CPU_OFFLOAD", settings.cpu_offload.to_string())
        .env("RESULT_FORMAT", "record")
        .env("STOP_ON_STDIN_CLOSE", "true")
        .env("SOCKET", &place.socket)
        .env("SERVER_INFO", &place.server_info);
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

fn serve(command: &mut Command, place: &Place) {
    command
        .arg("--socket")
        .arg(&place.socket)
        .arg("--server-info")
        .arg(&place.server_info);
}
