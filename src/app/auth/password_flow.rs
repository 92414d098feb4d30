//! USER_PASSWORD_AUTH and ADMIN_USER_PASSWORD_AUTH: one read, one hash, one commit in one round trip.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::app::attempts::FirstRead;
use crate::app::auth::answer::Answer;
use crate::app::auth::challenges::{self, Beginning, Server};
use crate::app::auth::session;
use crate::app::caller::Caller;
use crate::app::guesses::OneGuess;
use crate::app::password_forms::{Comparison, stored_hash};
use crate::app::whence::Whence;
use crate::app::{App, Failure, clients};
use crate::domain::app_client::AppClient;
use crate::domain::auth::lockout::Hearing;
use crate::domain::auth::password_sign_in::{PasswordSignIn, SignIn, password_sign_in, refuse_unheard};
use crate::domain::auth::{AuthFlow, flow_not_enabled, required_parameter};
use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::ids::{ClientId, StreamId, Sub, UserPoolId};
use crate::domain::rate::Limited;
use crate::domain::source::Source;
use crate::domain::time::Timestamp;
use crate::proto::events::UserPasswordRehashed;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::store::cache::{ClientView, PoolView};
use crate::store::commit::Commit;
use crate::store::error::StoreError;
use crate::store::loaded::LoadedUser;
use crate::store::metadata::{ActorKind, Origin};
use crate::store::read::{Failures, Snapshot, Wanted};
use crate::store::seal::{FieldClass, Place};
use crate::store::sign_in as store;

/// A sign-in by password as it was asked for.
pub struct Asked<'a> {
    /// The flow.
    pub flow: AuthFlow,
    /// The pool.
    pub pool_id: UserPoolId,
    /// The client.
    pub client_id: ClientId,
    /// The trusted server that signs the person in, if one does.
    pub server: Option<Server<'a>>,
    /// Name, password and proof of the client.
    pub parameters: &'a BTreeMap<String, String>,
}

/// One guess at one name, whose password is compared already.
pub struct Guess<'a> {
    flow: AuthFlow,
    is_by_server: bool,
    pool_id: UserPoolId,
    client_id: ClientId,
    username: &'a str,
    password: &'a str,
    secret_hash: Option<&'a str>,
    name: String,
    nobody: Sub,
    told: Sub,
    whence: Whence,
    found: FirstRead<Snapshot>,
    comparison: Option<Comparison>,
    _alone: OneGuess,
}

/// Hears a guess: compares the password, unless it is not to be heard.
pub async fn hear<'a>(app: &App, caller: &Caller, asked: Asked<'a>) -> Result<Guess<'a>, Failure> {
    let Asked { flow, pool_id, client_id, server, parameters } = asked;
    let username = required_parameter(parameters, "USERNAME")?;
    let password = required_parameter(parameters, "PASSWORD")?;
    let secret_hash = parameters.get("SECRET_HASH").map(String::as_str);
    app.passwords.refuse_beyond(&caller.turn(&pool_id)).await?;
    let hint = app.store.pool_hint(&pool_id).await?;
    let name = hint.name_rules.normalise(username);
    let nobody = clients::nobody(&hint.keys, &name);
    let whence = match server {
        Some(server) => Whence::of_server(&hint.keys, server.person_address),
        None => Whence::of_stranger(&hint.keys, caller),
    };
    let told = clients::told(&hint.keys, &name, &whence.network);
    // Those of one network: who guesses from elsewhere holds nobody up.
    let alone = app.guesses.begin(&[nobody.0.as_bytes(), &*whence.network].concat(), caller.patience).await?;
    let mut guess = Guess {
        flow,
        is_by_server: server.is_some(),
        pool_id,
        client_id,
        username,
        password,
        secret_hash,
        name,
        nobody,
        told,
        whence,
        found: FirstRead::none(),
        comparison: None,
        _alone: alone,
    };
    let found = guess.read(app).await?;
    guess.comparison = guess.compare(app, caller, &found).await?;
    guess.found = FirstRead::new(found);
    Ok(guess)
}

