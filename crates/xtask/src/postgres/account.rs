//! Who runs the throw-away server: ourselves, or `nobody` when we are root, whom `initdb` refuses.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use tempfile::TempDir;

/// The account of a throw-away server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// We are an ordinary user.
    Ourselves,
    /// We are root and step down.
    Nobody {
        /// user id
        uid: u32,
        /// group id
        gid: u32,
    },
}

impl Account {
    /// The account that this process must use.
    pub fn current() -> Self {
        if rustix::process::geteuid().is_root() {
            Self::nobody()
        } else {
            Self::Ourselves
        }
    }

    /// `nobody`, as the machine's account file has it.
    pub fn nobody() -> Self {
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let (uid, gid) = nobody_of(&passwd).unwrap_or((65_534, 65_534));
        Self::Nobody { uid, gid }
    }

    /// Makes the command run under this account (the supplementary groups are dropped with the user id).
    pub fn apply(self, command: &mut Command) {
        if let Self::Nobody { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
    }

    /// Gives the path to this account.
    pub fn own(self, path: &Path) -> anyhow::Result<()> {
        if let Self::Nobody { uid, gid } = self {
            chown(path, Some(uid), Some(gid))
                .with_context(|| format!("could not give {} away", path.display()))?;
        }
        Ok(())
    }

    /// Whether this account can reach what lies in the folder.
    pub fn can_enter(self, folder: &Path) -> bool {
        match self {
            Self::Ourselves => true,
            Self::Nobody { uid, .. } => folder.ancestors().all(|step| match std::fs::metadata(step) {
                Ok(found) => found.mode() & 0o001 != 0 || (found.uid() == uid && found.mode() & 0o100 != 0),
                // What does not exist yet will be made by us; an empty path is the end of a relative one.
                Err(_) => true,
            }),
        }
    }

    /// A new private folder that this account owns, can enter, and that goes away with the guard.
    pub fn temporary_folder(self, name: &str) -> anyhow::Result<TempDir> {
        let base = [
            std::env::temp_dir(),
            PathBuf::from("/tmp"),
            PathBuf::from("/var/tmp"),
        ]
        .into_iter()
        .find(|base| base.is_dir() && self.can_enter(base))
        .context("no temporary folder that an ordinary user can enter")?;
        let folder = tempfile::Builder::new()
            .prefix(name)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&base)
            .with_context(|| format!("could not make a folder in {}", base.display()))?;
        self.own(folder.path())?;
        Ok(folder)
    }
}

/// Ids are read as signed: macOS writes -2.
fn nobody_of(passwd: &str) -> Option<(u32, u32)> {
    let line = passwd.lines().find(|line| line.starts_with("nobody:"))?;
    let mut ids = line.split(':').skip(2).map(|id| id.parse::<i64>().ok());
    let (uid, gid) = (ids.next()??, ids.next()??);
    Some((
        u32::try_from(uid & 0xffff_ffff).ok()?,
        u32::try_from(gid & 0xffff_ffff).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_read_from_the_account_file() {
        let linux =
            "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
        assert_eq!(nobody_of(linux), Some((65_534, 65_534)));
        assert_eq!(
            nobody_of("nobody:*:-2:-2:Unprivileged\n"),
            Some((4_294_967_294, 4_294_967_294))
        );
        assert_eq!(nobody_of("root:x:0:0::/:/bin/sh\n"), None);
    }

    #[test]
    fn a_private_folder_cannot_be_entered_by_nobody() {
        let folder = Account::Ourselves.temporary_folder("account-test-").unwrap();
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        let nobody = Account::Nobody {
            uid: 4_000_000,
            gid: 4_000_000,
        };
        assert!(!nobody.can_enter(&inner));
        assert!(Account::Ourselves.can_enter(&inner));
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
        std::fs::set_permissions(&inner, Permissions::from_mode(0o711)).unwrap();
        assert_eq!(nobody.can_enter(&inner), nobody.can_enter(&std::env::temp_dir()));
    }
}
