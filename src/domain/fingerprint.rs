//! Fingerprints of callers' certificates.

use std::fmt;
use std::str::FromStr;

use crate::domain::hash::{Sha256, sha256};

/// The SHA-256 of a whole certificate: another certificate of the same holder and key has another fingerprint.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(Sha256);

/// The error of a text that is no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is a SHA-256: 64 hexadecimal digits, with or without colons")]
pub struct NoFingerprint;

impl Fingerprint {
    /// The fingerprint of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Self {
        Self(sha256(certificate))
    }

    /// The 32 bytes of the hash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<&[u8]> for Fingerprint {
    type Error = NoFingerprint;

    fn try_from(bytes: &[u8]) -> Result<Self, NoFingerprint> {
        bytes.try_into().map(Self).map_err(|_| NoFingerprint)
    }
}

/// Reads a fingerprint as it is shown here, or as `openssl x509 -fingerprint -sha256` shows it: in capital letters,
/// with colons.
impl FromStr for Fingerprint {
    type Err = NoFingerprint;

    fn from_str(text: &str) -> Result<Self, NoFingerprint> {
        let bytes = hex::decode(text.replace(':', "")).map_err(|_| NoFingerprint)?;
        Self::try_from(bytes.as_slice())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_it_is_shown_and_as_openssl_shows_it() {
        let fingerprint = Fingerprint::of(b"abc");
        let shown = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(fingerprint.to_string(), shown);
        let pairs: Vec<_> =
            shown.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).to_uppercase()).collect();
        assert_eq!(pairs.join(":").parse(), Ok(fingerprint));
        // A SHA-1 fingerprint, openssl's default, is too short.
        for wrong in ["", "ba78", &pairs[..20].join(":"), &format!("{shown}00"), &shown.replace('b', "g")] {
            assert_eq!(wrong.parse::<Fingerprint>(), Err(NoFingerprint), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_fingerprint_or_refused(text in ".{0,100}") {
            let _ = text.parse::<Fingerprint>();
        }

        #[test]
        fn every_fingerprint_is_read_back(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let fingerprint = Fingerprint::of(&bytes);
            prop_assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
            prop_assert_eq!(Fingerprint::try_from(fingerprint.as_bytes()), Ok(fingerprint));
        }
    }
}
