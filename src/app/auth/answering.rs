//! The answer to a challenge: the session that it is for, and the user who gives it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::app::auth::made_up;
use crate::app::auth::named::guess_limit;
use crate::app::auth::sign_in::SignIn;
use crate::app::caller::Caller;
use crate::app::guesses::OneGuess;
use crate::app::hashing::forms;
use crate::app::whence::{Server, Whence};
use crate::app::{App, Failure, clients};
use crate::domain::auth::challenge::ChallengeName;
use crate::domain::auth::required_parameter;
use crate::domain::auth::session::{Answer, ChallengeSession};
use crate::domain::error::Error;
use crate::domain::ids::{ClientId, DeviceId, UserPoolId};
use crate::domain::rate::Limited;
use crate::domain::time::Timestamp;
use crate::domain::user_pool::NameRules;
use crate::store::cache::{ClientView, PoolView};
use crate::store::error::StoreError;
use crate::store::keys::PoolKeys;
use crate::store::loaded::LoadedUser;
use crate::store::metadata::Origin;
use crate::store::read::{Failures, Snapshot, Wanted};
use crate::tokens::challenge_token;

/// The answer to a challenge, as the caller sent it.
pub struct Response<'a> {
    /// The pool that the client belongs to, or that the server names.
    pub pool_id: UserPoolId,
    /// The client that the request names.
    pub client_id: ClientId,
    /// The challenge, by its name.
    pub challenge_name: &'a str,
    /// The challenge token, unopened.
    pub session: Option<&'a str>,
    /// The members of `ChallengeResponses`, by name.
    pub responses: &'a BTreeMap<String, String>,
    /// The `ClientMetadata` of the call, for triggers.
    pub client_metadata: &'a BTreeMap<String, String>,
    /// The caller, for what the answer writes.
    pub origin: Origin,
    /// For a trusted server: what it says about the person it answers for.
    pub server: Option<Server<'a>>,
}

impl<'a> Response<'a> {
    /// The challenge token, for a challenge that needs it.
    pub fn session(&self) -> Result<&'a str, Error> {
        self.session.ok_or_else(|| Error::invalid_parameter("Missing required parameter Session"))
    }

    /// A member of the responses that the challenge requires.
    pub fn required(&self, name: &'static str) -> Result<&'a str, Error> {
        required_parameter(self.responses, name)
    }

    /// The device that the caller names now, or has named in an earlier step of this sign-in.
    pub fn device(&self, session: Option<&ChallengeSession>) -> Option<DeviceId> {
        match self.responses.get("DEVICE_KEY") {
            Some(key) => DeviceId::of_key(&self.pool_id, key),
            None => session.and_then(|session| session.device),
        }
    }

    /// The proof that the client knows its secret.
    pub fn secret_hash(&self) -> Option<&'a str> {
        self.responses.get("SECRET_HASH").map(String::as_str)
    }
}

/// An answer whose session is opened.
pub struct Answering<'a> {
    response: Response<'a>,
    challenge: ChallengeName,
    username: &'a str,
    /// The sign-in of the challenge token, if the token is one of this pool.
    session: Option<ChallengeSession>,
    whence: Whence,
    /// The limit of wrong guesses in the session.
    in_session: Option<Limited>,
}

/// An answer that fits its session, and whose session is still valid.
pub struct Fitting<'a> {
    /// The client of the sign-in.
    pub client: Arc<ClientView>,
    /// The sign-in so far.
    pub session: &'a ChallengeSession,
    /// The user who signs in.
    pub user: LoadedUser,
    /// The limit of guesses from the caller's network, if there is one.
    limited: Option<Limited>,
}

/// An answer to a challenge for a first proof, which may be about a name that nobody has.
pub struct Begun<'a> {
    /// The client of the sign-in.
    pub client: Arc<ClientView>,
    /// The sign-in so far.
    pub session: &'a ChallengeSession,
    limited: Option<Limited>,
}

impl<'a> Answering<'a> {
    /// Opens the session of an answer to a challenge.
    pub async fn of(
        app: &App,
        caller: &Caller,
        response: Response<'a>,
        challenge: ChallengeName,
    ) -> Result<Self, Failure> {
        let (token, username) = (response.session()?, response.required("USERNAME")?);
        let hint = app.store.pool_hint(&response.pool_id).await?;
        let session = challenge_token::open(&response.pool_id, &hint.keys, token);
        let whence = Whence::of_person(&hint.keys, caller, response.server);
        let in_session = session.as_ref().and_then(|session| guesses_in(app, &hint.keys, session));
        Ok(Self { response, challenge, username, session, whence, in_session })
    }

    /// Waits for other guesses at the second factor of the same user from the same network.
    pub async fn alone(&self, app: &App, caller: &Caller) -> Result<OneGuess, Error> {
        let sub = self.session.as_ref().map(|session| session.sub.to_string()).unwrap_or_default();
        let whose = [b"second factor of ", sub.as_bytes(), &*self.whence.network].concat();
        app.guesses.begin(&whose, caller.patience).await
    }

    /// Reads the user of the session, with what a sign-in needs and what else is wanted.
    pub async fn read(&self, app: &App, wanted: Wanted<'_>) -> Result<Snapshot, StoreError> {
        let wanted = Wanted {
            sub: self.session.as_ref().map(|session| session.sub),
            failures: Some(Failures::SignIn),
            network: Some(&self.whence.network),
            nobody: self.session.as_ref().map(|session| session.sub),
            device: self.response.device(self.session.as_ref()),
            groups: true,
            ..wanted
        };
        app.store.read(&self.response.pool_id, Some(&self.response.client_id), wanted).await
    }

