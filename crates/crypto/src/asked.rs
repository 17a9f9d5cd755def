use aws_lc_rs::hmac;

use crate::{MasterKey, cursors::derive};

/// Keeps this key apart from any other that is derived of the master key.
const LABEL: &[u8] = b"postrider asked v1";

/// What stands for a command that was asked under an idempotency key: HMAC-SHA-256 under a key that is derived of the
/// master key (HKDF). A plain hash would let whoever reads the database guess at what they do not know of a body: a
/// password, a header's secret value.
pub struct AskedKeys {
    current: hmac::Key,
    others: Vec<hmac::Key>,
}

impl AskedKeys {
    /// Writes by `current`; knows again what it or one of `others` wrote: while the master key is being replaced, nodes
    /// have either.
    pub fn new(current: &MasterKey, others: &[MasterKey]) -> Self {
        Self {
            current: derive(current, LABEL),
            others: others.iter().map(|key| derive(key, LABEL)).collect(),
        }
    }

    /// What stands for `asked`, and what may stand for it that a node of another master key wrote.
    pub fn hashes(&self, asked: &[u8]) -> ([u8; 32], Vec<[u8; 32]>) {
        let others = self.others.iter().map(|key| hash(key, asked));
        (hash(&self.current, asked), others.collect())
    }
}

fn hash(key: &hmac::Key, asked: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(hmac::sign(key, asked).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> MasterKey {
        MasterKey::from_bytes([byte; 32])
    }

    #[test]
    fn it_is_keyed_and_known_again_while_the_master_key_is_replaced() {
        let (before, others) = AskedKeys::new(&key(1), &[]).hashes(b"POST /v1/a");
        assert_eq!(others, [[0; 32]; 0]);
        assert_eq!(AskedKeys::new(&key(1), &[]).hashes(b"POST /v1/a").0, before);
        assert_ne!(AskedKeys::new(&key(1), &[]).hashes(b"POST /v1/b").0, before);
        let (now, others) = AskedKeys::new(&key(2), &[key(1), key(3)]).hashes(b"POST /v1/a");
        assert_ne!(now, before);
        assert_eq!(others[0], before);
        assert_ne!(others[1], before);
    }
}
