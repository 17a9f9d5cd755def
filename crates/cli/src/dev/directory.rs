//! Where `dev` keeps its data: a directory that is marked as its own, which `serve` refuses.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::DevError;

/// Marks a directory whose contents are for trying out: its receiver is on loopback, its credentials lie beside it.
const MARKER: &str = ".postrider-dev";

/// Where `dev` keeps its data.
pub(crate) enum Directory {
    /// Kept.
    Kept(PathBuf),
    /// Removed at the end.
    Temporary(TempDir),
}

impl Directory {
    /// A kept directory, made if absent; refuses one that holds something else.
    pub(crate) fn kept(path: PathBuf) -> Result<Self, DevError> {
        let told = |error: &io::Error| {
            DevError::Directory(format!(
                "the directory {} is not writable ({error}); choose another with --data-dir",
                path.display()
            ))
        };
        fs::create_dir_all(&path).map_err(|error| told(&error))?;
        let marker = path.join(MARKER);
        if !marker.exists() {
            if fs::read_dir(&path)
                .map_err(|error| told(&error))?
                .next()
                .is_some()
            {
                return Err(DevError::Directory(format!(
                    "{} is not empty and was not made by `postrider dev`; choose another with --data-dir",
                    path.display()
                )));
            }
            fs::write(
                &marker,
                "Made by `postrider dev`; `postrider serve` refuses it.\n",
            )
            .map_err(|error| told(&error))?;
        }
        // A directory that was ours may have become read-only.
        tempfile::tempfile_in(&path).map_err(|error| told(&error))?;
        Ok(Self::Kept(path))
    }

    /// A directory that is gone afterwards.
    pub(crate) fn temporary() -> Result<Self, DevError> {
        TempDir::with_prefix("postrider-dev-")
            .map(Self::Temporary)
            .map_err(|error| {
                DevError::Directory(format!(
                    "no temporary directory can be made ({error}); set TMPDIR to a writable one"
                ))
            })
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(directory) => directory.path(),
        }
    }
}

/// `serve` must not run on what `dev` made: its credentials lie in the open and loopback is allowed.
pub(crate) fn refuse_dev_directory(path: &Path) -> Result<(), DevError> {
    if path.join(MARKER).exists() {
        return Err(DevError::Directory(format!(
            "{} was made by `postrider dev` and is for trying out only; set database.directory to another",
            path.display()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_made_found_again_and_refused_by_serve() {
        let parent = TempDir::new().unwrap();
        let path = parent.path().join("a/b");
        assert!(Directory::kept(path.clone()).is_ok());
        assert!(Directory::kept(path.clone()).is_ok());
        assert!(refuse_dev_directory(&path).is_err());
        assert!(refuse_dev_directory(parent.path()).is_ok());
    }

    #[test]
    fn somebody_elses_directory_is_left_alone() {
        let directory = TempDir::new().unwrap();
        fs::write(directory.path().join("thesis.txt"), "x").unwrap();
        assert!(Directory::kept(directory.path().to_owned()).is_err());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
