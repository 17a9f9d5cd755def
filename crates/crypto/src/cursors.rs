use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    hkdf::{HKDF_SHA256, Salt},
    hmac::{self, HMAC_SHA256},
};

use crate::MasterKey;

/// Keeps the cursors' key apart from any other that is derived of the master key.
const LABEL: &[u8] = b"postrider cursors v1";

/// Vouches for cursors of lists, so that nobody makes one up: HMAC-SHA-256, cut to 16 bytes, under a key that is derived
/// of the master key (HKDF). All nodes of one master key accept each other's.
pub struct CursorKeys {
    current: hmac::Key,
    others: Vec<hmac::Key>,
}

impl CursorKeys {
    /// The bytes of a tag.
    pub const TAG_BYTES: usize = 16;

    /// Signs by `current`; accepts what it or one of `others` signed: while the master key is being replaced, nodes have
    /// either.
    pub fn new(current: &MasterKey, others: &[MasterKey]) -> Self {
        Self {
            current: derive(current, LABEL),
            others: others.iter().map(|key| derive(key, LABEL)).collect(),
        }
    }

    /// The tag of these parts, of which each is as long as it is: no two lists of parts are the same.
    pub fn tag(&self, parts: &[&[u8]]) -> [u8; Self::TAG_BYTES] {
        tag(&self.current, parts)
    }

    /// Whether the tag is of these parts. Takes as long for a wrong one as for a right one.
    pub fn verify(&self, parts: &[&[u8]], presented: &[u8]) -> bool {
        let mut known = std::iter::once(&self.current).chain(&self.others);
        known.any(|key| verify_slices_are_equal(&tag(key, parts), presented).is_ok())
    }
}

#[expect(
    clippy::expect_used,
    reason = "fails only for keys of more than 255 blocks; one is asked for"
)]
pub(crate) fn derive(key: &MasterKey, label: &[u8]) -> hmac::Key {
    let secret = Salt::new(HKDF_SHA256, &[]).extract(key.as_bytes());
    hmac::Key::from(secret.expand(&[label], HMAC_SHA256).expect("one block"))
}

fn tag(key: &hmac::Key, parts: &[&[u8]]) -> [u8; CursorKeys::TAG_BYTES] {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut tag = [0; CursorKeys::TAG_BYTES];
    tag.copy_from_slice(&context.sign().as_ref()[..CursorKeys::TAG_BYTES]);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(current: u8, others: &[u8]) -> CursorKeys {
        let key = |byte: &u8| MasterKey::from_bytes([*byte; 32]);
        let others: Vec<_> = others.iter().map(key).collect();
        CursorKeys::new(&key(&current), &others)
    }

    #[test]
    fn nodes_of_one_master_key_accept_each_others() {
        let (one, two) = (keys(1, &[]), keys(1, &[]));
        assert!(two.verify(&[b"list", b"cursor"], &one.tag(&[b"list", b"cursor"])));
        assert!(keys(2, &[1]).verify(&[b"list"], &one.tag(&[b"list"])), "replaced");
        assert!(!keys(2, &[3]).verify(&[b"list"], &one.tag(&[b"list"])));
    }

    #[test]
    fn whatever_is_changed_is_found_out() {
        let keys = keys(1, &[]);
        let parts: [&[u8]; 2] = [b"list", b"cursor"];
        let tag = keys.tag(&parts);
        assert!(keys.verify(&parts, &tag));
        for other in [
            [&b"lis"[..], b"tcursor"],
            [b"list", b"Cursor"],
            [b"list", b""],
            [b"cursor", b"list"],
        ] {
            assert!(!keys.verify(&other, &tag));
        }
        for bit in 0..8 * tag.len() {
            let mut flipped = tag;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!keys.verify(&parts, &flipped));
        }
        for short in 0..tag.len() {
            assert!(!keys.verify(&parts, &tag[..short]));
        }
    }
}
