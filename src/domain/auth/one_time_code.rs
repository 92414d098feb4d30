//! A code in the place of a password: the rules of who is sent one.

use crate::domain::auth::account::may_sign_in;
use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::message::{Medium, authentication_message};
use crate::domain::time::Timestamp;
use crate::domain::user::codes::{self, Delivery};
use crate::domain::user::second_factors::Demand;
use crate::domain::user::withheld::{self, Request, Requested, Withheld};
use crate::domain::user::{User, UserStatus};
use crate::domain::user_pool::UserPool;
use crate::proto::events::SignInRefusal;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;

/// The parameters of a sign-in by a code.
pub struct OneTimeCode<'a> {
    /// The user name as the caller wrote it.
    pub username: &'a str,
    /// The medium by which the code goes.
    pub medium: Medium,
    /// Whether the answer must not reveal which users exist.
    pub hides_users: bool,
    /// A keyed hash of the name, from which a simulated address is made.
    pub disguise: &'a [u8],
    /// The code to be sent, in plain text.
    pub code: &'a str,
    /// When the code is asked for.
    pub at: Timestamp,
}

/// Decides whether a user who has proved nothing yet is sent a code to sign in with.
pub fn one_time_code(
    pool: &UserPool,
    user: Option<&User>,
    asked: &OneTimeCode<'_>,
) -> Decision<Event, Activity, Requested> {
    let purpose = codes::sign_in(asked.medium);
    let request = Request {
        purpose,
        username: asked.username,
        hides_users: asked.hides_users,
        disguise: asked.disguise,
        ways: &[asked.medium],
    };
    let sent = user.ok_or(Withheld::UnknownUser).and_then(|user| {
        let (medium, address) = contact(pool, user, asked)?;
        let message = authentication_message(&pool.settings, medium, &address, user.username(), asked.code);
        let fact = codes::sent(purpose, medium);
        let sent = Decision::events(Vec::new(), (medium, address));
        Ok(sent.with_activity([fact]).with_messages([message]))
    });
    let standing = user.and_then(|user| may_sign_in(pool, user, asked.at).err());
    withheld::answer(pool, request, sent, |withheld| refusal(withheld, standing, asked.medium))
}

/// The verified address of a user to whom a code is all that a sign-in needs. Where a second factor is asked for, the
/// first one is the password, as in Cognito.
fn contact(pool: &UserPool, user: &User, asked: &OneTimeCode<'_>) -> Result<Delivery, Withheld> {
    may_sign_in(pool, user, asked.at).map_err(|(reason, _)| match reason {
        SignInRefusal::Disabled => Withheld::Disabled,
        _ => Withheld::State,
    })?;
    if user.status == UserStatus::ForceChangePassword || user.demand(pool, None) != Demand::Nothing {
        return Err(Withheld::State);
    }
    let attribute = asked.medium.attribute();
    let address = user.attribute(attribute).filter(|_| user.verified.contains(attribute));
    let address = address.filter(|address| !address.is_empty()).ok_or(Withheld::NoContact)?;
    Ok((asked.medium, address.to_owned()))
}

/// The refusal when no code is sent, for callers who may learn the reason.
fn refusal(withheld: Withheld, standing: Option<(SignInRefusal, Error)>, medium: Medium) -> Error {
    let name = match medium {
        Medium::Email => "EMAIL_OTP",
        Medium::Sms => "SMS_OTP",
    };
    match (withheld, standing) {
        (Withheld::UnknownUser, _) => Error::no_such_user(),
        (Withheld::Limit, _) => Error::limit_exceeded(),
        (_, Some((_, error))) => error,
        (Withheld::Disabled | Withheld::State | Withheld::NoContact, None) => {
            Error::invalid_parameter(format!("{name} is not available to the user."))
        }
    }
}
