use std::io::Write as _;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use postrider_application::ports::Randomness;

/// The operating system's random generator.
///
/// It does not fail on any supported system once it is seeded, which the kernel waits for. If it does all the same,
/// the process is **aborted** with a line on stderr: a panic could be caught, and a key or nonce of zeros used.
#[derive(Debug, Clone, Default)]
pub struct OsRandomness(SystemRandom);

impl OsRandomness {
    /// The operating system's random generator.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Randomness for OsRandomness {
    fn fill(&self, bytes: &mut [u8]) {
        if self.0.fill(bytes).is_err() {
            // Whether the line could be written does not matter any more.
            let _ = writeln!(
                std::io::stderr(),
                "the operating system has no random bytes; aborting"
            );
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_every_byte_and_never_the_same_twice() {
        let random: &dyn Randomness = &OsRandomness::new();
        assert_ne!(random.bytes::<32>(), random.bytes::<32>());
        // A byte that is never touched would stay 0 in all of 200 tries; by chance it does once in 256^200.
        let mut seen = [0_u8; 64];
        for _ in 0..200 {
            seen.iter_mut()
                .zip(random.bytes::<64>())
                .for_each(|(seen, byte)| *seen |= byte);
        }
        assert!(seen.iter().all(|byte| *byte != 0));
    }
}