impl Guess<'_> {
    async fn read(&self, app: &App) -> Result<Snapshot, StoreError> {
        let limited = self.whence.guess(app);
        let wanted = Wanted {
            name: Some(&self.name),
            nobody: Some(self.nobody),
            told: Some(self.told),
            failures: Some(Failures::SignIn),
            network: Some(&self.whence.network),
            rate: limited.as_ref(),
            groups: true,
            ..Wanted::default()
        };
        app.store.read(&self.pool_id, Some(&self.client_id), wanted).await
    }

    /// The client, if it may ask, and the limit that the guess spends.
    fn check(&self, app: &App, found: &Snapshot, at: Timestamp) -> Result<(Arc<ClientView>, Option<Limited>), Error> {
        let client = found.client.clone().ok_or_else(|| Error::no_such_client(&self.client_id))?;
        clients::check_secret_hash(&found.pool, &client.state, &[self.username], self.secret_hash)?;
        if !client.state.allows(self.flow.name()) {
            return Err(flow_not_enabled(self.flow, self.is_by_server));
        }
        // None where the user is known to be, so that nobody else there can keep it out; nor of a server.
        let is_limited = found.source() == Source::Strange && client.state.client_secret.is_none();
        let limited = self.whence.guess(app).filter(|_| is_limited);
        match limited.as_ref().and_then(|limited| limited.rate.wait(found.arrival, at)) {
            Some(wait) => Err(Error::limit_exceeded_for(wait)),
            None => Ok((client, limited)),
        }
    }

    fn sign_in<'a>(
        &self,
        found: &'a Snapshot,
        client: &'a AppClient,
        session_id: Uuid,
        at: Timestamp,
    ) -> PasswordSignIn<'a> {
        PasswordSignIn {
            pool: &found.pool.state,
            client,
            flow: self.flow,
            user: found.user.as_ref().map(|user| &user.state),
            password_matches: false,
            attempts: found.attempts.map(|attempts| attempts.attempts),
            attempts_by_name: found.attempts_by_name,
            session_id,
            at,
        }
    }

    async fn compare(&self, app: &App, caller: &Caller, found: &Snapshot) -> Result<Option<Comparison>, Failure> {
        let at = app.clock.now();
        let (client, _) = self.check(app, found, at)?;
        if refuse_unheard(&self.sign_in(found, &client.state, app.random.event_id(at), at)).is_some() {
            return Ok(None);
        }
        let user = found.user.as_ref();
        Ok(Some(Comparison::make(app, caller, &found.pool, user, self.password).await?))
    }

    /// Signs the user in, asks for what is missing, or refuses the guess.
    pub async fn settle<Given: From<Answer> + prost::Message>(
        &self,
        app: &App,
        caller: &Caller,
    ) -> Result<Given, Failure> {
        let found = self.found.or(self.read(app)).await?;
        let (source, at) = (found.source(), app.clock.now());
        let (client, limited) = self.check(app, &found, at)?;
        let (pool, client, user) = (&found.pool, &client.state, found.user.as_ref());
        let begun = user.map(|user| session::begin(app, client, &user.state, at));
        let session_id = begun.as_ref().map_or_else(|| app.random.event_id(at), |session| session.event_id);
        let mut sign_in = self.sign_in(&found, client, session_id, at);
        let outcome = match refuse_unheard(&sign_in) {
            Some(locked) => locked,
            None => {
                let comparison = self.comparison.as_ref().ok_or(Failure::Outdated)?;
                sign_in.password_matches = comparison.matches(pool, user)?;
                password_sign_in(&sign_in)
            }
        };
        let origin = match self.flow {
            AuthFlow::AdminUserPassword => caller.developer_origin(),
            AuthFlow::UserPassword | AuthFlow::RefreshToken => {
                caller.origin(ActorKind::AppClient, self.client_id.to_string(), None)
            }
        };
        let attempt = store::Attempt {
            pool_id: &self.pool_id,
            keys: &pool.keys,
            origin: &origin,
            nobody: self.nobody,
            told: self.told,
            failures: Failures::SignIn,
            source,
            limited: limited.as_ref(),
            at,
        };
        match (outcome, user, begun) {
            (SignIn::Accepted(fact), Some(user), Some(begun)) => {
                let tokens = session::first_tokens(app, pool, client, &user.state, &found.groups, &begun, at)?;
                let answer = Given::from(Answer::Tokens(Box::new(tokens)));
                let accepted = store::Accepted {
                    user,
                    session: &begun,
                    attempts: found.attempts,
                    is_counted_by_name: found.attempts_by_name.is_some(),
                    network: self.whence.to_remember(found.familiar_since, at),
                    fact: &Activity::SignedIn(fact),
                };
                app.store.accept_sign_in(attempt, accepted, &answer).await?;
                self.rehash_if_outdated(app, caller, pool, user, &origin).await;
                Ok(answer)
            }
            (SignIn::Challenged(name), Some(user), _) => {
                caller.is_answered_about(user);
                app.store.assert_heard(attempt, user, found.attempts).await?;
                let beginning = Beginning { flow: self.flow, told: Some(self.told) };
                Ok(challenges::issue(app, pool, client, &user.state, beginning, name, at)?.into())
            }
            (SignIn::Accepted(_) | SignIn::Challenged(_), _, _) => {
                Err(Error::internal("a sign-in of nobody was accepted").into())
            }
            (SignIn::Refused { activity, hearing, error }, user, _) => {
                // What is heard at a user is bounded by the lock-out.
                let is_bounded = user.is_some() && hearing != Hearing::Unheard;
                let is_recorded = is_bounded || app.limits.records(&self.pool_id);
                let refused = store::Refused { user, before: found.attempts, hearing, is_recorded };
                app.store.refuse_sign_in(attempt, refused, &Activity::SignInRefused(activity)).await?;
                Err(error.into())
            }
        }
    }
}

impl Guess<'_> {
    /// Hashes the password again if its cost is not today's. It is known only now, and the sign-in does not depend on it.
    async fn rehash_if_outdated(
        &self,
        app: &App,
        caller: &Caller,
        pool: &PoolView,
        user: &LoadedUser,
        origin: &Origin,
    ) {
        let outdated = matches!(stored_hash(pool, user), Ok(Some(stored)) if app.passwords.is_outdated(&stored));
        if outdated && let Err(failure) = self.rehash(app, caller, pool, user, origin).await {
            tracing::warn!(?failure, "a password could not be hashed again; the next sign-in will try");
        }
    }

    async fn rehash(
        &self,
        app: &App,
        caller: &Caller,
        pool: &PoolView,
        user: &LoadedUser,
        origin: &Origin,
    ) -> Result<(), Failure> {
        let hash = app.passwords.hash(self.password, app.random.bytes(), &caller.turn(&pool.id)).await?;
        let stream = StreamId::user(user.state.sub);
        let place = Place { pool: &pool.id, stream: &stream, class: FieldClass::PasswordHash };
        let password_hash = user.key.seal(place, app.random.uuid(), hash.as_bytes()).0;
        let event = Event::PasswordRehashed(UserPasswordRehashed { password_hash });
        let decision = Decision::events(vec![event], ());
        app.store.settle(Commit::about(pool, origin, app.clock.now()).decided(user, decision)).await
    }
}
