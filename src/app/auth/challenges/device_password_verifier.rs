//! The answer to DEVICE_PASSWORD_VERIFIER, by which a device proves itself: one read, two exponentiations, one commit.
//!
//! As with a user's password, SECRET_BLOCK holds the whole exchange and is used up by its first answer.

use std::sync::Arc;

use crate::app::attempts::FirstRead;
use crate::app::auth::answer::AuthResponse;
use crate::app::auth::challenges::Response;
use crate::app::auth::machine;
use crate::app::auth::named::guess_limit;
use crate::app::auth::sign_in::SignIn;
use crate::app::auth::srp::Proof;
use crate::app::caller::Caller;
use crate::app::device::sealed::Vault;
use crate::app::guesses::OneGuess;
use crate::app::hashing::forms;
use crate::app::whence::Whence;
use crate::app::{App, Failure, clients};
use crate::domain::auth::challenge::ChallengeName;
use crate::domain::auth::session::{Answer, Exchange};
use crate::domain::auth::srp::exchange::session_key;
use crate::domain::device::Device;
use crate::domain::error::Error;
use crate::domain::ids::DeviceId;
use crate::domain::rate::Limited;
use crate::domain::time::Timestamp;
use crate::store::cache::ClientView;
use crate::store::error::StoreError;
use crate::store::loaded::LoadedUser;
use crate::store::read::{Failures, Snapshot, Wanted};

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
    proof: Proof<'a>,
    device: Option<DeviceId>,
    whence: Whence,
}

/// A checked proof, before it is known whether it is right.
struct Checked<'b> {
    client: Arc<ClientView>,
    user: &'b LoadedUser,
    device: &'b Device,
    limited: Option<Limited>,
}

/// Computes what the device should have signed, and compares.
pub async fn prepare<'a>(
    app: &App,
    caller: &Caller,
    response: Response<'a>,
) -> Result<DevicePasswordVerifier<'a>, Failure> {
    let device = DeviceId::of_key(&response.pool_id, response.required("DEVICE_KEY")?);
    app.hasher.refuse_beyond(&caller.turn(&response.pool_id)).await?;
    let hint = app.store.pool_hint(&response.pool_id).await?;
    let proof = Proof::of(&response, &hint.keys)?;
    let whence = Whence::of_person(&hint.keys, caller, response.server);
    let claim = Claimed { response, proof, device, whence };
    let key = [claim.proof.session.sub.0.as_bytes(), &*claim.whence.network].concat();
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
            sub: Some(self.proof.session.sub),
            told: self.proof.session.told,
            failures: Some(Failures::SignIn),
            network: Some(&self.whence.network),
            rate: limited.as_ref(),
            device: self.proof.session.device,
            groups: true,
            ..Wanted::default()
        };
        app.store.read(pool_id, Some(client_id), wanted).await
    }

    fn check<'b>(&self, app: &App, found: &'b Snapshot, at: Timestamp) -> Result<Checked<'b>, Error> {
        let client_id = &self.response.client_id;
        let (pool, client) = (&found.pool, found.client.clone().ok_or_else(|| Error::no_such_client(client_id))?);
        clients::check_secret_hash(pool, &client.state, &[self.proof.username], self.response.secret_hash())?;
        let challenge = ChallengeName::DevicePasswordVerifier;
        if !self.proof.session.is_for(challenge, &client.state.client_id) {
            return Err(Error::invalid_session());
        }
        let user = found.user.as_ref().ok_or_else(Error::no_such_user)?;
        let given = Answer {
            challenge,
            client: &client.state,
            user: &user.state,
            password: forms::id_of(user.state.password.as_ref())?,
            username: Some(self.proof.username),
            name_rules: &pool.name_rules,
            at,
        };
        if !self.proof.session.fits(&given) || self.proof.session.device != self.device {
            return Err(Error::invalid_session());
        }
        self.proof.session.check(&given)?;
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
        let Exchange { secret, client, server, .. } = self.proof.exchange.clone();
        let compute = move || session_key(&verifier, &secret, &client, &server);
        let key = app.hasher.work(&caller.turn(&pool.id), compute).await?;
        Ok(self.proof.is_signed_by(&key, &pool.id.device_group_key()))
    }
}

impl DevicePasswordVerifier<'_> {
    /// Continues the sign-in, or refuses the proof.
    pub async fn settle<Given: AuthResponse>(&self, app: &App, caller: &Caller) -> Result<Given, Failure> {
        let claim = &self.claim;
        let found = self.found.or(claim.read(app)).await?;
        let at = app.clock.now();
        let Checked { client, user, device, limited } = claim.check(app, &found, at)?;
        let (session, origin) = (&claim.proof.session, &claim.response.origin);
        let sign_in = SignIn {
            flow: session.flow,
            found: &found,
            client: &client,
            client_metadata: claim.response.client_metadata,
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
