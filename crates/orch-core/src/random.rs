//! The one source of randomness: seeded, so that the same seed gives the same history.

use std::sync::Arc;

use parking_lot::Mutex;

/// A shared, seeded source of random values. Not for secrets.
///
/// Clones share one sequence. Under a single-threaded runtime two runs from one seed draw the same values.
#[derive(Clone, Debug)]
pub struct Random(Arc<Mutex<fastrand::Rng>>);

/// Letters and digits that spell no word: those of Kubernetes' generated names
/// (apimachinery `util/rand`: no vowels, no 0, 1, 3).
const NAME_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

impl Random {
    /// A source that replays from `seed`.
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))))
    }

    /// A source seeded by the operating system.
    pub fn from_os() -> Self {
        Self(Arc::new(Mutex::new(fastrand::Rng::new())))
    }

    /// A new source whose sequence depends on this one's.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self(Arc::new(Mutex::new(self.0.lock().fork())))
    }

    /// A number from 0 up to, not including, `bound`; 0 if `bound` is 0.
    pub fn below(&self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.0.lock().u64(..bound) }
    }

    /// A number from 0 up to, not including, 1.
    pub fn fraction(&self) -> f64 {
        self.0.lock().f64()
    }

    /// A random (version 4) UUID in its usual form.
    pub fn uuid(&self) -> String {
        let bits = self.0.lock().u128(..);
        let bits = bits & !(0xf << 76) | (4 << 76); // version
        let bits = bits & !(0b11 << 62) | (0b10 << 62); // variant
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            bits >> 96,
            (bits >> 80) & 0xffff,
            (bits >> 64) & 0xffff,
            (bits >> 48) & 0xffff,
            bits & 0xffff_ffff_ffff
        )
    }

    /// `length` characters for the end of a generated name.
    pub fn name_suffix(&self, length: usize) -> String {
        let mut rng = self.0.lock();
        (0..length)
            .map(|_| char::from(NAME_ALPHABET[rng.usize(..NAME_ALPHABET.len())]))
            .collect()
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::from_os()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_values() {
        let (one, two) = (Random::seeded(7), Random::seeded(7));
        assert_eq!((one.uuid(), one.name_suffix(5)), (two.uuid(), two.name_suffix(5)));
        assert_ne!(one.uuid(), Random::seeded(8).uuid());
    }

    #[test]
    fn a_uuid_has_version_and_variant() {
        let uuid = Random::seeded(1).uuid();
        assert_eq!(uuid.len(), 36);
        assert_eq!(uuid.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&uuid.as_bytes()[19]));
    }
}
