//! RS256 keys of 2048 bits: generating, parsing and using them.

use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moka::sync::Cache;

use crate::domain::error::Error;
use crate::domain::ids::StreamId;
use crate::domain::personal::Sealed;
use crate::domain::user_pool::{SigningKey, TokenUse};
use crate::environment::Random;
use crate::proto::events::{SigningKeyAdded, SigningKeyUse};
use crate::store::cache::PoolView;
use crate::store::keys::PoolKeys;
use crate::store::seal::{FieldClass, Place};

/// A key could not be generated or used; AWS-LC gives no reason.
#[derive(Debug, thiserror::Error)]
#[error("a signing key can't be {0}")]
pub struct SigningFailed(pub &'static str);

/// Generates a key. This takes a good part of a second, so it must not run on a thread of the runtime.
pub fn generate(
    pool_id: &crate::domain::ids::UserPoolId,
    keys: &PoolKeys,
    purpose: TokenUse,
    random: &Random,
) -> Result<SigningKeyAdded, SigningFailed> {
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| SigningFailed("made"))?;
    let private: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| SigningFailed("written"))?;
    let sealed = keys.pool.seal(place(pool_id, &StreamId::pool()), random.uuid(), private.as_ref());
    let public = pair.public_key();
    Ok(SigningKeyAdded {
        kid: URL_SAFE_NO_PAD.encode(random.bytes::<32>()),
        r#use: match purpose {
            TokenUse::Id => SigningKeyUse::Id,
            TokenUse::Access => SigningKeyUse::Access,
        }
        .into(),
        n: URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero()),
        e: URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero()),
        private_key: sealed.0,
        active_from_millis: 0,
    })
}

fn place<'a>(pool: &'a crate::domain::ids::UserPoolId, stream: &'a StreamId) -> Place<'a> {
    Place { pool, stream, class: FieldClass::SigningKey }
}

/// The most parsed keys of each kind that are kept.
const CAPACITY: u64 = 20_000;

/// Parsed keys by `kid`, because parsing a key takes longer than signing with it.
#[derive(Clone, Debug)]
pub struct Signers(Cache<String, Arc<KeyPair>>);

impl Default for Signers {
    fn default() -> Self {
        Self(Cache::new(CAPACITY))
    }
}

/// Parsed public keys by `kid`.
#[derive(Clone, Debug)]
pub struct PublicKeys(Cache<String, Arc<ParsedPublicKey>>);

impl Default for PublicKeys {
    fn default() -> Self {
        Self(Cache::new(CAPACITY))
    }
}

impl PublicKeys {
    /// Whether a key signed a text (RFC 7515, RS256).
    pub fn has_signed(&self, key: &SigningKey, text: &[u8], signature: &[u8]) -> Result<bool, Error> {
        Ok(self.public_key(key)?.verify_sig(text, signature).is_ok())
    }

    fn public_key(&self, key: &SigningKey) -> Result<Arc<ParsedPublicKey>, Error> {
        if let Some(parsed) = self.0.get(&key.kid) {
            return Ok(parsed);
        }
        let number = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(Error::internal);
        let components = PublicKeyComponents { n: number(&key.n)?, e: number(&key.e)? };
        let parsed = components.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256);
        let parsed = Arc::new(parsed.map_err(|_| Error::internal(SigningFailed("read")))?);
        self.0.insert(key.kid.clone(), parsed.clone());
        Ok(parsed)
    }
}

impl Signers {
    /// Signs a text with a pool's key (RFC 7515, RS256).
    pub fn sign(&self, pool: &PoolView, key: &SigningKey, text: &[u8]) -> Result<Vec<u8>, Error> {
        let pair = self.pair(pool, key)?;
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut signature)
            .map_err(|_| Error::internal(SigningFailed("used")))?;
        Ok(signature)
    }

    /// The public part of a pool's key: an `RSAPublicKey` in DER (RFC 8017, A.1.1).
    pub fn public_key(&self, pool: &PoolView, key: &SigningKey) -> Result<Vec<u8>, Error> {
        Ok(self.pair(pool, key)?.public_key().as_ref().to_vec())
    }

    fn pair(&self, pool: &PoolView, key: &SigningKey) -> Result<Arc<KeyPair>, Error> {
        if let Some(pair) = self.0.get(&key.kid) {
            return Ok(pair);
        }
        let opened = open(pool, &key.private_key)?;
        let pair = KeyPair::from_pkcs8(&opened).map_err(|_| Error::internal(SigningFailed("read")))?;
        let pair = Arc::new(pair);
        self.0.insert(key.kid.clone(), pair.clone());
        Ok(pair)
    }
}

fn open(pool: &PoolView, sealed: &Sealed) -> Result<Vec<u8>, Error> {
    pool.keys.pool.open(place(&pool.id, &StreamId::pool()), sealed).map_err(Error::internal)
}
