//! SHA-256 digests: of blobs, of layers, of layers on top of others.

use std::fmt;
use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// `sha256:…`, the one algorithm that registries use.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// What a layer is together with all below it (OCI image specification, `ChainID`).
    pub(crate) fn chain(below: Option<Self>, diff: Self) -> Self {
        match below {
            None => diff,
            Some(below) => Self::of(format!("{below} {diff}").as_bytes()),
        }
    }

    /// The digits alone, for file names.
    pub(crate) fn hex(&self) -> String {
        use fmt::Write as _;
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let refuse = || format!("{text:?} is no digest: must be sha256: and 64 small hex digits");
        let hex = text.strip_prefix("sha256:").ok_or_else(refuse)?;
        Self::from_hex(hex).ok_or_else(refuse)
    }

    pub(crate) fn from_hex(hex: &str) -> Option<Self> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 32];
        if hex.len() != 64 {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// A digest under way.
#[derive(Clone, Default)]
pub(crate) struct Digester(Sha256);

impl Digester {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

/// Digests and counts what is read through it.
pub(crate) struct DigestingReader<R> {
    inner: R,
    digester: Digester,
    count: u64,
}

impl<R: Read> DigestingReader<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self {
            inner,
            digester: Digester::default(),
            count: 0,
        }
    }

    /// How many bytes were read so far.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The digest of what was read, and of what is left to read.
    pub(crate) fn finish(mut self) -> io::Result<Digest> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(self.digester.finish())
    }
}

impl<R: Read> Read for DigestingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.digester.update(&buffer[..count]);
        self.count += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_as_they_are_written() {
        // FIPS 180-4's example.
        let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), abc);
        assert_eq!(Digest::parse(abc), Ok(Digest::of(b"abc")));
        for bad in [
            "",
            "sha256:",
            &abc[7..],
            &abc.to_uppercase(),
            &abc[..70],
            &format!("{abc}0"),
            &abc.replace("sha256", "sha512"),
            &abc.replace("ba78", "../x"),
        ] {
            assert!(Digest::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_chain_begins_with_its_first_layer() {
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        assert_eq!(Digest::chain(None, one), one);
        assert_eq!(
            Digest::chain(Some(one), two),
            Digest::of(format!("{one} {two}").as_bytes())
        );
    }
}
