use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use postrider_application::ports::Randomness;
use thiserror::Error;
use zeroize::{Zeroize as _, ZeroizeOnDrop, Zeroizing};

/// Base64 as people paste it: with or without its padding.
const LENIENT_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The longest key file that is read, in bytes; a key is 44 characters.
const MAX_FILE_BYTES: u64 = 256;

/// The key under which stored secrets are sealed: 32 random bytes, wiped from memory when dropped.
#[derive(ZeroizeOnDrop)]
pub struct MasterKey([u8; Self::BYTES]);

/// Why there is no master key. Never shows the key.
#[derive(Debug, Error)]
pub enum MasterKeyError {
    /// The text is no key.
    #[error("a master key is 32 random bytes, written in base64 (44 characters) or hexadecimal (64 digits)")]
    Malformed,
    /// The text in the key file is no key.
    #[error("the master key file {} does not hold 32 bytes in base64 or hexadecimal", .0.display())]
    MalformedFile(PathBuf),
    /// Others than the owner may open the key file.
    #[error(
        "the master key file {} is open to group or others (mode {mode:04o}); restrict it with: chmod 600 {}",
        path.display(), path.display()
    )]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file cannot be read or written.
    #[error("the master key file {} cannot be used", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
}

impl MasterKey {
    /// The bytes of a key.
    pub const BYTES: usize = 32;
    /// The name of the key's file in the data directory.
    pub const FILE_NAME: &'static str = "master.key";

