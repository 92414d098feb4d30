//! Refreshes tokens: one read; no write and no event unless the client rotates refresh tokens.

use crate::app::auth::asked::Asked;
use crate::app::auth::token_changes::Upcoming;
use crate::app::auth::tokens::{refresh_token, tokens};
use crate::app::caller::Caller;
use crate::app::{App, Failure, clients};
use crate::domain::auth::refresh::{self as rules, Presented, Refresh, RefreshableSession};
use crate::domain::auth::session::Session;
use crate::domain::auth::{AuthFlow, flow_not_enabled, required_parameter};
use crate::domain::error::{Error, Exception};
use crate::domain::ids::{ClientId, DeviceId, UserPoolId};
use crate::domain::trigger::pre_token_generation::REFRESH_TOKENS;
use crate::domain::trigger::{NO_METADATA, Texts};
use crate::proto::events::user_activity::Activity;
use crate::proto::events::{TokenRevocation, UserTokensRevoked};
use crate::proto::v1::AuthenticationResultType;
use crate::store::cache::{ClientView, PoolView};
use crate::store::loaded::LoadedUser;
use crate::store::metadata::ActorKind;
use crate::store::read::{Snapshot, Wanted};
use crate::tokens::issue::Issue;
use crate::tokens::refresh_token as sealed;
use crate::tokens::refresh_token::RefreshToken;

/// The client's proof of its secret, besides the token.
pub enum Proof<'a> {
    /// `SECRET_HASH` of InitiateAuth, by the user's name or `sub`.
    Hash(Option<&'a str>),
    /// `ClientSecret` of GetTokensFromRefreshToken, as plain text.
    Secret(Option<&'a str>),
}

/// One refresh, by either operation.
pub struct Refreshing<'a> {
    /// The pool that the client belongs to, or that the server names.
    pub pool_id: &'a UserPoolId,
    /// The client that the request names; the token must be its own.
    pub client_id: &'a ClientId,
    /// The refresh token as it came.
    pub token: &'a str,
    /// The client's proof of its secret.
    pub proof: Proof<'a>,
    /// The device that the caller names.
    pub device: Option<DeviceId>,
    /// The metadata for triggers; InitiateAuth has none for this one.
    pub client_metadata: &'a Texts,
}

/// REFRESH_TOKEN_AUTH of InitiateAuth and AdminInitiateAuth.
pub async fn by_flow(app: &App, caller: &Caller, asked: &Asked<'_>) -> Result<AuthenticationResultType, Failure> {
    let Asked { pool_id, client_id, server, parameters, .. } = asked;
    let token = required_parameter(parameters, "REFRESH_TOKEN")?;
    let proof = Proof::Hash(parameters.get("SECRET_HASH").map(String::as_str));
    let (device, client_metadata) = (asked.device(), &NO_METADATA);
    let refreshing = Refreshing { pool_id, client_id, token, proof, device, client_metadata };
    let (found, presented) = refreshing.read(app).await?;
    let client = client(&found, client_id)?;
    refreshing.check_proof(&found, &client)?;
    if client.state.rotation_grace().is_some() {
        let message = "This client rotates refresh tokens: use GetTokensFromRefreshToken.";
        return Err(Error::invalid_parameter(message).into());
    }
    if !rules::is_permitted(&client.state) {
        return Err(flow_not_enabled(AuthFlow::RefreshToken, server.is_some()).into());
    }
    refreshing.refresh(app, caller, &found, &client, presented).await.map_err(|failure| match failure {
        // A client that has stopped rotating still has replaced tokens. These operations don't have the exception.
        Failure::Refused(error) if error.exception == Exception::RefreshTokenReuseException => revoked().into(),
        failure => failure,
    })
}

/// Refreshes by GetTokensFromRefreshToken, which may rotate the refresh token.
pub async fn by_token(
    app: &App,
    caller: &Caller,
    refreshing: &Refreshing<'_>,
) -> Result<AuthenticationResultType, Failure> {
    let (found, presented) = refreshing.read(app).await?;
    let client = client(&found, refreshing.client_id)?;
    refreshing.check_proof(&found, &client)?;
    if !rules::is_permitted(&client.state) {
        return Err(Error::not_authorized("REFRESH_TOKEN_AUTH flow not enabled for this client").into());
    }
    refreshing.refresh(app, caller, &found, &client, presented).await
}

fn client(found: &Snapshot, id: &ClientId) -> Result<std::sync::Arc<ClientView>, Error> {
    found.client.clone().ok_or_else(|| Error::no_such_client(id))
}

