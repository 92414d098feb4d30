//! A sign-in of a user by name, until it has proved something: how the user is found, and whose guesses count.

use std::sync::Arc;

use crate::app::auth::asked::Asked;
use crate::app::auth::sign_in::SignIn;
use crate::app::caller::Caller;
use crate::app::clients::NamedThroughClient;
use crate::app::guesses::OneGuess;
use crate::app::whence::Whence;
use crate::app::{App, Failure, clients};
use crate::domain::auth::challenge::ChallengeName;
use crate::domain::auth::first_factor::FirstFactor;
use crate::domain::auth::session::{ChallengeSession, Exchange, Proofs, expires_at};
use crate::domain::auth::{flow_not_enabled, required_parameter};
use crate::domain::error::Error;
use crate::domain::ids::Sub;
use crate::domain::rate::Limited;
use crate::domain::source::Source;
use crate::domain::time::Timestamp;
use crate::proto::events::CodePurpose;
use crate::store::cache::ClientView;
use crate::store::error::StoreError;
use crate::store::read::{Failures, Snapshot, Wanted};

/// A sign-in of a user by name.
pub struct Named<'a> {
    /// The flow as the caller asked for it.
    pub asked: Asked<'a>,
    /// The name as the caller wrote it.
    pub username: &'a str,
    name: String,
    /// The stand-in for the name: guesses count for it if no user has the name.
    pub stands_for_name: Sub,
    told: Sub,
    whence: Whence,
}

impl<'a> Named<'a> {
    /// The sign-in that a flow with the parameter USERNAME asks for.
    pub async fn new(app: &App, caller: &Caller, asked: Asked<'a>) -> Result<Self, Failure> {
        let username = required_parameter(asked.parameters, "USERNAME")?;
        let hint = app.store.pool_hint(&asked.pool_id).await?;
        let name = hint.name_rules.normalise(username);
        let stands_for_name = clients::nobody(&hint.keys, &name);
        let whence = Whence::of_person(&hint.keys, caller, asked.server);
        let told = clients::told(&hint.keys, &name, &whence.network);
        Ok(Self { asked, username, name, stands_for_name, told, whence })
    }

    /// Waits for other guesses at the name. Only guesses from the same network queue: guesses from elsewhere delay no
    /// other caller.
    pub async fn alone(&self, app: &App, caller: &Caller) -> Result<OneGuess, Error> {
        app.guesses.begin(&[self.stands_for_name.0.as_bytes(), &*self.whence.network].concat(), caller.patience).await
    }

    /// Reads client, user, groups and earlier guesses.
    pub async fn read(&self, app: &App) -> Result<Snapshot, StoreError> {
        self.read_by(app, Some(&self.name)).await
    }

    /// The same as if no user had the name.
    pub async fn read_nobody(&self, app: &App) -> Result<Snapshot, StoreError> {
        self.read_by(app, None).await
    }

    /// The same, with the codes that were sent for this purpose.
    pub async fn read_with_code(&self, app: &App, purpose: CodePurpose) -> Result<Snapshot, StoreError> {
        self.read_wanted(app, Some(&self.name), Some(purpose)).await
    }

    async fn read_by(&self, app: &App, name: Option<&str>) -> Result<Snapshot, StoreError> {
        self.read_wanted(app, name, None).await
    }

    async fn read_wanted(
        &self,
        app: &App,
        name: Option<&str>,
        code: Option<CodePurpose>,
    ) -> Result<Snapshot, StoreError> {
        let limited = self.whence.guess(app);
        let wanted = Wanted {
            name,
            code,
            nobody: Some(self.stands_for_name),
            told: Some(self.told),
            failures: Some(Failures::SignIn),
            network: Some(&self.whence.network),
            rate: limited.as_ref(),
            device: self.asked.device(),
            groups: true,
            ..Wanted::default()
        };
        app.store.read(&self.asked.pool_id, Some(&self.asked.client_id), wanted).await
    }

