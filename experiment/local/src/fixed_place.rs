//! Where a UDF serves that does not let its paths be chosen, as Numaflow's SDKs do by default. Claimed for a whole run, and
//! cleared before and after each trial, so that what another process left is not taken for a UDF that is ready.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};

use launcher::Place;

/// A server-info file has a few hundred bytes.
const LONGEST_INFO: u64 = 64 * 1024;

/// Why a UDF cannot serve at its fixed paths.
#[derive(Debug, thiserror::Error)]
pub enum FixedPlaceError {
    #[error("--udf-socket: `{}` is too long for the path of a Unix socket", .0.display())]
    TooLong(PathBuf),
    #[error("{flag}: the folder `{}` is not there: create it and let this user write in it", folder.display())]
    NoFolder { flag: &'static str, folder: PathBuf },
    #[error("{flag}: cannot create a file in `{}`, as the UDF must: {source}", folder.display())]
    Folder {
        flag: &'static str,
        folder: PathBuf,
        source: io::Error,
    },
    #[error("--udf-socket: another run uses the folder `{}`: wait for its end", .0.display())]
    Claimed(PathBuf),
    #[error("--udf-socket: another process serves on `{}`: end it first", .0.display())]
    Taken(PathBuf),
    /// It is left as it is.
    #[error("{flag}: `{}` is there and is no {kind}: name the path at which the UDF makes its own", path.display())]
    Foreign {
        flag: &'static str,
        path: PathBuf,
        kind: &'static str,
    },
    #[error("{flag}: cannot remove `{}`, which an earlier process left: {source}", path.display())]
    Stuck {
        flag: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

/// The fixed paths, which no other run uses while this lives.
#[derive(Debug)]
pub struct FixedPlace {
    place: Place,
    _lock: File,
}

/// The paths without files; those that a trial leaves there are removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Cleared<'a>(&'a Place);

impl FixedPlace {
    /// Claims the paths for this run.
    ///
    /// # Errors
    /// Returns an error if the UDF cannot serve there.
    pub fn claim(place: &Place) -> Result<Self, FixedPlaceError> {
        let Place { socket, server_info } = place;
        if SocketAddr::from_pathname(socket).is_err() {
            return Err(FixedPlaceError::TooLong(socket.clone()));
        }
        let folder = writable("--udf-socket", socket)?;
        writable("--udf-server-info", server_info)?;
        let failed = |source| FixedPlaceError::Folder {
            flag: "--udf-socket",
            folder: folder.to_owned(),
            source,
        };
        let lock = File::open(folder).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FixedPlaceError::Claimed(folder.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let claimed = Self {
            place: place.clone(),
            _lock: lock,
        };
        claimed.clear()?;
        Ok(claimed)
    }

    pub(crate) const fn place(&self) -> &Place {
        &self.place
    }

    /// Removes what an earlier UDF left at the paths.
    ///
    /// # Errors
    /// Returns an error if a process serves there, or if there is something that no UDF has made.
    pub(crate) fn clear(&self) -> Result<Cleared<'_>, FixedPlaceError> {
        let socket = &self.place.socket;
        if UnixStream::connect(socket).is_ok() {
            return Err(FixedPlaceError::Taken(socket.clone()));
        }
        remove(&self.place)?;
        Ok(Cleared(&self.place))
    }
}

impl Drop for Cleared<'_> {
    fn drop(&mut self) {
        // What is left is removed, or named, before the next trial.
        let _ = remove(self.0);
    }
}

/// The folder of a path, in which this user may create files.
fn writable<'a>(flag: &'static str, path: &'a Path) -> Result<&'a Path, FixedPlaceError> {
    let folder = match path.parent() {
        None => Path::new("/"),
        Some(here) if here.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
    };
    match tempfile::NamedTempFile::new_in(folder) {
        Ok(_) => Ok(folder),
        Err(_) if !folder.is_dir() => Err(FixedPlaceError::NoFolder {
            flag,
            folder: folder.to_owned(),
        }),
        Err(source) => Err(FixedPlaceError::Folder {
            flag,
            folder: folder.to_owned(),
            source,
        }),
    }
}

fn remove(place: &Place) -> Result<(), FixedPlaceError> {
    let Place { socket, server_info } = place;
    remove_if("--udf-socket", socket, "socket", |path| {
        Ok(fs::symlink_metadata(path)?.file_type().is_socket())
    })?;
    remove_if("--udf-server-info", server_info, "server-info file", |path| {
        let metadata = fs::symlink_metadata(path)?;
        let text = match metadata.is_file() && metadata.len() <= LONGEST_INFO {
            true => fs::read_to_string(path)?,
            false => return Ok(false),
        };
        // A UDF that was killed may have written a part of it.
        Ok(text.is_empty() || text.contains("\"protocol\""))
    })
}

/// Removes a file that is one of ours, if it is there.
fn remove_if(
    flag: &'static str,
    path: &Path,
    kind: &'static str,
    is_one: impl Fn(&Path) -> io::Result<bool>,
) -> Result<(), FixedPlaceError> {
    let removed = match is_one(path) {
        Ok(true) => fs::remove_file(path),
        Ok(false) => {
            return Err(FixedPlaceError::Foreign {
                flag,
                path: path.to_owned(),
                kind,
            });
        }
        Err(error) => Err(error),
    };
    match removed {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(FixedPlaceError::Stuck {
            flag,
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    const INFO: &str = r#"{"protocol":"uds","language":"go"}U+005C__END__"#;

    fn place(folder: &Path) -> Place {
        Place {
            socket: folder.join("reduce.sock"),
            server_info: folder.join("reducer-server-info"),
        }
    }

    fn refusal(place: &Place) -> String {
        FixedPlace::claim(place).unwrap_err().to_string()
    }

    #[test]
    fn what_a_udf_left_is_removed_before_and_after() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        let leave = |info: &str| {
            drop(UnixListener::bind(&place.socket).unwrap());
            fs::write(&place.server_info, info).unwrap();
        };
        let is_empty = || fs::read_dir(folder.path()).unwrap().next().is_none();
        leave(INFO);
        let claimed = FixedPlace::claim(&place).unwrap();
        assert!(is_empty());
        for info in [INFO, "", r#"{"protocol":"#] {
            leave(info);
            let cleared = claimed.clear().unwrap();
            assert!(is_empty(), "{info}");
            leave(info);
            drop(cleared);
            assert!(is_empty(), "{info}");
        }
        drop(claimed.clear().unwrap());
    }

    #[test]
    fn what_no_udf_made_stays_and_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        fs::write(&place.socket, "").unwrap();
        let refused = refusal(&place);
        assert!(
            refused.starts_with("--udf-socket: `") && refused.contains("is no socket"),
            "{refused}"
        );
        fs::remove_file(&place.socket).unwrap();
        for text in ["name: plan", &INFO.repeat(2_000)] {
            fs::write(&place.server_info, text).unwrap();
            let refused = refusal(&place);
            assert!(
                refused.starts_with("--udf-server-info: `") && refused.contains("is no server-info file"),
                "{refused}"
            );
            assert_eq!(fs::read_to_string(&place.server_info).unwrap(), text);
        }
    }

    #[test]
    fn paths_at_which_no_udf_can_serve_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        let claimed = FixedPlace::claim(&place).unwrap();
        assert!(refusal(&place).contains("another run uses the folder"));
        let listener = UnixListener::bind(&place.socket).unwrap();
        let taken = claimed.clear().unwrap_err().to_string();
        assert!(taken.contains("another process serves on"), "{taken}");
        drop((claimed, listener));

        let absent = Place {
            socket: folder.path().join("absent/reduce.sock"),
            ..place.clone()
        };
        let refused = refusal(&absent);
        assert!(
            refused.starts_with("--udf-socket: the folder `") && refused.contains("/absent` is not there"),
            "{refused}"
        );
        let no_rights = Place {
            server_info: PathBuf::from("/proc/reducer-server-info"),
            ..place.clone()
        };
        let refused = refusal(&no_rights);
        assert!(
            refused.starts_with("--udf-server-info: cannot create a file in `/proc`"),
            "{refused}"
        );
        let long = Place {
            socket: folder.path().join("x".repeat(120)),
            ..place
        };
        assert!(refusal(&long).contains("too long"));
    }
}
