//! The certificate of a pool's signing key, for clients that need the key as X.509: self-signed, in DER.
//!
//! Everything in it is derived from the key, and RS256 signatures have no randomness. So it is the same at every call
//! and on every replica, and changes only with the key.

use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{CertificateParams, DistinguishedName, DnType, IsCa, KeyIdMethod, KeyUsagePurpose, SerialNumber};
use time::Duration;

use crate::domain::error::Error;
use crate::domain::user_pool::SigningKey;
use crate::store::cache::PoolView;
use crate::store::to_database;
use crate::tokens::signing_keys::Signers;

const VALID: Duration = Duration::days(10 * 365);
/// RFC 5280 allows 20 bytes; the first bit must be 0, because the number is positive.
const SERIAL_BYTES: usize = 16;

/// The certificate of a pool's signing key.
pub fn certificate(signers: &Signers, pool: &PoolView, key: &SigningKey) -> Result<Vec<u8>, Error> {
    let identity = digest(&SHA256, key.kid.as_bytes());
    let mut serial = identity.as_ref()[..SERIAL_BYTES].to_vec();
    serial[0] &= 0x7f;
    let not_before = to_database(key.active_from).truncate_to_second();
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, pool.id.as_str());
    let mut parameters = CertificateParams::default();
    parameters.not_before = not_before;
    parameters.not_after = not_before.checked_add(VALID).unwrap_or(not_before);
    parameters.serial_number = Some(SerialNumber::from_slice(&serial));
    parameters.distinguished_name = name;
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.key_identifier_method = KeyIdMethod::PreSpecified(identity.as_ref()[..SERIAL_BYTES].to_vec());
    let signer = Signer { signers, pool, key, public: signers.public_key(pool, key)? };
    let certificate = parameters.self_signed(&signer).map_err(Error::internal)?;
    Ok(certificate.der().to_vec())
}

struct Signer<'a> {
    signers: &'a Signers,
    pool: &'a PoolView,
    key: &'a SigningKey,
    public: Vec<u8>,
}

impl rcgen::PublicKeyData for Signer<'_> {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_RSA_SHA256
    }
}

impl rcgen::SigningKey for Signer<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature = self.signers.sign(self.pool, self.key, message);
        signature.map_err(|_| rcgen::Error::RemoteKeyError)
    }
}
