//! What the machine writes about a guess beside its decision: what is asserted, and what is counted.

use crate::app::auth::answer::Challenge;
use crate::app::auth::answering::guesses_in;
use crate::app::auth::sign_in::SignIn;
use crate::app::{App, Failure};
use crate::domain::auth::challenge::ChallengeName;
use crate::domain::auth::session::ChallengeSession;
use crate::domain::error::Error;
use crate::domain::ids::{DeviceId, Sub};
use crate::domain::lockout::Attempts;
use crate::domain::rate::{Limited, RateKind};
use crate::store::commit::{Commit, OperationalRow};
use crate::store::loaded::LoadedUser;
use crate::store::read::Failures;

/// A commit that asserts what a right password asserts: the user was not locked meanwhile, and an exchange by SRP was
/// answered for the first time.
pub(super) fn heard(sign_in: &SignIn<'_>, user: &LoadedUser) -> Commit {
    let asserted = heard_row(sign_in, user);
    Commit::about(sign_in.pool(), sign_in.origin, sign_in.at)
        .decided_from(sign_in.pool(), Some(sign_in.client))
        .operational([asserted])
        .operational(sign_in.spends.map(OperationalRow::NonceSpent))
        .operational(sign_in.limited.cloned().map(OperationalRow::RateAsserted))
}

/// The challenge token that is left with the device, if a device has to prove itself: some apps do not send it back.
pub(super) fn awaited(sign_in: &SignIn<'_>, challenge: &Challenge) -> Option<(DeviceId, String)> {
    let device = sign_in.device().filter(|_| challenge.name == ChallengeName::DeviceSrpAuth)?;
    challenge.session.clone().map(|token| (device.state.id, token))
}

/// The row that asserts that the user was not locked meanwhile.
pub(super) fn heard_row(sign_in: &SignIn<'_>, user: &LoadedUser) -> OperationalRow {
    OperationalRow::FailuresAsserted {
        sub: user.state.sub,
        source: Failures::SignIn.counted(sign_in.found.source()),
        version: sign_in.found.attempts.map_or(0, |attempts| attempts.version),
    }
}

/// The row that counts a wrong guess at a user, or at the stand-in for a name.
pub(super) fn failure_counted(
    sign_in: &SignIn<'_>,
    sub: Sub,
    attempts: Attempts,
    by_name: Option<Attempts>,
) -> OperationalRow {
    OperationalRow::FailureCounted {
        sub,
        source: Failures::SignIn.counted(sign_in.found.source()),
        version: sign_in.found.attempts.map_or(0, |attempts| attempts.version),
        attempts,
        by_name: sign_in.told.zip(by_name),
    }
}

/// The limits that a wrong code spends and a right one asserts.
pub(super) fn limits(app: &App, sign_in: &SignIn<'_>, session: &ChallengeSession) -> [Option<Limited>; 2] {
    [guesses_in(app, &sign_in.pool().keys, session), sign_in.limited.cloned()]
}

/// A session that has had all its guesses is of no use any more.
pub(super) fn within_session(failure: Failure) -> Failure {
    match failure {
        Failure::Store(error) if error.is_limit(RateKind::GuessesInSession) => Error::invalid_session().into(),
        failure => failure,
    }
}
