//! The answer to DEVICE_SRP_AUTH, which begins an exchange with the device: one read, one exponentiation, no write.
//!
//! Some libraries send it without the Session. What the sign-in has proved is then found with the device, where the
//! challenge left it, if the answer comes from the network in which the sign-in began.

use std::collections::BTreeMap;

use crate::app::auth::answer::{Answer, AuthResponse, Challenge};
use crate::app::auth::challenges::Response;
use crate::app::caller::Caller;
use crate::app::device::sealed::Vault;
use crate::app::hashing::forms;
use crate::app::whence::Whence;
use crate::app::{App, Failure, clients};
use crate::domain::auth::challenge::ChallengeName;
use crate::domain::auth::session::{Answer as Answered, ChallengeSession, Exchange};
use crate::domain::auth::srp::exchange::{self, PublicValue, ServerSecret};
use crate::domain::device::Device;
use crate::domain::error::Error;
use crate::domain::ids::DeviceId;
use crate::store::loaded::LoadedUser;
use crate::store::read::{Snapshot, Wanted};
use crate::tokens::{challenge_token, secret_block};

/// The next challenge to the device, made.
pub struct DeviceSrpAuth {
    parameters: BTreeMap<String, String>,
}

/// An answer as the caller sent it.
struct Asked<'a> {
    response: Response<'a>,
    username: &'a str,
    client: PublicValue,
    device: Option<DeviceId>,
    whence: Whence,
}

/// A checked answer.
struct Checked {
    session: ChallengeSession,
    user: LoadedUser,
    device: Device,
}

/// Checks an answer and makes the server's public value.
pub async fn prepare(app: &App, caller: &Caller, response: Response<'_>) -> Result<DeviceSrpAuth, Failure> {
    let (username, key) = (response.required("USERNAME")?, response.required("DEVICE_KEY")?);
    let client = PublicValue::parse(response.required("SRP_A")?)
        .ok_or_else(|| Error::invalid_parameter("SRP_A must be a hexadecimal number from 1 to N - 1."))?;
    app.hasher.refuse_beyond(&caller.turn(&response.pool_id)).await?;
    let hint = app.store.pool_hint(&response.pool_id).await?;
    let whence = Whence::of_person(&hint.keys, caller, response.server);
    let device = DeviceId::of_key(&response.pool_id, key);
    let asked = Asked { response, username, client, device, whence };
    let name = hint.name_rules.normalise(username);
    let wanted = Wanted { name: Some(&name), device, ..Wanted::default() };
    let found = app.store.read(&asked.response.pool_id, Some(&asked.response.client_id), wanted).await?;
    let checked = asked.check(app, &found, &name)?;
    asked.begin(app, caller, &found, checked).await
}

impl Asked<'_> {
    fn check(&self, app: &App, found: &Snapshot, name: &str) -> Result<Checked, Error> {
        let client_id = &self.response.client_id;
        let (pool, client) = (&found.pool, found.client.clone().ok_or_else(|| Error::no_such_client(client_id))?);
        clients::check_secret_hash(pool, &client.state, &[self.username], self.response.secret_hash())?;
        let session = self.session(found, name)?;
        let user = found.user.clone().ok_or_else(Error::invalid_session)?;
        let given = Answered {
            challenge: ChallengeName::DeviceSrpAuth,
            client: &client.state,
            user: &user.state,
            password: forms::id_of(user.state.password.as_ref())?,
            username: Some(self.username),
            name_rules: &pool.name_rules,
            at: app.clock.now(),
        };
        if !session.fits(&given) || session.device != self.device {
            return Err(Error::invalid_session());
        }
        session.check(&given)?;
        let device = found.device.as_ref().map(|used| &used.device.state);
        let device = device.filter(|device| device.sub == user.state.sub).ok_or_else(Error::no_such_device)?.clone();
        Ok(Checked { session, user, device })
    }

    /// The sign-in in the challenge token, or the one that waits for the device.
    fn session(&self, found: &Snapshot, name: &str) -> Result<ChallengeSession, Error> {
        let open = |token: &str| challenge_token::open(&found.pool.id, &found.pool.keys, token);
        match self.response.session {
            Some(token) => open(token).ok_or_else(Error::invalid_session),
            None => {
                let told = clients::told(&found.pool.keys, name, &self.whence.network);
                let waiting = found.device.as_ref().and_then(|used| used.awaited.as_deref()).and_then(open);
                waiting.filter(|session| session.told == Some(told)).ok_or_else(Error::invalid_session)
            }
        }
    }

    async fn begin(
        &self,
        app: &App,
        caller: &Caller,
        found: &Snapshot,
        Checked { session, user, device }: Checked,
    ) -> Result<DeviceSrpAuth, Failure> {
        let pool = &found.pool;
        let vault = Vault { pool: &pool.id, device: device.id, key: &user.key };
        let kept = vault.secret(&device)?.ok_or_else(Error::invalid_session)?;
        let (salt, verifier) = (hex::encode(&kept.salt), kept.into_verifier());
        let secret = ServerSecret(app.random.bytes());
        let exponent = secret.clone();
        let server = app.hasher.work(&caller.turn(&pool.id), move || exchange::begin(&verifier, &exponent)).await?;
        let (key, srp_b) = (device.id.key(&pool.id), server.to_hex());
        let exchange = Exchange { user_id: key.clone(), password: None, client: self.client.clone(), secret, server };
        let session =
            ChallengeSession { challenge: ChallengeName::DevicePasswordVerifier, exchange: Some(exchange), ..session };
        let parameters = [
            ("DEVICE_KEY", key),
            ("SALT", salt),
            ("SECRET_BLOCK", secret_block::seal(&pool.id, &pool.keys, &session, &app.random)?),
            ("SRP_B", srp_b),
            ("USERNAME", user.state.username().to_owned()),
        ];
        Ok(DeviceSrpAuth { parameters: parameters.map(|(name, value)| (name.to_owned(), value)).into() })
    }
}

impl DeviceSrpAuth {
    /// Asks the device for its proof.
    pub fn answer<Given: AuthResponse>(&self) -> Given {
        let (name, parameters) = (ChallengeName::DevicePasswordVerifier, self.parameters.clone());
        Given::from(Answer::Challenge(Challenge { name, session: None, parameters, available: Vec::new() }))
    }
}
