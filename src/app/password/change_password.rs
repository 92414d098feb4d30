//! ChangePassword.

use crate::app::attempts::FirstRead;
use crate::app::caller::Caller;
use crate::app::guesses::OneGuess;
use crate::app::hashing::forms::{Comparison, PasswordForms};
use crate::app::user::signed_in::{SignedIn, signed_in_with, verified};
use crate::app::{App, Failure, codes};
use crate::domain::error::Error;
use crate::domain::lockout::{Attempts, Hearing};
use crate::domain::rate::Limited;
use crate::domain::source::Source;
use crate::domain::time::Timestamp;
use crate::domain::user::change_password::{self as rules, Refused};
use crate::domain::user::password_history;
use crate::proto::v1::{ChangePasswordRequest, ChangePasswordResponse};
use crate::store::commit::{Commit, OperationalRow};
use crate::store::read::{Failures, Wanted};
use crate::store::sign_in::{self as store, Attempt};
use crate::tokens::access_token::AccessToken;

/// A change whose passwords are compared and hashed.
pub struct Prepared {
    token: AccessToken,
    found: FirstRead<Found>,
    /// The comparison of the previous password; absent if the user has none or the guess is refused without it.
    comparison: Option<Comparison>,
    /// The new password; absent if the change is refused without it.
    forms: Option<PasswordForms>,
    _alone: OneGuess,
}

/// What was read, with the limit that a change spends.
struct Found {
    signed_in: SignedIn,
    limited: Option<Limited>,
}

/// Checks both passwords, compares the previous one and hashes the new one.
pub async fn prepare(app: &App, caller: &Caller, request: &ChangePasswordRequest) -> Result<Prepared, Failure> {
    let token = verified(app, request.access_token()).await?;
    // These guesses are counted apart from sign-ins: a thief of a token can't lock the user out of signing in.
    let alone = app.guesses.begin(format!("previous password of {}", token.sub).as_bytes(), caller.patience).await?;
    let found = read(app, &token).await?;
    let at = app.clock.now();
    check(&found, request, at)?;
    let Found { signed_in: SignedIn { pool, user, .. }, .. } = &found;
    let comparison = match &request.previous_password {
        Some(previous) if found.refuse_locked(at).is_none() => {
            Some(Comparison::make(app, caller, pool, Some(user), previous).await?)
        }
        _ => None,
    };
    let is_right = match &comparison {
        Some(comparison) => comparison.matches(pool, Some(user))?,
        None => request.previous_password.is_none(),
    };
    let forms = if is_right {
        Some(PasswordForms::of_next(app, caller, pool, user, request.proposed_password()).await?)
    } else {
        None
    };
    Ok(Prepared { token, found: FirstRead::new(found), comparison, forms, _alone: alone })
}

/// Changes the password of the access token's user, who proves to know the previous one.
pub async fn change_password(
    app: &App,
    caller: &Caller,
    request: &ChangePasswordRequest,
    prepared: &Prepared,
) -> Result<ChangePasswordResponse, Failure> {
    let found = prepared.found.or(read(app, &prepared.token)).await?;
    let at = app.clock.now();
    check(&found, request, at)?;
    if request.previous_password.is_some()
        && let Some(refused) = found.refuse_previous(prepared.comparison.as_ref(), at)?
    {
        return refuse(app, caller, &found, refused, at).await;
    }
    let Found { signed_in, limited } = found;
    let (pool, user, origin) = (&signed_in.pool, &signed_in.user, signed_in.origin(caller));
    let forms = prepared.forms.as_ref().ok_or(Failure::Outdated)?;
    let password = forms.seal_next(app, pool, user)?;
    let decision = password_history::retire(&pool.state, &user.state).then(rules::change_password(password));
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

async fn read(app: &App, token: &AccessToken) -> Result<Found, Failure> {
    let keys = app.store.pool_hint(&token.pool_id).await?.keys.clone();
    let limited = app.limits.password_change(|| keys.keyed_hash("password changes", &[&token.sub.to_string()]));
    let wanted = Wanted { failures: Some(Failures::PreviousPassword), rate: limited.as_ref(), ..Wanted::default() };
    Ok(Found { signed_in: signed_in_with(app, token, wanted).await?, limited })
}

/// Checks that need no hash.
fn check(Found { signed_in, limited }: &Found, request: &ChangePasswordRequest, at: Timestamp) -> Result<(), Error> {
    let (pool, user) = (&signed_in.pool, &signed_in.user);
    rules::check(&pool.state, &user.state, request.previous_password.as_deref(), request.proposed_password())?;
    limited.as_ref().map_or(Ok(()), |limited| limited.check(signed_in.arrival, at))
}

impl Found {
    fn attempts(&self) -> Option<Attempts> {
        self.signed_in.attempts.map(|attempts| attempts.attempts)
    }

    /// The refusal if there were too many wrong guesses already.
    fn refuse_locked(&self, at: Timestamp) -> Option<Refused> {
        rules::refuse_locked(self.attempts().as_ref(), at)
    }

    /// The refusal if the previous password is wrong, or if there were too many wrong guesses already.
    fn refuse_previous(&self, comparison: Option<&Comparison>, at: Timestamp) -> Result<Option<Refused>, Failure> {
        if let Some(locked) = self.refuse_locked(at) {
            return Ok(Some(locked));
        }
        let SignedIn { pool, user, .. } = &self.signed_in;
        let matches = comparison.ok_or(Failure::Outdated)?.matches(pool, Some(user))?;
        Ok(rules::refuse_wrong(matches, self.attempts().as_ref(), at))
    }
}

/// Records the refusal, counts the guess, and answers.
async fn refuse(
    app: &App,
    caller: &Caller,
    Found { signed_in, limited }: &Found,
    Refused { activity, hearing, error }: Refused,
    at: Timestamp,
) -> Result<ChangePasswordResponse, Failure> {
    let (pool, user, origin) = (&signed_in.pool, &signed_in.user, signed_in.origin(caller));
    let attempt = Attempt {
        pool_id: &pool.id,
        keys: &pool.keys,
        origin: &origin,
        told: None,
        failures: Failures::PreviousPassword,
        source: Source::Familiar,
        limited: limited.as_ref(),
        spends: None,
        at,
    };
    let is_recorded = hearing != Hearing::Unheard || app.limits.records(&pool.id);
    let refused = store::Refused { who: store::Who::User(user), before: signed_in.attempts, hearing, is_recorded };
    app.store.refuse_sign_in(attempt, refused, &activity).await?;
    Err(error.into())
}
