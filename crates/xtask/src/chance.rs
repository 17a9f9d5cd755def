//! Randomness: true for secrets, seeded and printed for moments.

use std::fs::File;
use std::io::Read;

use anyhow::Context;

/// This many bytes that nobody can guess, in hex.
pub fn secret_hex(bytes: usize) -> anyhow::Result<String> {
    let mut buffer = vec![0; bytes];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut buffer))
        .context("no randomness")?;
    Ok(hex::encode(buffer))
}

/// A new seed, small enough to be typed.
pub fn seed() -> anyhow::Result<u64> {
    Ok(u64::from_str_radix(&secret_hex(4)?, 16)?)
}

/// A repeatable sequence (splitmix64).
#[derive(Debug, Clone)]
pub struct Dice {
    state: u64,
}

impl Dice {
    /// The sequence of this seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number from 0 to `limit` - 1.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_itself_and_secrets_do_not() {
        let draw = |seed| {
            let mut dice = Dice::new(seed);
            [(); 20].map(|()| dice.below(10))
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert!(draw(7).iter().all(|number| *number < 10));
        let secret = secret_hex(16).unwrap();
        assert_eq!(secret.len(), 32);
        assert_ne!(secret, secret_hex(16).unwrap());
    }
}
