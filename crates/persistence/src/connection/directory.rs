//! The data directory of SQLite: made for us alone, and used by one process at a time.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use super::ConnectError;

/// The file whose lock says that the directory is in use. It stays when the process ends; the lock does not.
const LOCK_FILE: &str = "postrider.lock";
/// The database. SQLite gives its companions (`-wal`, `-shm`) the same permissions.
const DATABASE_FILE: &str = "postrider.sqlite3";

/// A data directory that is ours for as long as this lives.
#[derive(Debug)]
pub(super) struct DataDirectory {
    database: PathBuf,
    /// None: another process has it, and we are its guest.
    lock: Option<File>,
}

impl DataDirectory {
    /// Makes the directory if need be, locks it, and makes sure that the database is for our eyes only. A directory
    /// that another process has locked is refused, unless we are content to be its `guest`.
    ///
    /// Blocks for a few system calls; called once, at start.
    pub(super) fn open(path: &Path, guest: bool) -> Result<Self, ConnectError> {
        let refused = |source| ConnectError::Directory {
            path: path.to_owned(),
            source,
        };
        if !path.is_dir() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(refused)?;
        }
        let lock = private_file(&path.join(LOCK_FILE)).map_err(refused)?;
        let lock = match lock.try_lock() {
            Ok(()) => Some(lock),
            Err(TryLockError::WouldBlock) if guest => None,
            Err(TryLockError::WouldBlock) => {
                return Err(ConnectError::Locked {
                    path: path.to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(refused(source)),
        };
        let database = path.join(DATABASE_FILE);
        drop(private_file(&database).map_err(refused)?);
        fs::set_permissions(&database, Permissions::from_mode(0o600)).map_err(refused)?;
        Ok(Self { database, lock })
    }

    /// Whether another process serves from it.
    pub(super) fn is_guest(&self) -> bool {
        self.lock.is_none()
    }

    /// Where the database is.
    pub(super) fn database(&self) -> &Path {
        &self.database
    }

    /// Lets another process in.
    pub(super) fn release(self) {
        // Closing the file ends the lock as well; unlocking first says so, and a failure changes nothing.
        if let Some(lock) = self.lock {
            let _ = lock.unlock();
        }
    }
}

fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}
