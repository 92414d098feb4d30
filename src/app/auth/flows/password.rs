//! USER_PASSWORD_AUTH and ADMIN_USER_PASSWORD_AUTH: one read, one hash, one commit in one round trip. A user whom the pool
//! does not know may come over from another directory first.

use crate::app::attempts::FirstRead;
use crate::app::auth::admission;
use crate::app::auth::answer::AuthResponse;
use crate::app::auth::asked::Asked;
use crate::app::auth::machine;
use crate::app::auth::named::Named;
use crate::app::caller::Caller;
use crate::app::guesses::OneGuess;
use crate::app::hashing::forms::{self, Comparison, Owner, PasswordForms, lacks_verifier, stored_hash};
use crate::app::migration::{self, Stranger};
use crate::app::{App, Failure};
use crate::domain::auth::required_parameter;
use crate::domain::decision::Decision;
use crate::domain::error::{Error, Exception};
use crate::domain::trigger::NO_METADATA;
use crate::domain::user::{Password, UserStatus};
use crate::proto::events::UserPasswordRehashed;
use crate::proto::events::user_event::Event;
use crate::store::cache::PoolView;
use crate::store::commit::Commit;
use crate::store::loaded::LoadedUser;
use crate::store::metadata::Origin;
use crate::store::read::Snapshot;

/// One guess of a password at one name; the password is compared already.
pub struct Guess<'a> {
    named: Named<'a>,
    password: &'a str,
    found: FirstRead<Snapshot>,
    comparison: Option<Comparison>,
    /// The refusal of the user migration trigger, if it has refused the password.
    stranger: Option<Error>,
    _alone: OneGuess,
}

/// Compares the password, unless the guess will be refused without it.
pub async fn prepare<'a>(app: &App, caller: &Caller, asked: Asked<'a>) -> Result<Guess<'a>, Failure> {
    required_parameter(asked.parameters, "USERNAME")?;
    let password = required_parameter(asked.parameters, "PASSWORD")?;
    app.hasher.refuse_beyond(&caller.turn(&asked.pool_id)).await?;
    let named = Named::new(app, caller, asked).await?;
    let alone = named.alone(app, caller).await?;
    let mut guess =
        Guess { named, password, found: FirstRead::none(), comparison: None, stranger: None, _alone: alone };
    let mut found = guess.named.read(app).await?;
    if found.user.is_none() && migration::is_on(app, &found.pool) && guess.come_over(app, caller, &found).await? {
        found = guess.named.read(app).await?;
    }
    guess.comparison = guess.compare(app, caller, &found).await?;
    guess.found = FirstRead::new(found);
    Ok(guess)
}

impl Guess<'_> {
    /// Lets a user come over whom the pool's trigger knows by this password. Nobody is asked about a name that is locked.
    async fn come_over(&mut self, app: &App, caller: &Caller, found: &Snapshot) -> Result<bool, Failure> {
        let at = app.clock.now();
        let (client, limited) = self.named.check(app, found, at)?;
        if machine::is_locked(&self.named.sign_in(found, &client, limited.as_ref(), at)) {
            return Ok(false);
        }
        // What comes with InitiateAuth is validation data, what comes with the answer to a challenge is metadata.
        let Asked { client_metadata, continues, origin, .. } = &self.named.asked;
        let (validation_data, client_metadata) = match continues {
            None => (*client_metadata, &NO_METADATA),
            Some(_) => (&NO_METADATA, *client_metadata),
        };
        let (pool, password, username) = (&*found.pool, Some(self.password), self.named.username);
        let client = &*client;
        let stranger = Stranger { pool, client, username, password, validation_data, client_metadata, origin };
        match stranger.come_over(app, caller).await {
            Err(Failure::Refused(error)) if error.exception == Exception::UserLambdaValidationException => {
                self.stranger = Some(error);
                Ok(false)
            }
            known => known,
        }
    }

    async fn compare(&self, app: &App, caller: &Caller, found: &Snapshot) -> Result<Option<Comparison>, Failure> {
        let at = app.clock.now();
        let (client, limited) = self.named.check(app, found, at)?;
        let sign_in = self.named.sign_in(found, &client, limited.as_ref(), at);
        if machine::is_unheard(&sign_in) {
            return Ok(None);
        }
        admission::ask(app, caller, &self.named, sign_in).await?;
        let user = found.user.as_ref();
        Ok(Some(Comparison::make(app, caller, &found.pool, user, self.password).await?))
    }

    /// Signs the user in, asks for what is missing, or refuses the guess.
    pub async fn settle<Response: AuthResponse>(&self, app: &App, caller: &Caller) -> Result<Response, Failure> {
        let found = self.found.or(self.named.read(app)).await?;
        let at = app.clock.now();
        let (client, limited) = self.named.check(app, &found, at)?;
        let sign_in = self.named.sign_in(&found, &client, limited.as_ref(), at);
        if let (None, Some(error)) = (&found.user, &self.stranger) {
            let error = Error::new(error.exception, error.message.clone());
            return machine::refuse_stranger(app, sign_in, self.named.stands_for_name, error).await;
        }
        let response =
            machine::hear_password(app, caller, sign_in, self.named.stands_for_name, self.comparison.as_ref()).await?;
        if let Some(user) = &found.user {
            self.renew_if_outdated(app, caller, &found.pool, user).await;
        }
        Ok(response)
    }
}

impl Guess<'_> {
    /// Makes the stored forms of the password again if the hash has an outdated cost, or if there is no verifier for SRP.
    /// The password is known only now, and the sign-in does not depend on it. A password that the next step replaces is
    /// left as it is.
    async fn renew_if_outdated(&self, app: &App, caller: &Caller, pool: &PoolView, user: &LoadedUser) {
        let stays = user.state.status != UserStatus::ForceChangePassword;
        let has_old_hash = matches!(stored_hash(pool, user), Ok(Some(stored)) if app.hasher.is_outdated(&stored));
        let has_no_verifier = matches!(lacks_verifier(pool, user), Ok(true));
        if stays
            && (has_old_hash || has_no_verifier)
            && let Err(failure) = self.renew(app, caller, pool, user, has_no_verifier).await
        {
            tracing::warn!(?failure, "a password could not be hashed again; the next sign-in will try");
        }
    }

    async fn renew(
        &self,
        app: &App,
        caller: &Caller,
        pool: &PoolView,
        user: &LoadedUser,
        with_verifier: bool,
    ) -> Result<(), Failure> {
        let owner = Owner::of(pool, user);
        let renewed = match with_verifier {
            true => {
                let forms = PasswordForms::make(app, caller, &pool.id, owner.username, self.password).await?;
                let Password { hash, srp_verifier } = forms.seal(app, owner)?;
                UserPasswordRehashed { password_hash: hash.0, srp_verifier: srp_verifier.0 }
            }
            false => {
                let hash = app.hasher.hash(self.password, app.random.bytes(), &caller.turn(&pool.id)).await?;
                let hash = forms::seal_hash(app, owner, &hash);
                UserPasswordRehashed { password_hash: hash.0, srp_verifier: Vec::new() }
            }
        };
        let decision = Decision::events(vec![Event::PasswordRehashed(renewed)], ());
        // The idempotency key belongs to the sign-in, whose answer is stored already.
        let origin = Origin { command: None, ..self.named.asked.origin.clone() };
        app.store.settle(Commit::about(pool, &origin, app.clock.now()).decided(user, decision)).await
    }
}