    /// A key of these bytes.
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Parses a key in base64 or hexadecimal; surrounding white space is ignored. Anything else is
    /// [`MasterKeyError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, MasterKeyError> {
        let text = text.trim();
        let mut key = Self([0; Self::BYTES]);
        if text.len() == 2 * Self::BYTES {
            hex::decode_to_slice(text, &mut key.0).map_err(|_| MasterKeyError::Malformed)?;
            return Ok(key);
        }
        // Too short a text is refused below; too long a one is refused by the decoder, for want of room.
        let mut decoded = Zeroizing::new([0; Self::BYTES]);
        match LENIENT_BASE64.decode_slice(text, decoded.as_mut_slice()) {
            Ok(Self::BYTES) => {
                key.0.copy_from_slice(decoded.as_slice());
                Ok(key)
            }
            _ => Err(MasterKeyError::Malformed),
        }
    }

    /// The key in the file `master.key` of `dir`; if there is none, a new one, made durable before it is answered.
    /// Of several processes that start at once, one wins and all answer its key.
    ///
    /// For SQLite only, where key and data live and die together: on PostgreSQL several nodes need the same key.
    /// A file that its group or others may open is refused. Blocks on the file system; call it at start.
    pub fn load_or_create(dir: &Path, randomness: &dyn Randomness) -> Result<Self, MasterKeyError> {
        let path = dir.join(Self::FILE_NAME);
        let loaded = match File::open(&path) {
            Ok(file) => return Self::read(&path, file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create(dir, &path, randomness).and_then(|()| File::open(&path))
            }
            Err(error) => Err(error),
        };
        Self::read(
            &path,
            loaded.map_err(|cause| MasterKeyError::Io {
                path: path.clone(),
                cause,
            })?,
        )
    }

    fn read(path: &Path, file: File) -> Result<Self, MasterKeyError> {
        let io_error = |cause| MasterKeyError::Io {
            path: path.to_owned(),
            cause,
        };
        // Of the opened file, not of the path: it cannot be exchanged in between.
        let mode = file.metadata().map_err(io_error)?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(MasterKeyError::OpenToOthers {
                path: path.to_owned(),
                mode,
            });
        }
        let mut text = Zeroizing::new(String::new());
        match file.take(MAX_FILE_BYTES).read_to_string(&mut text) {
            Ok(_) => Self::parse(&text).map_err(|_| MasterKeyError::MalformedFile(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(MasterKeyError::MalformedFile(path.to_owned()))
            }
            Err(error) => Err(io_error(error)),
        }
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

/// Puts a new key at `path`, whole or not at all: a crash must not leave half a key where the next start looks for
/// one. It is written beside it and then linked, which, unlike renaming, refuses to replace another process's key.
fn create(dir: &Path, path: &Path, randomness: &dyn Randomness) -> io::Result<()> {
    let beside = dir.join(format!(
        ".{}.{}",
        MasterKey::FILE_NAME,
        hex::encode(randomness.bytes::<8>())
    ));
    let mut key = randomness.bytes::<{ MasterKey::BYTES }>();
    let text = Zeroizing::new(format!("{}\n", STANDARD.encode(key)));
    key.zeroize();
    let linked = write_private(&beside, text.as_bytes()).and_then(|()| fs::hard_link(&beside, path));
    let removed = fs::remove_file(&beside);
    match linked {
        // Another process was faster; its key is the key.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.exists() => {}
        linked => linked.and(removed)?,
    }
    // The name too must survive a power cut, before anything is sealed with the key.
    File::open(dir)?.sync_all()
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OsRandomness;
    use std::{collections::HashSet, error::Error as _, sync::Barrier};

    const BYTES: [u8; 32] = *b"0123456789abcdefghijklmnopqrstuv";

    fn load(dir: &Path) -> Result<MasterKey, MasterKeyError> {
        MasterKey::load_or_create(dir, &OsRandomness::new())
    }

    #[test]
    fn parses_base64_and_hexadecimal() {
        let base64 = STANDARD.encode(BYTES);
        for text in [
            base64.clone(),
            base64.trim_end_matches('=').to_owned(),
            format!(" {base64}\n"),
            hex::encode(BYTES),
        ] {
            assert_eq!(MasterKey::parse(&text).unwrap().as_bytes(), &BYTES, "{text}");
        }
        assert_eq!(
            MasterKey::parse(&hex::encode_upper(BYTES)).unwrap().as_bytes(),
            &BYTES
        );
    }

    #[test]
    fn refuses_everything_else_without_repeating_it() {
        let of = |n: usize| STANDARD.encode(vec![b'k'; n]);
        for bad in [
            "",
            "secret",
            &of(16),
            &of(31),
            &of(33),
            &of(64),
            &"g".repeat(64),
            &"ä".repeat(32),
            &"0".repeat(62),
        ] {
            let error = MasterKey::parse(bad).unwrap_err();
            assert!(matches!(error, MasterKeyError::Malformed), "{bad}");
            assert!(bad.is_empty() || !format!("{error} {error:?}").contains(bad));
        }
        assert_eq!(format!("{:?}", MasterKey::from_bytes(BYTES)), "MasterKey(…)");
    }

    #[test]
    fn is_created_once_for_its_owner_only_and_leaves_nothing_beside() {
        let dir = tempfile::tempdir().unwrap();
        let first = load(dir.path()).unwrap();
        assert_eq!(load(dir.path()).unwrap().as_bytes(), first.as_bytes());
        let names: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(names, [MasterKey::FILE_NAME]);
        let mode = fs::metadata(dir.path().join(MasterKey::FILE_NAME))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o600);
        assert_ne!(
            load(tempfile::tempdir().unwrap().path()).unwrap().as_bytes(),
            first.as_bytes()
        );
    }

    #[test]
    fn processes_that_race_agree_on_one_key() {
        let dir = tempfile::tempdir().unwrap();
        let together = Barrier::new(8);
        let keys: HashSet<[u8; 32]> = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        together.wait();
                        *load(dir.path()).unwrap().as_bytes()
                    })
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        assert_eq!(keys.len(), 1);
    }

    #[test]
    fn a_file_that_others_may_open_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        load(dir.path()).unwrap();
        let path = dir.path().join(MasterKey::FILE_NAME);
        for mode in [0o640, 0o604, 0o620, 0o601, 0o644] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = load(dir.path()).unwrap_err();
            assert!(matches!(&error, MasterKeyError::OpenToOthers { mode: found, .. } if *found == mode));
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert!(load(dir.path()).is_ok());
    }

    #[test]
    fn a_broken_file_is_an_error_and_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(MasterKey::FILE_NAME);
        for broken in [b"".as_slice(), b"not a key", b"\xff\xfe\x00", &[b'A'; 10_000]] {
            let _ = fs::remove_file(&path);
            write_private(&path, broken).unwrap();
            assert!(matches!(load(dir.path()), Err(MasterKeyError::MalformedFile(_))));
            assert_eq!(fs::read(&path).unwrap(), broken);
        }
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error_with_its_cause() {
        let dir = tempfile::tempdir().unwrap();
        let error = load(&dir.path().join("absent")).unwrap_err();
        assert!(matches!(error, MasterKeyError::Io { .. }) && error.source().is_some());
    }
}
