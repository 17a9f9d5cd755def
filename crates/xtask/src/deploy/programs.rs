//! Programs that check what they will read one day: installed ones, or from Debian packages unpacked into the cache.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::ground::LIMIT;
use crate::postgres::Account;
use crate::{cache, debian, process};

/// Where programs lie that are not for everybody.
const BEYOND_PATH: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// A program that runs here.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    path: PathBuf,
    libraries: Vec<PathBuf>,
}

impl Program {
    /// The installed one, or that of the Debian package, unpacked.
    pub(crate) fn get(name: &str, package: &str) -> anyhow::Result<Self> {
        if let Some(program) = Self::installed(name) {
            return Ok(program);
        }
        let cache = cache::folder("debian", Account::Ourselves)?;
        let target = cache.join(format!("{}-{package}", debian::release()?));
        if let Some(program) = Self::unpacked(&target, name) {
            return Ok(program);
        }
        debian::unpack(&cache, &target, package)
            .with_context(|| format!("{name} is not installed (Debian: apt-get install {package})"))?;
        Self::unpacked(&target, name).with_context(|| format!("the package {package} has no {name}"))
    }

    /// The installed one, if there is one.
    pub(super) fn installed(name: &str) -> Option<Self> {
        let searched = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&searched)
            .chain(BEYOND_PATH.iter().map(PathBuf::from))
            .map(|folder| folder.join(name))
            .find(|path| path.is_file())
            .map(|path| Self {
                path,
                libraries: Vec::new(),
            })
    }

    fn unpacked(root: &Path, name: &str) -> Option<Self> {
        ["usr/bin", "usr/sbin"]
            .iter()
            .map(|folder| root.join(folder).join(name))
            .find(|path| path.is_file())
            .map(|path| Self {
                path,
                libraries: debian::libraries(root),
            })
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A command that runs it.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        if !self.libraries.is_empty()
            && let Ok(path) = std::env::join_paths(&self.libraries)
        {
            command.env("LD_LIBRARY_PATH", path);
        }
        command
    }

    /// Lets a script find it: puts its folder first on the command's path.
    pub(crate) fn offer_to(&self, command: &mut Command) -> anyhow::Result<()> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let own = self.path.parent().map(Path::to_path_buf);
        command.env(
            "PATH",
            std::env::join_paths(own.into_iter().chain(std::env::split_paths(&path)))?,
        );
        if !self.libraries.is_empty() {
            command.env("LD_LIBRARY_PATH", std::env::join_paths(&self.libraries)?);
        }
        Ok(())
    }

    /// The version in the first line of what it says of itself.
    pub(super) fn version(&self, argument: &str) -> String {
        let said = process::capture(self.command().arg(argument), LIMIT).unwrap_or_default();
        said.lines()
            .next()
            .unwrap_or_default()
            .split(|character: char| character.is_whitespace() || character == '/')
            .find(|word| {
                word.trim_start_matches('v')
                    .starts_with(|character: char| character.is_ascii_digit())
            })
            .map_or_else(|| "?".to_owned(), |word| word.trim_end_matches(',').to_owned())
    }
}
