//! USER_PASSWORD_AUTH and ADMIN_USER_PASSWORD_AUTH: one read, one hash, one commit in one round trip.

use std::sync::Arc;

use crate::app::attempts::FirstRead;
use crate::app::auth::answer::AuthResponse;
use crate::app::auth::flows::Asked;
use crate::app::auth::machine;
use crate::app::auth::sign_in::SignIn;
use crate::app::caller::Caller;
use crate::app::guesses::OneGuess;
use crate::app::hashing::forms::{Comparison, stored_hash};
use crate::app::whence::Whence;
use crate::app::{App, Failure, clients};
use crate::domain::auth::{flow_not_enabled, required_parameter};
use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::ids::{StreamId, Sub};
use crate::domain::rate::Limited;
use crate::domain::source::Source;
use crate::domain::time::Timestamp;
use crate::domain::user::UserStatus;
use crate::proto::events::UserPasswordRehashed;
use crate::proto::events::user_event::Event;
use crate::store::cache::{ClientView, PoolView};
use crate::store::commit::Commit;
use crate::store::error::StoreError;
use crate::store::loaded::LoadedUser;
use crate::store::metadata::Origin;
use crate::store::read::{Failures, Snapshot, Wanted};
use crate::store::seal::{FieldClass, Place};

/// One guess of a password at one name; the password is compared already.
pub struct Guess<'a> {
    asked: Asked<'a>,
    username: &'a str,
    password: &'a str,
    name: String,
    stands_for_name: Sub,
    told: Sub,
    whence: Whence,
    found: FirstRead<Snapshot>,
    comparison: Option<Comparison>,
    _alone: OneGuess,
}

/// Compares the password, unless the guess will be refused without it.
pub async fn prepare<'a>(app: &App, caller: &Caller, asked: Asked<'a>) -> Result<Guess<'a>, Failure> {
    let username = required_parameter(asked.parameters, "USERNAME")?;
    let password = required_parameter(asked.parameters, "PASSWORD")?;
    app.hasher.refuse_beyond(&caller.turn(&asked.pool_id)).await?;
    let hint = app.store.pool_hint(&asked.pool_id).await?;
    let name = hint.name_rules.normalise(username);
    let stands_for_name = clients::nobody(&hint.keys, &name);
    let whence = Whence::of_person(&hint.keys, caller, asked.server);
    let told = clients::told(&hint.keys, &name, &whence.network);
    // Only guesses from the same network queue: guesses from elsewhere delay no other caller.
    let alone = app.guesses.begin(&[stands_for_name.0.as_bytes(), &*whence.network].concat(), caller.patience).await?;
    let mut guess = Guess {
        asked,
        username,
        password,
        name,
        stands_for_name,
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
            nobody: Some(self.stands_for_name),
            told: Some(self.told),
            failures: Some(Failures::SignIn),
            network: Some(&self.whence.network),
            rate: limited.as_ref(),
            groups: true,
            ..Wanted::default()
        };
        app.store.read(&self.asked.pool_id, Some(&self.asked.client_id), wanted).await
    }

    /// The client, if it may sign in this way, and the limit that the guess spends.
    fn check(&self, app: &App, found: &Snapshot, at: Timestamp) -> Result<(Arc<ClientView>, Option<Limited>), Error> {
        let Asked { flow, client_id, server, parameters, .. } = &self.asked;
        let client = found.client.clone().ok_or_else(|| Error::no_such_client(client_id))?;
        let secret_hash = parameters.get("SECRET_HASH").map(String::as_str);
        clients::check_secret_hash(&found.pool, &client.state, &[self.username], secret_hash)?;
        if !client.state.allows(flow.name()) {
            return Err(flow_not_enabled(*flow, server.is_some()));
        }
        // No limit from networks that the user is known on, so that others there can't lock them out; nor for a trusted
        // server.
        let is_limited = found.source() == Source::Strange && client.state.client_secret.is_none();
        let limited = self.whence.guess(app).filter(|_| is_limited);
        limited.as_ref().map_or(Ok(()), |limited| limited.check(found.arrival, at))?;
        Ok((client, limited))
    }

    fn sign_in<'a>(
        &'a self,
        found: &'a Snapshot,
        client: &'a ClientView,
        limited: Option<&'a Limited>,
        at: Timestamp,
    ) -> SignIn<'a> {
        let Asked { flow, origin, .. } = &self.asked;
        SignIn { flow: *flow, found, client, origin, whence: &self.whence, told: Some(self.told), limited, at }
    }

    async fn compare(&self, app: &App, caller: &Caller, found: &Snapshot) -> Result<Option<Comparison>, Failure> {
        let at = app.clock.now();
        let (client, limited) = self.check(app, found, at)?;
        if machine::is_unheard(&self.sign_in(found, &client, limited.as_ref(), at)) {
            return Ok(None);
        }
        let user = found.user.as_ref();
        Ok(Some(Comparison::make(app, caller, &found.pool, user, self.password).await?))
    }

    /// Signs the user in, asks for what is missing, or refuses the guess.
    pub async fn settle<Response: AuthResponse>(&self, app: &App, caller: &Caller) -> Result<Response, Failure> {
        let found = self.found.or(self.read(app)).await?;
        let at = app.clock.now();
        let (client, limited) = self.check(app, &found, at)?;
        let sign_in = self.sign_in(&found, &client, limited.as_ref(), at);
        let response =
            machine::hear_password(app, caller, sign_in, self.stands_for_name, self.comparison.as_ref()).await?;
        if let Some(user) = &found.user {
            self.rehash_if_outdated(app, caller, &found.pool, user).await;
        }
        Ok(response)
    }
}

impl Guess<'_> {
    /// Hashes the password again if its cost is outdated. The password is known only now, and the sign-in does not
    /// depend on it. A password that the next step replaces is left as it is.
    async fn rehash_if_outdated(&self, app: &App, caller: &Caller, pool: &PoolView, user: &LoadedUser) {
        let stays = user.state.status != UserStatus::ForceChangePassword;
        let outdated = matches!(stored_hash(pool, user), Ok(Some(stored)) if app.hasher.is_outdated(&stored));
        if stays
            && outdated
            && let Err(failure) = self.rehash(app, caller, pool, user).await
        {
            tracing::warn!(?failure, "a password could not be hashed again; the next sign-in will try");
        }
    }

    async fn rehash(&self, app: &App, caller: &Caller, pool: &PoolView, user: &LoadedUser) -> Result<(), Failure> {
        let hash = app.hasher.hash(self.password, app.random.bytes(), &caller.turn(&pool.id)).await?;
        let stream = StreamId::user(user.state.sub);
        let place = Place { pool: &pool.id, stream: &stream, class: FieldClass::PasswordHash };
        let password_hash = user.key.seal(place, app.random.uuid(), hash.as_bytes()).0;
        let event = Event::PasswordRehashed(UserPasswordRehashed { password_hash });
        let decision = Decision::events(vec![event], ());
        // The idempotency key belongs to the sign-in, whose answer is stored already.
        let origin = Origin { command: None, ..self.asked.origin.clone() };
        app.store.settle(Commit::about(pool, &origin, app.clock.now()).decided(user, decision)).await
    }
}
