//! Hashes of what is long, or is to be told apart from everything else.

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

/// A SHA-256.
pub type Sha256 = [u8; SHA256_OUTPUT_LEN];

/// The SHA-256 of bytes (FIPS 180-4).
pub fn sha256(bytes: &[u8]) -> Sha256 {
    let mut hash = [0; SHA256_OUTPUT_LEN];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}
