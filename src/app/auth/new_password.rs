//! The answer to NEW_PASSWORD_REQUIRED: one read, one hash, one commit.

use crate::app::auth::answer::Answer;
use crate::app::auth::challenges::{self, Beginning, Response};
use crate::app::auth::session;
use crate::app::caller::Caller;
use crate::app::password_forms::{self, Owner};
use crate::app::whence::Whence;
use crate::app::{App, Failure, clients, until_settled};
use crate::domain::auth::challenge::{self, ChallengeName, ChallengeSession, invalid_session};
use crate::domain::auth::steps::Next;
use crate::domain::error::{Error, Exception};
use crate::domain::group::Group;
use crate::domain::user::choose_new_password::{self as rules, ChooseNewPassword, Chosen};
use crate::proto::events::UserSignedIn;
use crate::proto::v1::AttributeType;
use crate::store::cache::{ClientView, PoolView};
use crate::store::commit::{Commit, LoadedUser, OperationalRow};
use crate::store::read::{Failures, Wanted};
use crate::tokens::challenge_token;

/// Replaces a temporary password by the user's own, and goes on with the sign-in.
pub async fn respond<Given: From<Answer> + prost::Message>(
    app: &App,
    caller: &Caller,
    response: &Response<'_>,
) -> Result<Given, Error> {
    let answer = NewPassword {
        response,
        token: response.session()?,
        username: response.required("USERNAME")?,
        password: response.required("NEW_PASSWORD")?,
        written: rules::written_attributes(response.responses),
    };
    until_settled!(Exception::TooManyRequestsException, answer.attempt(app, caller))
}

struct NewPassword<'a> {
    response: &'a Response<'a>,
    token: &'a str,
    username: &'a str,
    password: &'a str,
    written: Vec<AttributeType>,
}

impl NewPassword<'_> {
    async fn attempt<Given: From<Answer> + prost::Message>(
        &self,
        app: &App,
        caller: &Caller,
    ) -> Result<Given, Failure> {
        let Response { pool_id, client_id, .. } = self.response;
        let hint = app.store.pool_hint(pool_id).await?;
        let session = challenge_token::open(pool_id, &hint.keys, self.token);
        let names = rules::possible_names(&hint.name_rules, &self.written);
        let sub = session.as_ref().map(|session| session.sub);
        let whence = match self.response.server {
            Some(server) => Whence::of_server(&hint.keys, server.person_address),
            None => Whence::of_stranger(&hint.keys, caller),
        };
        let wanted = Wanted {
            sub,
            failures: Some(Failures::SignIn),
            network: Some(&whence.network),
            taken: &names,
            groups: true,
            ..Wanted::default()
        };
        let found = app.store.read(pool_id, Some(client_id), wanted).await?;
        let source = found.source();
        let (pool, client) = (found.pool, found.client.ok_or_else(|| Error::no_such_client(client_id))?);
        clients::check_secret_hash(&pool, &client.state, &[self.username], self.response.secret_hash())?;
        let session = session.ok_or_else(invalid_session)?;
        let user = found.user.ok_or_else(Error::no_such_user)?;
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
            return Err(if is_used { challenge::used_session() } else { invalid_session() }.into());
        }
        session.check(&given)?;
        let attributes =
            rules::check(&pool.state, &client.state, &user.state, self.password, &self.written, &found.taken)?;
        let password = password_forms::seal(app, caller, Owner::of(&pool, &user), self.password).await?;
        let command = ChooseNewPassword { attributes, password };
        let at = app.clock.now();
        let network = whence.to_remember(found.familiar_since, at).map(<[u8]>::to_vec);
        let counted = Failures::SignIn.counted(source);
        let forgotten = OperationalRow::FailuresForgotten {
            sub: user.state.sub,
            told: session.told,
            source: counted,
            version: found.attempts.map_or(0, |attempts| attempts.version),
        };
        let remembered = network.map(|network| OperationalRow::NetworkFamiliar { sub: user.state.sub, network });
        let rows = [forgotten].into_iter().chain(remembered).collect();
        self.settle(app, &pool, &client, (&user, &found.groups), (&session, rows), command).await
    }

    async fn settle<Given: From<Answer> + prost::Message>(
        &self,
        app: &App,
        pool: &PoolView,
        client: &ClientView,
        (user, groups): (&LoadedUser, &[Group]),
        (session, ending): (&ChallengeSession, Vec<OperationalRow>),
        command: ChooseNewPassword,
    ) -> Result<Given, Failure> {
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
        let commit = Commit::about(pool, self.response.origin, at).decided_from(pool, Some(client)).operational(rows);
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
