//! The answer to NEW_PASSWORD_REQUIRED: one read, one hash, one commit.

use std::sync::Arc;

use crate::app::attempts::FirstRead;
use crate::app::auth::answer::AuthResponse;
use crate::app::auth::challenges::Response;
use crate::app::auth::machine;
use crate::app::auth::sign_in::SignIn;
use crate::app::auth::step::{Answered, Step};
use crate::app::caller::Caller;
use crate::app::hashing::forms::{self, PasswordForms};
use crate::app::whence::Whence;
use crate::app::{App, Failure, clients};
use crate::domain::attributes::Attributes;
use crate::domain::auth::challenge::ChallengeName;
use crate::domain::auth::session::{Answer, ChallengeSession};
use crate::domain::error::Error;
use crate::domain::user::{choose_new_password as rules, password_history};
use crate::proto::v1::AttributeType;
use crate::store::cache::ClientView;
use crate::store::error::StoreError;
use crate::store::loaded::LoadedUser;
use crate::store::read::{Failures, Snapshot, Wanted};
use crate::tokens::challenge_token;

/// An answer whose new password is hashed.
pub struct NewPassword<'a> {
    asked: Asked<'a>,
    found: FirstRead<Snapshot>,
    forms: PasswordForms,
}

/// An answer as the caller sent it.
struct Asked<'a> {
    response: Response<'a>,
    username: &'a str,
    password: &'a str,
    written: Vec<AttributeType>,
    /// The sign-in of the challenge token, if the token is one of this pool.
    session: Option<ChallengeSession>,
    whence: Whence,
}

/// A checked answer, and what it may change.
struct Checked<'a> {
    client: Arc<ClientView>,
    session: &'a ChallengeSession,
    user: LoadedUser,
    attributes: Attributes,
}

/// Checks an answer and hashes its password.
pub async fn prepare<'a>(app: &App, caller: &Caller, response: Response<'a>) -> Result<NewPassword<'a>, Failure> {
    let (token, username) = (response.session()?, response.required("USERNAME")?);
    let (password, written) = (response.required("NEW_PASSWORD")?, rules::written_attributes(response.responses));
    let hint = app.store.pool_hint(&response.pool_id).await?;
    let session = challenge_token::open(&response.pool_id, &hint.keys, token);
    let whence = Whence::of_person(&hint.keys, caller, response.server);
    let asked = Asked { response, username, password, written, session, whence };
    let found = asked.read(app).await?;
    let user = asked.check(app, &found).await?.user;
    let forms = PasswordForms::of_next(app, caller, &found.pool, &user, password).await?;
    Ok(NewPassword { asked, found: FirstRead::new(found), forms })
}

impl Asked<'_> {
    async fn read(&self, app: &App) -> Result<Snapshot, StoreError> {
        let Response { pool_id, client_id, .. } = &self.response;
        let names = rules::possible_names(&app.store.pool_hint(pool_id).await?.name_rules, &self.written);
        let wanted = Wanted {
            sub: self.session.as_ref().map(|session| session.sub),
            failures: Some(Failures::SignIn),
            network: Some(&self.whence.network),
            taken: &names,
            device: self.response.device(self.session.as_ref()),
            groups: true,
            ..Wanted::default()
        };
        app.store.read(pool_id, Some(client_id), wanted).await
    }

    async fn check(&self, app: &App, found: &Snapshot) -> Result<Checked<'_>, Error> {
        let Response { pool_id, client_id, .. } = &self.response;
        let (pool, client) = (&found.pool, found.client.clone().ok_or_else(|| Error::no_such_client(client_id))?);
        clients::check_secret_hash(pool, &client.state, &[self.username], self.response.secret_hash())?;
        let session = self.session.as_ref().ok_or_else(Error::invalid_session)?;
        let user = found.user.clone().ok_or_else(Error::no_such_user)?;
        let given = Answer {
            challenge: ChallengeName::NewPasswordRequired,
            client: &client.state,
            user: &user.state,
            password: forms::id_of(user.state.password.as_ref())?,
            username: self.username,
            name_rules: &pool.name_rules,
            at: app.clock.now(),
        };
        if !session.fits(&given) {
            let is_used = app.store.is_nonce_spent(pool_id, session.nonce).await?;
            return Err(if is_used { Error::used_session() } else { Error::invalid_session() });
        }
        session.check(&given)?;
        let attributes =
            rules::check(&pool.state, &client.state, &user.state, self.password, &self.written, &found.taken)?;
        Ok(Checked { client, session, user, attributes })
    }
}

impl NewPassword<'_> {
    /// Replaces a temporary password by the user's own, and continues the sign-in.
    pub async fn settle<Given: AuthResponse>(&self, app: &App, caller: &Caller) -> Result<Given, Failure> {
        let asked = &self.asked;
        let found = self.found.or(asked.read(app)).await?;
        let Checked { client, session, user, attributes } = asked.check(app, &found).await?;
        let password = self.forms.seal_next(app, &found.pool, &user)?;
        let proofs = session.proofs.with_password(forms::id_of(Some(&password))?);
        let sign_in = SignIn {
            flow: session.flow,
            found: &found,
            client: &client,
            origin: &asked.response.origin,
            whence: &asked.whence,
            told: session.told,
            limited: None,
            spends: None,
            at: app.clock.now(),
        };
        let chosen = rules::choose_new_password(attributes, password);
        let decision = password_history::retire(&found.pool.state, &user.state).then(chosen);
        let step = Step { proofs, answered: Some(Answered { session, decision }) };
        machine::advance(app, caller, sign_in, &user, step).await
    }
}