impl Refreshing<'_> {
    async fn read(&self, app: &App) -> Result<(Snapshot, Option<RefreshToken>), Failure> {
        let hint = app.store.pool_hint(self.pool_id).await?;
        let presented = sealed::open(self.pool_id, &hint.keys, self.token);
        let session = presented.map(|token| token.session);
        let sub = presented.and_then(|token| token.sub);
        let wanted = Wanted { session, sub, groups: true, ..Wanted::default() };
        Ok((app.store.read(self.pool_id, Some(self.client_id), wanted).await?, presented))
    }

    fn check_proof(&self, found: &Snapshot, client: &ClientView) -> Result<(), Error> {
        match self.proof {
            Proof::Secret(secret) => clients::check_client_secret(&found.pool, &client.state, secret),
            Proof::Hash(hash) => {
                let Some(user) = &found.user else {
                    // The hash covers a user name, and without a user there is none; the refusal then says that the
                    // token is revoked.
                    return clients::require_secret_hash(&found.pool, &client.state, hash);
                };
                let names = [user.state.username(), &user.state.sub.to_string()];
                if clients::secret_hash_matches(&found.pool, &client.state, &names, hash)? {
                    return Ok(());
                }
                let id = self.client_id;
                Err(Error::not_authorized(format!("SecretHash does not match for the client: {id}")))
            }
        }
    }

    async fn refresh(
        &self,
        app: &App,
        caller: &Caller,
        found: &Snapshot,
        client: &ClientView,
        presented: Option<RefreshToken>,
    ) -> Result<AuthenticationResultType, Failure> {
        let presented = presented.ok_or_else(rules::invalid)?;
        if found.user.is_none() && presented.sub.is_some() {
            return Err(Error::no_such_user().into());
        }
        let living = found.session.as_ref().zip(found.user.as_ref());
        let (session, user) = living.ok_or_else(revoked)?;
        if session.client_id != *self.client_id {
            return Err(rules::invalid().into());
        }
        caller.is_answered_about(user);
        let at = app.clock.now();
        let presented = Presented { counter: presented.counter, device: self.device };
        let outcome = rules::refresh(&client.state, &user.state, &refreshable(session), presented, at)?;
        let counter = match outcome {
            Refresh::Kept => None,
            Refresh::Repeated => Some(session.refresh_counter),
            Refresh::Rotated => Some(session.refresh_counter + 1),
            Refresh::Reused => return Err(self.end_family(app, caller, &found.pool, user, session).await?.into()),
        };
        let (pool, client, groups) = (&*found.pool, &client.state, &*found.groups);
        let (user, client_metadata) = (&user.state, self.client_metadata);
        let upcoming = Upcoming { pool, client, user, groups, source: REFRESH_TOKENS, client_metadata };
        let changes = upcoming.changes(app, caller).await?;
        let wanted = Issue { pool, client, user, groups, session, changes: changes.as_ref(), at };
        // A trigger that refuses the tokens leaves the refresh token as it is.
        let mut tokens = tokens(app, wanted)?;
        if outcome == Refresh::Rotated {
            app.store.rotate_refresh_token(self.pool_id, session, at).await?;
        }
        tokens.refresh_token = counter.map(|counter| refresh_token(app, pool, session, counter));
        Ok(tokens)
    }

    /// Ends the session of a token that was used after it was replaced, and gives the refusal.
    async fn end_family(
        &self,
        app: &App,
        caller: &Caller,
        pool: &PoolView,
        user: &LoadedUser,
        session: &Session,
    ) -> Result<Error, Failure> {
        let fact = Activity::TokensRevoked(UserTokensRevoked {
            client_id: self.client_id.to_string(),
            session_id: session.event_id.to_string(),
            reason: TokenRevocation::Reused.into(),
        });
        let origin = caller.origin(ActorKind::AppClient, self.client_id.to_string(), None);
        app.store.end_session(pool, &origin, user, session.event_id, &fact, app.clock.now()).await?;
        Ok(Error::new(Exception::RefreshTokenReuseException, "Refresh token has been invalidated because of reuse"))
    }
}

fn revoked() -> Error {
    Error::not_authorized("Refresh Token has been revoked")
}

fn refreshable(session: &Session) -> RefreshableSession {
    RefreshableSession {
        token_generation: session.token_generation,
        expires_at: session.expires_at,
        counter: session.refresh_counter,
        replaced_at: session.replaced_at,
        device: session.device,
        is_refreshable: session.is_refreshable,
    }
}