    /// The same, with the guesses so far: those in the session, and those that the name's callers are told of.
    pub async fn read_for_guess(&self, app: &App, wanted: Wanted<'_>) -> Result<Snapshot, StoreError> {
        let told = self.session.as_ref().and_then(|session| session.told);
        self.read(app, Wanted { told, rate: self.in_session.as_ref(), ..wanted }).await
    }

    /// Checks that the answer is for this session, and that the session is still valid.
    pub async fn check(&self, app: &App, found: &Snapshot, at: Timestamp) -> Result<Fitting<'_>, Error> {
        let Response { client_id, .. } = &self.response;
        let (pool, client) = (&found.pool, found.client.clone().ok_or_else(|| Error::no_such_client(client_id))?);
        clients::check_secret_hash(pool, &client.state, &[self.username], self.response.secret_hash())?;
        let session = self.session.as_ref().ok_or_else(Error::invalid_session)?;
        if !session.is_for(self.challenge, &client.state.client_id) {
            return Err(self.unfit(app, session).await?);
        }
        let user = found.user.clone().ok_or_else(Error::no_such_user)?;
        let given = Answer {
            challenge: self.challenge,
            client: &client.state,
            user: &user.state,
            password: forms::id_of(user.state.password.as_ref())?,
            username: Some(self.username),
            name_rules: &pool.name_rules,
            at,
        };
        if !session.fits(&given) {
            return Err(self.unfit(app, session).await?);
        }
        session.check(&given)?;
        let limited = guess_limit(app, &self.whence, found, &client);
        Ok(Fitting { client, session, user, limited })
    }

    /// The refusal of an answer that its session does not fit.
    async fn unfit(&self, app: &App, session: &ChallengeSession) -> Result<Error, StoreError> {
        let is_used = app.store.is_nonce_spent(&self.response.pool_id, session.nonce).await?;
        Ok(if is_used { Error::used_session() } else { Error::invalid_session() })
    }

    /// Whether the session has proved nothing yet.
    pub fn is_first_proof(&self) -> bool {
        self.session.as_ref().is_some_and(|session| !session.proofs.has_begun())
    }

    /// Checks that the answer is for this session, where the session may be about a name that nobody has.
    pub async fn check_begun(&self, app: &App, found: &Snapshot, at: Timestamp) -> Result<Begun<'_>, Error> {
        let Response { pool_id, client_id, .. } = &self.response;
        let (pool, client) = (&found.pool, found.client.clone().ok_or_else(|| Error::no_such_client(client_id))?);
        clients::check_secret_hash(pool, &client.state, &[self.username], self.response.secret_hash())?;
        let session = self.session.as_ref().ok_or_else(Error::invalid_session)?;
        let name = pool.name_rules.normalise(self.username);
        let fits = match &found.user {
            Some(user) => {
                let password = forms::id_of(user.state.password.as_ref())?;
                let is_name = user.state.names(&pool.name_rules).contains(&name);
                is_name && session.proofs.hold(&user.state, password)
            }
            None => clients::nobody(&pool.keys, &name) == session.sub || is_made_up(pool, session, &name),
        };
        if !session.is_for(self.challenge, &client.state.client_id) || !fits {
            return Err(Error::invalid_session());
        }
        session.check_time(at)?;
        if app.store.is_nonce_spent(pool_id, session.nonce).await? {
            return Err(Error::used_session());
        }
        let limited = guess_limit(app, &self.whence, found, &client);
        Ok(Begun { client, session, limited })
    }

    /// The sign-in that an answer with a first proof continues.
    pub fn sign_in_begun<'b>(&'b self, found: &'b Snapshot, begun: &'b Begun<'_>, at: Timestamp) -> SignIn<'b> {
        let Begun { client, session, limited } = begun;
        self.continued(found, client, session, limited.as_ref(), at)
    }

    /// The sign-in that the answer continues.
    pub fn sign_in<'b>(&'b self, found: &'b Snapshot, fitting: &'b Fitting<'_>, at: Timestamp) -> SignIn<'b> {
        let Fitting { client, session, limited, .. } = fitting;
        self.continued(found, client, session, limited.as_ref(), at)
    }

    fn continued<'b>(
        &'b self,
        found: &'b Snapshot,
        client: &'b ClientView,
        session: &ChallengeSession,
        limited: Option<&'b Limited>,
        at: Timestamp,
    ) -> SignIn<'b> {
        SignIn {
            flow: session.flow,
            found,
            client,
            client_metadata: self.response.client_metadata,
            origin: &self.response.origin,
            whence: &self.whence,
            told: session.told,
            limited,
            spends: None,
            at,
        }
    }

    /// How the pool compares names.
    pub async fn name_rules(&self, app: &App) -> Result<NameRules, StoreError> {
        Ok(app.store.pool_hint(&self.response.pool_id).await?.name_rules.clone())
    }

    /// The members of the answer.
    pub fn responses(&self) -> &'a BTreeMap<String, String> {
        self.response.responses
    }
}

/// Whether it is the user name that a custom challenge has shown for a name that nobody has.
fn is_made_up(pool: &PoolView, session: &ChallengeSession, name: &str) -> bool {
    let written = session.custom.as_ref().and_then(|open| open.written.as_deref());
    written.is_some_and(|written| pool.name_rules.normalise(&made_up::username(pool, written)) == name)
}

/// The limit of wrong guesses in a session.
pub fn guesses_in(app: &App, keys: &PoolKeys, session: &ChallengeSession) -> Option<Limited> {
    app.limits.guess_in_session(|| keys.keyed_hash("guesses in a session", &[&session.nonce.to_string()]))
}
