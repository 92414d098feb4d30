//! One-time passwords of authenticator apps (RFC 6238): SHA-1, six digits, a new one every 30 seconds.
//!
//! Apps know no other parameters for certain: some read them from the QR code and use these nevertheless.

use totp_rs::{Builder, Secret, TotpError};

use crate::domain::time::Timestamp;

/// The length of a secret: as many bytes as a hash of SHA-1 has (RFC 4226, section 4).
pub const SECRET_BYTES: usize = 20;
/// How many seconds a code is shown.
const STEP_SECONDS: u64 = 30;
/// How many steps an app's clock may be off, in either direction.
const DRIFT: u16 = 1;

/// The time step whose code this is, if it is one of the present step or of one beside it.
pub fn matching_step(secret: &[u8], code: &str, at: Timestamp) -> Result<Option<u64>, TotpError> {
    let apps = Builder::new().with_secret(secret.to_vec()).with_skew(DRIFT).with_step_duration(STEP_SECONDS).build()?;
    Ok(apps.check(code, u64::try_from(at.seconds()).unwrap_or_default()))
}

/// When the code of a step is no longer accepted.
pub fn ends_at(step: u64) -> Timestamp {
    let end = step.saturating_add(1 + u64::from(DRIFT)).saturating_mul(STEP_SECONDS);
    Timestamp(0).plus_seconds(i64::try_from(end).unwrap_or(i64::MAX / 1_000))
}

/// A secret as a person types it into an app.
pub fn base32(secret: [u8; SECRET_BYTES]) -> String {
    Secret::new_stack(secret).to_base32()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::at;

    const SECRET: &[u8] = b"12345678901234567890";

    /// RFC 6238, appendix B, for SHA-1: the last six of the eight digits there.
    #[test]
    fn codes_are_those_of_the_standard() {
        for (second, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(matching_step(SECRET, code, at(second)).unwrap(), Some(second as u64 / 30), "{second}");
        }
    }

    #[test]
    fn a_code_counts_one_step_early_and_one_step_late() {
        // 287082 is shown from second 30 to second 59.
        for (second, counts) in [(0, true), (29, true), (30, true), (89, true), (90, false)] {
            let step = matching_step(SECRET, "287082", at(second)).unwrap();
            assert_eq!(step, counts.then_some(1), "{second}");
        }
        assert_eq!(ends_at(1), at(90));
        assert_eq!(matching_step(SECRET, "287082", at(2_000_000_000)).unwrap(), None);
        for code in ["", "28708", "2870820", "+87082", "28708٢"] {
            assert_eq!(matching_step(SECRET, code, at(59)).unwrap(), None, "{code}");
        }
    }

    #[test]
    fn a_secret_is_typed_in_base32() {
        let secret = SECRET.try_into().unwrap();
        assert_eq!(base32(secret), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert!(matching_step(b"too short", "287082", at(59)).is_err());
    }
}