    /// What was found, in the form in which codes are asked for through a client.
    pub fn through_client(&self, found: Snapshot, client: Arc<ClientView>) -> NamedThroughClient {
        let whence = self.whence.clone().with_secret(client.state.client_secret.is_some());
        NamedThroughClient { found, client, nobody: self.stands_for_name, told: self.told, whence }
    }

    /// The client, if it may sign in this way, and the limit that the guess spends. Outdated if the caller's preference is not
    /// among the pool's factors any more.
    pub fn check(
        &self,
        app: &App,
        found: &Snapshot,
        at: Timestamp,
    ) -> Result<(Arc<ClientView>, Option<Limited>), Failure> {
        let Asked { flow, client_id, server, parameters, .. } = &self.asked;
        let client = found.client.clone().ok_or_else(|| Error::no_such_client(client_id))?;
        let secret_hash = parameters.get("SECRET_HASH").map(String::as_str);
        clients::check_secret_hash(&found.pool, &client.state, &[self.username], secret_hash)?;
        if !client.state.allows(flow.name()) {
            return Err(flow_not_enabled(*flow, server.is_some()).into());
        }
        if self.asked.chosen.is_some_and(|factor| !FirstFactor::available(&found.pool.state).contains(&factor)) {
            return Err(match self.asked.continues {
                Some(_) => Error::invalid_parameter("ANSWER must be one of the AvailableChallenges.").into(),
                // The preference was looked at by the pool as this replica knew it: by now it knows better.
                None => Failure::Outdated,
            });
        }
        if let Some(session) = &self.asked.continues {
            // A user who has come over since has the session of the name.
            let sub = found.user.as_ref().map_or(self.stands_for_name, |user| user.state.sub);
            let is_of_name = session.sub == sub || session.sub == self.stands_for_name;
            if session.client_id != client.state.client_id || !is_of_name {
                return Err(Error::invalid_session().into());
            }
            session.check_time(at)?;
        }
        let limited = guess_limit(app, &self.whence, found, &client);
        limited.as_ref().map_or(Ok(()), |limited| limited.check(found.arrival, at))?;
        Ok((client, limited))
    }

    /// The attempt to sign in at this time.
    pub fn sign_in<'b>(
        &'b self,
        found: &'b Snapshot,
        client: &'b ClientView,
        limited: Option<&'b Limited>,
        at: Timestamp,
    ) -> SignIn<'b> {
        let Asked { flow, origin, continues, .. } = &self.asked;
        let client_metadata = self.asked.metadata_after_begin();
        let told = continues.as_ref().and_then(|session| session.told).or(Some(self.told));
        let spends = continues.as_ref().map(ChallengeSession::spent);
        let (flow, whence) = (*flow, &self.whence);
        SignIn { flow, found, client, client_metadata, origin, whence, told, limited, spends, at }
    }

    /// The content of a challenge that asks for a first proof. A challenge that follows another one is spent with it.
    pub fn session(
        &self,
        app: &App,
        sign_in: SignIn<'_>,
        challenge: ChallengeName,
        exchange: Option<Exchange>,
    ) -> ChallengeSession {
        let client = &sign_in.client.state;
        ChallengeSession {
            nonce: sign_in.spends.map_or_else(|| app.random.uuid(), |nonce| nonce.id),
            challenge,
            flow: sign_in.flow,
            client_id: client.client_id.clone(),
            sub: sign_in.found.user.as_ref().map_or(self.stands_for_name, |user| user.state.sub),
            proofs: Proofs::default(),
            told: sign_in.told,
            exchange,
            custom: None,
            device: self.asked.device(),
            expires_at: expires_at(client, sign_in.at),
        }
    }
}

/// The limit that a guess spends. No limit from networks that the user is known on, so that others there can't lock them
/// out; nor for a trusted server.
pub fn guess_limit(app: &App, whence: &Whence, found: &Snapshot, client: &ClientView) -> Option<Limited> {
    let is_limited = found.source() == Source::Strange && client.state.client_secret.is_none();
    whence.guess(app).filter(|_| is_limited)
}
