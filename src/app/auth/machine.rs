//! The sign-in machine: what was heard, whether it is a proof, what comes next. Only this module asks the factors.

use std::borrow::Cow;

use crate::app::auth::answer::{Answer, AuthResponse, Challenge};
use crate::app::auth::finish::finish;
use crate::app::auth::issue::issue;
use crate::app::auth::sign_in::SignIn;
use crate::app::auth::step::Step;
use crate::app::caller::Caller;
use crate::app::hashing::forms::{self, Comparison};
use crate::app::{App, Failure};
use crate::domain::auth::challenge::ChallengeName;
use crate::domain::auth::factor::device;
use crate::domain::auth::factor::password::{Guess, Refusal};
use crate::domain::auth::session::Proofs;
use crate::domain::auth::steps::{self, Next};
use crate::domain::error::Error;
use crate::domain::ids::{DeviceId, Sub};
use crate::domain::lockout::Hearing;
use crate::proto::events::user_activity::Activity;
use crate::store::commit::OperationalRow;
use crate::store::loaded::LoadedUser;
use crate::store::sign_in::{Refused, Who};

/// Whether the password can be skipped, because the caller may learn that the user is locked.
pub fn is_unheard(sign_in: &SignIn<'_>) -> bool {
    guess(sign_in).refuse_unheard().is_some()
}

/// Whether a sign-in is refused by its name alone.
pub fn is_refused_by_name(sign_in: &SignIn<'_>) -> bool {
    refusal_by_name(sign_in).is_some()
}

/// Refuses a sign-in that has proved nothing yet, where the caller may learn from the name that it can't succeed.
pub async fn refuse_by_name(app: &App, sign_in: SignIn<'_>, stands_for_name: Sub) -> Result<(), Failure> {
    match refusal_by_name(&sign_in) {
        Some(refusal) => refuse(app, sign_in, stands_for_name, refusal).await,
        None => Ok(()),
    }
}

fn refusal_by_name(sign_in: &SignIn<'_>) -> Option<Refusal> {
    let guess = guess(sign_in);
    let is_unknown = sign_in.found.user.is_none() && !sign_in.client.state.hides_users();
    guess.refuse_unheard().or_else(|| is_unknown.then(|| guess.judge_at_nobody()))
}

/// Continues after a password at a name. If no user has the name, the guess counts for the name's stand-in.
///
/// Outdated if the password was compared with an older one, or should have been compared and was not.
pub async fn hear_password<Response: AuthResponse>(
    app: &App,
    caller: &Caller,
    sign_in: SignIn<'_>,
    stands_for_name: Sub,
    comparison: Option<&Comparison>,
) -> Result<Response, Failure> {
    let guess = guess(&sign_in);
    if let Some(locked) = guess.refuse_unheard() {
        return refuse(app, sign_in, stands_for_name, locked).await;
    }
    let (pool, user) = (sign_in.pool(), sign_in.found.user.as_ref());
    let matches = comparison.ok_or(Failure::Outdated)?.matches(pool, user)?;
    let Some(user) = user else {
        return refuse(app, sign_in, stands_for_name, guess.judge_at_nobody()).await;
    };
    match guess.judge(&user.state, matches) {
        Ok(()) => {
            let proofs = Proofs::default().with_password(forms::id_of(user.state.password.as_ref())?);
            advance(app, caller, sign_in, user, Step { proofs, answered: None }).await
        }
        Err(refusal) => refuse(app, sign_in, stands_for_name, *refusal).await,
    }
}

/// Continues after a step: with the next challenge, or with tokens.
pub async fn advance<Response: AuthResponse>(
    app: &App,
    caller: &Caller,
    sign_in: SignIn<'_>,
    user: &LoadedUser,
    Step { proofs, answered }: Step<'_>,
) -> Result<Response, Failure> {
    let after = match &answered {
        Some(answered) => Cow::Owned(answered.user_afterwards(&user.state, sign_in.at)?),
        None => Cow::Borrowed(&user.state),
    };
    match steps::next(&proofs, sign_in.account(&after)).map_err(Error::internal)? {
        Next::Tokens => finish(app, sign_in, user, &after, answered).await,
        Next::Challenge(name) => {
            let challenge = issue(app, sign_in, &after, proofs, name)?;
            let awaited = awaited(&sign_in, &challenge);
            let response = Response::from(Answer::Challenge(challenge));
            match answered {
                Some(answered) => {
                    let row = awaited.map(|(device, token)| OperationalRow::DeviceAwaited { device, token });
                    let commit = answered.commit(&sign_in).operational(row);
                    app.store.settle(commit.decided(user, answered.decision.map(|()| response))).await
                }
                None => {
                    caller.is_answered_about(user);
                    app.store.assert_heard(sign_in.attempt(), user, sign_in.found.attempts).await?;
                    if let Some((device, token)) = awaited {
                        app.store.await_device(&sign_in.pool().id, device, token).await?;
                    }
                    Ok(response)
                }
            }
        }
    }
}

/// The challenge token that is left with the device, if a device has to prove itself: some apps do not send it back.
fn awaited(sign_in: &SignIn<'_>, challenge: &Challenge) -> Option<(DeviceId, String)> {
    let device = sign_in.device().filter(|_| challenge.name == ChallengeName::DeviceSrpAuth)?;
    challenge.session.clone().map(|token| (device.state.id, token))
}

/// Continues after the proof of a device, which is right or wrong.
pub async fn hear_device<Response: AuthResponse>(
    app: &App,
    caller: &Caller,
    sign_in: SignIn<'_>,
    user: &LoadedUser,
    (proofs, is_right): (Proofs, bool),
) -> Result<Response, Failure> {
    let proof = device::Proof {
        account: sign_in.account(&user.state),
        flow: sign_in.flow,
        attempts: sign_in.found.attempts.map(|attempts| attempts.attempts),
        attempts_by_name: sign_in.found.attempts_by_name,
        at: sign_in.at,
    };
    match proof.judge(is_right) {
        Ok(()) => advance(app, caller, sign_in, user, Step { proofs, answered: None }).await,
        Err(refusal) => {
            let device::Refusal { activity, hearing, error } = *refusal;
            refuse(app, sign_in, user.state.sub, Refusal { activity, hearing, error }).await
        }
    }
}

fn guess<'a>(sign_in: &SignIn<'a>) -> Guess<'a> {
    Guess {
        pool: &sign_in.pool().state,
        client: &sign_in.client.state,
        flow: sign_in.flow,
        attempts: sign_in.found.attempts.map(|attempts| attempts.attempts),
        attempts_by_name: sign_in.found.attempts_by_name,
        at: sign_in.at,
    }
}

/// Records a refusal, counts the guess, and answers.
async fn refuse<Response>(
    app: &App,
    sign_in: SignIn<'_>,
    stands_for_name: Sub,
    Refusal { activity, hearing, error }: Refusal,
) -> Result<Response, Failure> {
    let who = sign_in.found.user.as_ref().map_or(Who::Nobody(stands_for_name), Who::User);
    // The lock-out bounds the number of guesses at a user.
    let is_bounded = matches!(who, Who::User(_)) && hearing != Hearing::Unheard;
    let is_recorded = is_bounded || app.limits.records(&sign_in.pool().id);
    let refused = Refused { who, before: sign_in.found.attempts, hearing, is_recorded };
    app.store.refuse_sign_in(sign_in.attempt(), refused, &Activity::SignInRefused(activity)).await?;
    Err(error.into())
}
