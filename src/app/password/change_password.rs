//! ChangePassword.

use crate::app::caller::Caller;
use crate::app::password_forms::{self, Owner};
use crate::app::user::signed_in::{SignedIn, signed_in_with, verified};
use crate::app::{App, Failure, codes, until_settled};
use crate::domain::auth::lockout::Hearing;
use crate::domain::error::{Error, Exception};
use crate::domain::source::Source;
use crate::domain::time::Timestamp;
use crate::domain::user::change_password::{self as rules, Refused};
use crate::proto::v1::{ChangePasswordRequest, ChangePasswordResponse};
use crate::store::commit::{Commit, OperationalRow};
use crate::store::read::{Failures, Wanted};
use crate::store::sign_in::{self as store, Place};
use crate::tokens::access_token::AccessToken;

/// Changes the password of the user of an access token, who shows that it knows the one before.
pub async fn change_password(
    app: &App,
    caller: &Caller,
    request: ChangePasswordRequest,
) -> Result<ChangePasswordResponse, Error> {
    let token = verified(app, request.access_token()).await?;
    // Guesses count apart from those at the user's names: a stolen token locks nobody out of signing in.
    let _guess = app.guesses.begin(format!("previous password of {}", token.sub).as_bytes(), caller.patience).await?;
    until_settled!(Exception::TooManyRequestsException, attempt(app, caller, &request, &token))
}

async fn attempt(
    app: &App,
    caller: &Caller,
    request: &ChangePasswordRequest,
    token: &AccessToken,
) -> Result<ChangePasswordResponse, Failure> {
    let keys = app.store.pool_hint(&token.pool_id).await?.keys.clone();
    let limited = app.limits.password_change(|| keys.keyed_hash("password changes", &[&token.sub.to_string()]));
    let failures = Some(Failures::PreviousPassword);
    let wanted = Wanted { failures, rate: limited.as_ref(), ..Wanted::default() };
    let signed_in = signed_in_with(app, token, wanted).await?;
    let (pool, user) = (&signed_in.pool, &signed_in.user);
    let (previous, proposed) = (request.previous_password.as_deref(), request.proposed_password());
    rules::check(&pool.state, &user.state, previous, proposed)?;
    let (origin, at) = (signed_in.origin(caller), app.clock.now());
    if let Some(wait) = limited.as_ref().and_then(|limited| limited.rate.wait(signed_in.arrival, at)) {
        return Err(Error::limit_exceeded_for(wait).into());
    }
    if let Some(previous) = previous
        && let Some(refused) = refuse_previous(app, caller, &signed_in, previous, at).await?
    {
        let place = Place {
            pool_id: &pool.id,
            keys: &pool.keys,
            origin: &origin,
            nobody: user.state.sub,
            told: user.state.sub,
            failures: Failures::PreviousPassword,
            source: Source::Familiar,
            limited: limited.as_ref(),
            at,
        };
        let Refused { activity, hearing, error } = refused;
        let is_recorded = hearing != Hearing::Unheard || app.limits.records(&pool.id);
        let refused = store::Refused { user: Some(user), before: signed_in.attempts, hearing, is_recorded };
        app.store.refuse_sign_in(place, refused, &activity).await?;
        return Err(error.into());
    }
    let password = password_forms::seal(app, caller, Owner::of(pool, user), proposed).await?;
    let decision = rules::change_password(password);
    let forgotten = OperationalRow::FailuresForgotten {
        sub: user.state.sub,
        told: None,
        source: Failures::PreviousPassword.counted(Source::Familiar),
        version: signed_in.attempts.map_or(0, |attempts| attempts.version),
    };
    let commit = Commit::about(pool, &origin, at)
        .operational(codes::spent(limited.into_iter().collect()))
        .operational([forgotten]);
    app.store.settle(commit.decided(user, decision).map(|()| ChangePasswordResponse {})).await
}

/// Whether the password before is another, or too many wrong ones came already.
async fn refuse_previous(
    app: &App,
    caller: &Caller,
    signed_in: &SignedIn,
    previous: &str,
    at: Timestamp,
) -> Result<Option<Refused>, Error> {
    let attempts = signed_in.attempts.map(|attempts| attempts.attempts);
    if let Some(locked) = rules::refuse_locked(attempts.as_ref(), at) {
        return Ok(Some(locked));
    }
    let stored = password_forms::stored_hash(&signed_in.pool, &signed_in.user)?;
    let turn = caller.turn(&signed_in.pool.id);
    let matches = app.passwords.verify(previous, stored.as_deref(), &turn).await?;
    Ok(rules::refuse_wrong(matches, attempts.as_ref(), at))
}
