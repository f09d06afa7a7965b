//! Where a vertex serves. File names are short, because the path of a Unix socket is limited to about a hundred
//! bytes.

use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::{Child, LaunchError};

/// Marks the end of a complete server-info file.
const SERVER_INFO_END: &str = "U+005C__END__";

/// Pause between two checks for readiness.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Socket and server-info file of a vertex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The Unix socket.
    pub socket: PathBuf,
    /// The file that the process writes once it serves.
    pub server_info: PathBuf,
}

impl Place {
    /// `name` and `name-info` in `folder`.
    ///
    /// # Errors
    /// Returns an error if the socket's path is too long for the system.
    pub fn within(folder: &Path, name: &str) -> Result<Self, LaunchError> {
        let socket = folder.join(name);
        if SocketAddr::from_pathname(&socket).is_err() {
            return Err(LaunchError::PathTooLong(socket));
        }
        Ok(Self {
            socket,
            server_info: folder.join(format!("{name}-info")),
        })
    }

    /// The environment variables that give a vertex its socket and server-info file.
    pub fn variables(&self) -> [(&'static str, &Path); 2] {
        [("SOCKET", &self.socket), ("SERVER_INFO", &self.server_info)]
    }

    /// Whether the server-info file is complete and the socket accepts a connection.
    pub fn is_ready(&self) -> bool {
        let info = std::fs::read_to_string(&self.server_info).unwrap_or_default();
        info.trim_end().ends_with(SERVER_INFO_END) && UnixStream::connect(&self.socket).is_ok()
    }

    /// Waits until `child` serves here.
    ///
    /// # Errors
    /// Returns an error if the child ends before it is ready, or is not ready within `patience`.
    pub async fn ready(&self, child: &mut Child, patience: Duration) -> Result<(), LaunchError> {
        let ready = async {
            while !self.is_ready() {
                sleep(POLL_INTERVAL).await;
            }
        };
        let outcome = timeout(patience, async {
            tokio::select! {
                () = ready => Ok(()),
                death = child.death() => Err(death),
            }
        });
        let outcome = outcome.await;
        outcome.unwrap_or_else(|_| Err(child.not_ready(patience)))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use tokio::process::Command;

    use super::*;
    use crate::Stderr;

    fn cat() -> Child {
        Child::spawn("cat", Command::new("cat"), Stderr::Tail).unwrap()
    }

    #[test]
    fn a_path_longer_than_the_system_allows_is_refused() {
        let folder = Path::new("/tmp").join("x".repeat(120));
        let refused = Place::within(&folder, "source").unwrap_err().to_string();
        assert!(
            refused.contains("/source` (132 bytes)") && refused.contains("too long"),
            "{refused}"
        );
        let place = Place::within(Path::new("/tmp/a"), "udf").unwrap();
        assert_eq!(
            place.variables(),
            [
                ("SOCKET", Path::new("/tmp/a/udf")),
                ("SERVER_INFO", Path::new("/tmp/a/udf-info"))
            ]
        );
    }

    #[tokio::test]
    async fn it_is_ready_when_the_file_is_complete_and_the_socket_accepts() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::within(folder.path(), "v").unwrap();
        assert!(!place.is_ready());
        std::fs::write(&place.server_info, r#"{"protocol":"uds"}"#).unwrap();
        let _listener = UnixListener::bind(&place.socket).unwrap();
        assert!(!place.is_ready(), "half a file");
        let late = place.ready(&mut cat(), Duration::from_millis(20)).await;
        assert_eq!(late.unwrap_err().to_string(), "cat was not ready after 20ms");
        std::fs::write(
            &place.server_info,
            format!("{{\"protocol\":\"uds\"}}{SERVER_INFO_END}"),
        )
        .unwrap();
        place.ready(&mut cat(), Duration::from_secs(20)).await.unwrap();
        std::fs::remove_file(&place.socket).unwrap();
        assert!(!place.is_ready(), "no socket");
    }

    #[tokio::test]
    async fn a_child_that_ends_before_it_is_ready_is_the_error() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::within(folder.path(), "v").unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo 'socket held' >&2; exit 4"]);
        let mut child = Child::spawn("udf", command, Stderr::Tail).unwrap();
        let died = place.ready(&mut child, Duration::from_secs(20)).await;
        assert_eq!(
            died.unwrap_err().to_string(),
            "udf ended unexpectedly (exit status: 4): socket held"
        );
    }
}
