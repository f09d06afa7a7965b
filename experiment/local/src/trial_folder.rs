//! The folder for the sockets of a trial. It has a file that its owner keeps locked, so that the next run can remove the
//! folder of one that was killed: the system releases a lock with the process.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tempfile::TempDir;

use crate::error::LocalError;
use crate::pipeline::places;

const PREFIX: &str = "ar-";

/// Locked while the owner lives.
const LOCK: &str = "owner";

/// Removed when dropped.
#[derive(Debug)]
pub(crate) struct TrialFolder {
    folder: TempDir,
    _lock: File,
}

impl TrialFolder {
    /// # Errors
    /// Returns an error if the folder for temporary files is not writable or its path is too long.
    pub fn create() -> Result<Self, LocalError> {
        let parent = std::env::temp_dir();
        let error = |source| LocalError::Folder {
            parent: parent.clone(),
            source,
        };
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir().map_err(error)?;
        places(folder.path()).map_err(|_| LocalError::FolderTooLong {
            parent: parent.clone(),
        })?;
        let lock = lock(folder.path()).map_err(error)?;
        Ok(Self { folder, _lock: lock })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Renamed once it is locked: a file of this name without a lock has a dead owner.
fn lock(folder: &Path) -> io::Result<File> {
    let unlocked = folder.join("owner.new");
    let file = File::create_new(&unlocked)?;
    file.try_lock()?;
    fs::rename(&unlocked, folder.join(LOCK))?;
    Ok(file)
}

/// Removes folders in `parent` that killed runs of this user left behind. One that cannot be removed stays.
pub(crate) fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) && is_left_behind(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether it is a folder of this user with an owner's file that nobody has locked.
fn is_left_behind(folder: &Path) -> bool {
    let ours = fs::symlink_metadata(folder)
        .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw());
    ours && File::open(folder.join(LOCK)).is_ok_and(|file| file.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_dead_owners_are_removed() {
        let parent = tempfile::tempdir().unwrap();
        let folder = |name: &str, lock: Option<&str>| {
            let folder = parent.path().join(name);
            fs::create_dir(&folder).unwrap();
            if let Some(lock) = lock {
                fs::write(folder.join(lock), "").unwrap();
            }
            folder
        };
        let dead = folder("ar-dead", Some(LOCK));
        fs::write(dead.join("udf-info"), "").unwrap();
        let kept = [
            folder("ar-starting", Some("owner.new")),
            folder("ar-somebodys", None),
            folder("other", Some(LOCK)),
            folder("ar-running", None),
        ];
        let _running = lock(&kept[3]).unwrap();
        sweep(parent.path());
        assert!(!dead.exists());
        for folder in kept {
            assert!(folder.exists(), "{}", folder.display());
        }
    }
}
