//! Hashes of long values, and of values that must be told apart.

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

/// The 32 bytes of a SHA-256.
pub type Sha256 = [u8; SHA256_OUTPUT_LEN];

/// The SHA-256 of bytes (FIPS 180-4).
pub fn sha256(bytes: &[u8]) -> Sha256 {
    let mut hash = [0; SHA256_OUTPUT_LEN];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}
