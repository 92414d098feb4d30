//! The answer to DEVICE_PASSWORD_VERIFIER, by which a device proves itself: one read, two exponentiations, one commit.
//!
//! As with a user's password, SECRET_BLOCK holds the whole exchange and is used up by its first answer.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::app::attempts::FirstRead;
use crate::app::auth::answer::AuthResponse;
use crate::app::auth::challenges::Response;
use crate::app::auth::machine;
use crate::app::auth::named::guess_limit;
use crate::app::auth::sign_in::SignIn;
use crate::app::caller::Caller;
use crate::app::device::sealed::Vault;
use crate::app::guesses::OneGuess;
use crate::app::hashing::forms;
use crate::app::whence::Whence;
use crate::app::{App, Failure, clients};
use crate::domain::auth::challenge::ChallengeName;
use crate::domain::auth::session::{Answer, ChallengeSession, Exchange};
use crate::domain::auth::srp::exchange::{Claim, session_key};
use crate::domain::auth::srp::timestamp;
use crate::domain::device::Device;
use crate::domain::error::Error;
use crate::domain::ids::DeviceId;
use crate::domain::rate::Limited;
use crate::domain::time::Timestamp;
use crate::store::cache::ClientView;
use crate::store::error::StoreError;
use crate::store::loaded::LoadedUser;
use crate::store::read::{Failures, Snapshot, Wanted};
use crate::tokens::secret_block::{self, Opened};

/// A proof whose signature is compared.
pub struct DevicePasswordVerifier<'a> {
    claim: Claimed<'a>,
    found: FirstRead<Snapshot>,
    is_right: bool,
    _alone: OneGuess,
}

/// A proof as the caller sent it.
struct Claimed<'a> {
    response: Response<'a>,
    username: &'a str,
    timestamp: &'a str,
    signature: Vec<u8>,
    device: Option<DeviceId>,
    session: ChallengeSession,
    exchange: Exchange,
    /// The bytes of SECRET_BLOCK.
    secret_block: Vec<u8>,
    whence: Whence,
}

/// A checked proof, before it is known whether it is right.
struct Checked<'b> {
    client: Arc<ClientView>,
    user: &'b LoadedUser,
    device: &'b Device,
    limited: Option<Limited>,
}

/// Compares the signature.
pub async fn prepare<'a>(
    app: &App,
    caller: &Caller,
    response: Response<'a>,
) -> Result<DevicePasswordVerifier<'a>, Failure> {
    let (username, block) = (response.required("USERNAME")?, response.required("PASSWORD_CLAIM_SECRET_BLOCK")?);
    let (signature, timestamp) = (response.required("PASSWORD_CLAIM_SIGNATURE")?, response.required("TIMESTAMP")?);
    let device = DeviceId::of_key(&response.pool_id, response.required("DEVICE_KEY")?);
    timestamp::check(timestamp)?;
    app.hasher.refuse_beyond(&caller.turn(&response.pool_id)).await?;
    let hint = app.store.pool_hint(&response.pool_id).await?;
    let opened = secret_block::open(&response.pool_id, &hint.keys, block).ok_or_else(Error::invalid_session)?;
    let Opened { session, bytes: secret_block } = opened;
    let exchange = session.exchange.clone().ok_or_else(Error::invalid_session)?;
    let whence = Whence::of_person(&hint.keys, caller, response.server);
    // What is no base64 is no signature: a wrong one.
    let signature = STANDARD.decode(signature).unwrap_or_default();
    let claim = Claimed { response, username, timestamp, signature, device, session, exchange, secret_block, whence };
    let key = [claim.session.sub.0.as_bytes(), &*claim.whence.network].concat();
    let alone = app.guesses.begin(&key, caller.patience).await?;
    let found = claim.read(app).await?;
    let is_right = claim.compare(app, caller, &found).await?;
    Ok(DevicePasswordVerifier { claim, found: FirstRead::new(found), is_right, _alone: alone })
}

impl Claimed<'_> {
    async fn read(&self, app: &App) -> Result<Snapshot, StoreError> {
        let Response { pool_id, client_id, .. } = &self.response;
        let limited = self.whence.guess(app);
        let wanted = Wanted {
            sub: Some(self.session.sub),
            told: self.session.told,
            failures: Some(Failures::SignIn),
            network: Some(&self.whence.network),
            rate: limited.as_ref(),
            device: self.session.device,
            groups: true,
            ..Wanted::default()
        };
        app.store.read(pool_id, Some(client_id), wanted).await
    }

    fn check<'b>(&self, app: &App, found: &'b Snapshot, at: Timestamp) -> Result<Checked<'b>, Error> {
        let client_id = &self.response.client_id;
        let (pool, client) = (&found.pool, found.client.clone().ok_or_else(|| Error::no_such_client(client_id))?);
        clients::check_secret_hash(pool, &client.state, &[self.username], self.response.secret_hash())?;
        let user = found.user.as_ref().ok_or_else(Error::no_such_user)?;
        let given = Answer {
            challenge: ChallengeName::DevicePasswordVerifier,
            client: &client.state,
            user: &user.state,
            password: forms::id_of(user.state.password.as_ref())?,
            username: Some(self.username),
            name_rules: &pool.name_rules,
            at,
        };
        if !self.session.fits(&given) || self.session.device != self.device {
            return Err(Error::invalid_session());
        }
        self.session.check(&given)?;
        let device = found.device.as_ref().map(|used| &used.device.state);
        let device = device.filter(|device| device.sub == user.state.sub).ok_or_else(Error::no_such_device)?;
        let limited = guess_limit(app, &self.whence, found, &client);
        limited.as_ref().map_or(Ok(()), |limited| limited.check(found.arrival, at))?;
        Ok(Checked { client, user, device, limited })
    }

    async fn compare(&self, app: &App, caller: &Caller, found: &Snapshot) -> Result<bool, Failure> {
        let Checked { user, device, .. } = self.check(app, found, app.clock.now())?;
        let pool = &found.pool;
        let vault = Vault { pool: &pool.id, device: device.id, key: &user.key };
        let verifier = vault.secret(device)?.ok_or_else(Error::invalid_session)?.into_verifier();
        let Exchange { secret, client, server, .. } = self.exchange.clone();
        let compute = move || session_key(&verifier, &secret, &client, &server);
        let key = app.hasher.work(&caller.turn(&pool.id), compute).await?;
        let claim = Claim {
            group: &pool.id.device_group_key(),
            user_id: &self.exchange.user_id,
            secret_block: &self.secret_block,
            timestamp: self.timestamp,
        };
        Ok(claim.is_signed_by(&key, &self.signature))
    }
}

impl DevicePasswordVerifier<'_> {
    /// Continues the sign-in, or refuses the proof.
    pub async fn settle<Given: AuthResponse>(&self, app: &App, caller: &Caller) -> Result<Given, Failure> {
        let claim = &self.claim;
        let found = self.found.or(claim.read(app)).await?;
        let at = app.clock.now();
        let Checked { client, user, device, limited } = claim.check(app, &found, at)?;
        let (session, origin) = (&claim.session, &claim.response.origin);
        let sign_in = SignIn {
            flow: session.flow,
            found: &found,
            client: &client,
            origin,
            whence: &claim.whence,
            told: session.told,
            limited: limited.as_ref(),
            spends: Some(session.spent()),
            at,
        };
        let proofs = session.proofs.with_device(device.id);
        machine::hear_device(app, caller, sign_in, user, (proofs, self.is_right)).await
    }
}
