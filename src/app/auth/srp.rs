//! SRP at a sign-in: the verifier of a user, or one that looks like a user's where there is none, and the proof that ends
//! an exchange.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::app::auth::answering::Response;
use crate::app::auth::made_up;
use crate::app::hashing::forms::{self, stored_verifier};
use crate::domain::auth::required_parameter;
use crate::domain::auth::session::{ChallengeSession, Exchange};
use crate::domain::auth::srp::exchange::{Claim, PublicValue, SessionKey};
use crate::domain::auth::srp::{SrpVerifier, made_up_verifier, timestamp};
use crate::domain::error::Error;
use crate::domain::ids::PasswordId;
use crate::store::cache::PoolView;
use crate::store::keys::PoolKeys;
use crate::store::loaded::LoadedUser;
use crate::tokens::secret_block::{self, Opened};

/// A proof by SRP as the caller sent it, with the exchange that it ends.
pub struct Proof<'a> {
    /// The name in the proof.
    pub username: &'a str,
    /// The sign-in that the exchange is a part of.
    pub session: ChallengeSession,
    /// The exchange.
    pub exchange: Exchange,
    timestamp: &'a str,
    signature: Vec<u8>,
    secret_block: Vec<u8>,
}

impl<'a> Proof<'a> {
    /// Reads the members of the answer, and opens its SECRET_BLOCK.
    pub fn of(response: &Response<'a>, keys: &PoolKeys) -> Result<Self, Error> {
        let (username, block) = (response.required("USERNAME")?, response.required("PASSWORD_CLAIM_SECRET_BLOCK")?);
        let (signature, timestamp) = (response.required("PASSWORD_CLAIM_SIGNATURE")?, response.required("TIMESTAMP")?);
        timestamp::check(timestamp)?;
        let opened = secret_block::open(&response.pool_id, keys, block).ok_or_else(Error::invalid_session)?;
        let Opened { session, bytes: secret_block } = opened;
        let exchange = session.exchange.clone().ok_or_else(Error::invalid_session)?;
        // What is no base64 is no signature: a wrong one.
        let signature = STANDARD.decode(signature).unwrap_or_default();
        Ok(Self { username, session, exchange, timestamp, signature, secret_block })
    }

    /// Whether it is signed under the key of the exchange, for this pool's name or group of devices.
    pub fn is_signed_by(&self, key: &SessionKey, group: &str) -> bool {
        let (user_id, secret_block, timestamp) = (&self.exchange.user_id, &self.secret_block, self.timestamp);
        Claim { group, user_id, secret_block, timestamp }.is_signed_by(key, &self.signature)
    }
}

/// The client's public value, SRP_A.
pub fn public_value(parameters: &BTreeMap<String, String>) -> Result<PublicValue, Error> {
    PublicValue::parse(required_parameter(parameters, "SRP_A")?)
        .ok_or_else(|| Error::invalid_parameter("SRP_A must be a hexadecimal number from 1 to N - 1."))
}

/// What an exchange with a client begins with.
pub struct Basis {
    /// The verifier of the password, or one that was made up.
    pub verifier: SrpVerifier,
    /// The password of the verifier; absent if it was made up.
    pub password: Option<PasswordId>,
    /// The identity that the client hashes: `USER_ID_FOR_SRP`.
    pub user_id: String,
}

impl Basis {
    /// The basis for a user, if the user has a verifier.
    pub fn of_user(pool: &PoolView, user: &LoadedUser) -> Result<Option<Self>, Error> {
        let Some(verifier) = stored_verifier(pool, user)? else { return Ok(None) };
        let password = forms::id_of(user.state.password.as_ref())?;
        Ok(Some(Self { verifier, password, user_id: user.state.username().to_owned() }))
    }

    /// The basis for a name at which nobody can sign in by SRP. It is the same each time.
    pub fn made_up(pool: &PoolView, written: &str) -> Self {
        let name = pool.name_rules.normalise(written);
        let verifier = made_up_verifier(&pool.keys.keyed_hash("srp verifier", &[&name]));
        Self { verifier, password: None, user_id: made_up::username(pool, written) }
    }
}
