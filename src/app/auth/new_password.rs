//! The answer to NEW_PASSWORD_REQUIRED: one read, one hash, one commit.

use std::sync::Arc;

use crate::app::attempts::FirstRead;
use crate::app::auth::answer::Answer;
use crate::app::auth::challenges::{self, Beginning, Response};
use crate::app::auth::session;
use crate::app::caller::Caller;
use crate::app::password_forms::{self, Owner, PasswordForms};
use crate::app::whence::Whence;
use crate::app::{App, Failure, clients};
use crate::domain::attributes::Attributes;
use crate::domain::auth::challenge::{self, ChallengeName, ChallengeSession, invalid_session};
use crate::domain::auth::steps::Next;
use crate::domain::error::Error;
use crate::domain::user::Password;
use crate::domain::user::choose_new_password::{self as rules, ChooseNewPassword, Chosen};
use crate::proto::events::UserSignedIn;
use crate::proto::v1::AttributeType;
use crate::store::cache::ClientView;
use crate::store::commit::{Commit, OperationalRow};
use crate::store::error::StoreError;
use crate::store::loaded::LoadedUser;
use crate::store::read::{Failures, Snapshot, Wanted};
use crate::tokens::challenge_token;

/// An answer whose password is hashed.
pub struct NewPassword<'a> {
    asked: Asked<'a>,
    found: FirstRead<Snapshot>,
    forms: PasswordForms,
}

/// An answer as it came.
struct Asked<'a> {
    response: Response<'a>,
    username: &'a str,
    password: &'a str,
    written: Vec<AttributeType>,
    /// The sign-in that the answer is about, if it brings one of the pool.
    session: Option<ChallengeSession>,
    whence: Whence,
}

/// What the answer may change.
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
    let whence = match response.server {
        Some(server) => Whence::of_server(&hint.keys, server.person_address),
        None => Whence::of_stranger(&hint.keys, caller),
    };
    let asked = Asked { response, username, password, written, session, whence };
    let found = asked.read(app).await?;
    let user = asked.check(app, &found).await?.user;
    let forms = password_forms::make(app, caller, &found.pool.id, user.state.username(), password).await?;
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
            groups: true,
            ..Wanted::default()
        };
        app.store.read(pool_id, Some(client_id), wanted).await
    }

    async fn check(&self, app: &App, found: &Snapshot) -> Result<Checked<'_>, Error> {
        let Response { pool_id, client_id, .. } = &self.response;
        let (pool, client) = (&found.pool, found.client.clone().ok_or_else(|| Error::no_such_client(client_id))?);
        clients::check_secret_hash(pool, &client.state, &[self.username], self.response.secret_hash())?;
        let session = self.session.as_ref().ok_or_else(invalid_session)?;
        let user = found.user.clone().ok_or_else(Error::no_such_user)?;
        let given = challenge::Answer {
            challenge: ChallengeName::NewPasswordRequired,
            client: &client.state,
            user: &user.state,
            password_id: challenges::password_id(&user.state)?,
            username: self.username,
            name_rules: &pool.name_rules,
            at: app.clock.now(),
        };
        if !session.fits(&given) {
            let is_used = app.store.is_nonce_spent(pool_id, session.nonce).await?;
            return Err(if is_used { challenge::used_session() } else { invalid_session() });
        }
        session.check(&given)?;
        let attributes =
            rules::check(&pool.state, &client.state, &user.state, self.password, &self.written, &found.taken)?;
        Ok(Checked { client, session, user, attributes })
    }
}

impl NewPassword<'_> {
    /// Replaces a temporary password by the user's own, and goes on with the sign-in.
    pub async fn settle<Given: From<Answer> + prost::Message>(&self, app: &App, _: &Caller) -> Result<Given, Failure> {
        let asked = &self.asked;
        let found = self.found.or(asked.read(app)).await?;
        let checked = asked.check(app, &found).await?;
        let Checked { session, user, .. } = &checked;
        let password = self.forms.seal(app, Owner::of(&found.pool, user))?;
        let forgotten = OperationalRow::FailuresForgotten {
            sub: user.state.sub,
            told: session.told,
            source: Failures::SignIn.counted(found.source()),
            version: found.attempts.map_or(0, |attempts| attempts.version),
        };
        let network = asked.whence.to_remember(found.familiar_since, app.clock.now()).map(<[u8]>::to_vec);
        let remembered = network.map(|network| OperationalRow::NetworkFamiliar { sub: user.state.sub, network });
        let ending = [forgotten].into_iter().chain(remembered).collect();
        self.decide(app, &found, &checked, password, ending).await
    }

    async fn decide<Given: From<Answer> + prost::Message>(
        &self,
        app: &App,
        found: &Snapshot,
        Checked { client, session, user, attributes }: &Checked<'_>,
        password: Password,
        ending: Vec<OperationalRow>,
    ) -> Result<Given, Failure> {
        let (pool, groups) = (&found.pool, &found.groups);
        let command = ChooseNewPassword { attributes: attributes.clone(), password };
        let at = app.clock.now();
        let begun = session::begin(app, &client.state, &user.state, at);
        let signed_in = UserSignedIn {
            client_id: client.state.client_id.to_string(),
            auth_flow: session.flow.name().to_owned(),
            session_id: begun.event_id.to_string(),
        };
        let decision = rules::choose_new_password(&user.state, command, signed_in, at);
        let sub = user.state.sub;
        let mut rows = vec![OperationalRow::NonceSpent { nonce: session.nonce, sub, expires_at: session.expires_at }];
        // As after any sign-in, earlier wrong passwords are forgotten, and the network is remembered.
        if decision.accepted().is_some_and(|chosen| chosen.next == Next::Tokens) {
            rows.push(OperationalRow::SessionBegun(begun.clone()));
            rows.extend(ending);
        }
        let commit =
            Commit::about(pool, &self.asked.response.origin, at).decided_from(pool, Some(client)).operational(rows);
        let settlement = commit.decided(user, decision).and_then(|Chosen { user: after, next }| match next {
            Next::Tokens => {
                let tokens = session::first_tokens(app, pool, &client.state, &after, groups, &begun, at)?;
                Ok(Given::from(Answer::Tokens(Box::new(tokens))))
            }
            Next::Challenge(name) => {
                let beginning = Beginning { flow: session.flow, told: session.told };
                Ok(Given::from(challenges::issue(app, pool, &client.state, &after, beginning, name, at)?))
            }
        });
        app.store.settle(settlement).await
    }
}
