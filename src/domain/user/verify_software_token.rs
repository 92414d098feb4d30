//! VerifySoftwareToken: the rules.

use crate::domain::decision::Decision;
use crate::domain::error::{Error, Exception};
use crate::domain::second_factor::SecondFactor;
use crate::domain::time::Timestamp;
use crate::domain::totp;
use crate::domain::user::User;
use crate::domain::user::associate_software_token::check;
use crate::domain::user_pool::UserPool;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::events::{SoftwareTokenPersonal, UserSoftwareTokenVerified};

/// The parameters of the command.
pub struct VerifySoftwareToken<'a> {
    /// The secret that waits for its first code, opened; absent if none waits.
    pub secret: Option<&'a [u8]>,
    /// The code that the app shows.
    pub code: &'a str,
    /// The name of the app.
    pub friendly_device_name: Option<&'a str>,
    /// Whether the app is set up during a sign-in, which asks for it: then the factor is also turned on.
    pub signs_in: bool,
    /// When the code is given.
    pub at: Timestamp,
}

/// The refusal of a code that the app would not show.
pub fn mismatch() -> Error {
    Error::new(Exception::EnableSoftwareTokenMFAException, "Code mismatch")
}

/// Lets the app's codes count from now on. The answer is the time step of the code, which has been used by this.
pub fn verify_software_token(
    pool: &UserPool,
    user: &User,
    command: &VerifySoftwareToken<'_>,
) -> Decision<Event, Activity, u64> {
    match matching_step(pool, command) {
        Ok(step) => Decision::events(events(user, command), step),
        Err(error) => Decision::refuse(error),
    }
}

fn matching_step(pool: &UserPool, command: &VerifySoftwareToken<'_>) -> Result<u64, Error> {
    check(pool)?;
    let secret = command.secret.ok_or_else(|| {
        let message = "No software token waits for its code: AssociateSoftwareToken comes first.";
        Error::new(Exception::SoftwareTokenMFANotFoundException, message)
    })?;
    // Whoever gives the code was told the secret, so wrong codes are no guesses and not counted.
    totp::matching_step(secret, command.code, command.at).map_err(Error::internal)?.ok_or_else(mismatch)
}

fn events(user: &User, command: &VerifySoftwareToken<'_>) -> Vec<Event> {
    let name = command.friendly_device_name.filter(|name| !name.is_empty());
    let personal = name.map(|name| SoftwareTokenPersonal { friendly_device_name: name.to_owned() });
    let mut events = vec![Event::SoftwareTokenVerified(UserSoftwareTokenVerified { personal })];
    if command.signs_in {
        let mut mfa = user.mfa.clone();
        mfa.enabled.insert(SecondFactor::SoftwareToken);
        mfa.preferred.get_or_insert(SecondFactor::SoftwareToken);
        events.extend((mfa != user.mfa).then(|| Event::MfaPreferenceSet(mfa.event())));
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::personal::{Personal, Sealed};
    use crate::domain::testing::{at, confirmed, pool, refused, signed_up, user, with_software_tokens};
    use crate::domain::user::second_factors::SoftwareToken;
    use crate::proto::events::UserSoftwareTokenAssociated;

    const SECRET: &[u8] = b"12345678901234567890";
    /// The code of second 59.
    const CODE: &str = "287082";

    fn given(code: &'static str) -> VerifySoftwareToken<'static> {
        VerifySoftwareToken {
            secret: Some(SECRET),
            code,
            friendly_device_name: Some("phone"),
            signs_in: false,
            at: at(59),
        }
    }

    fn before() -> Vec<Event> {
        let associated = UserSoftwareTokenAssociated { secret: b"sealed".to_vec() };
        vec![signed_up("jane", &[]), confirmed(&[]), Event::SoftwareTokenAssociated(associated)]
    }

    fn after(command: &VerifySoftwareToken<'_>) -> User {
        let decision = verify_software_token(&with_software_tokens("ON"), &user(&before()), command);
        assert_eq!(decision.answer.unwrap(), 1);
        user(&[before(), decision.events].concat())
    }

    #[test]
    fn a_right_code_lets_the_app_count_and_a_sign_in_turns_it_on() {
        let jane = after(&given(CODE));
        let app = SoftwareToken {
            secret: Sealed(b"sealed".to_vec()),
            friendly_device_name: Personal::Known("phone".to_owned()),
        };
        assert_eq!((jane.software_token, jane.pending_software_token), (Some(app), None));
        assert!(jane.mfa.is_empty(), "the user turns it on by a preference");
        let signing_in = after(&VerifySoftwareToken { signs_in: true, friendly_device_name: None, ..given(CODE) });
        assert_eq!(signing_in.mfa.preferred, Some(SecondFactor::SoftwareToken));
        assert_eq!(signing_in.mfa.enabled, [SecondFactor::SoftwareToken].into());
        assert_eq!(signing_in.software_token.unwrap().friendly_device_name, Personal::Erased);
    }

    #[test]
    fn other_codes_are_refused() {
        let (on, jane) = (with_software_tokens("ON"), user(&before()));
        let wrong = refused(verify_software_token(&on, &jane, &given("287083")));
        assert_eq!(wrong, (Exception::EnableSoftwareTokenMFAException, "Code mismatch".to_owned()));
        let none = VerifySoftwareToken { secret: None, ..given(CODE) };
        assert_eq!(refused(verify_software_token(&on, &jane, &none)).0, Exception::SoftwareTokenMFANotFoundException);
        let off = refused(verify_software_token(&pool(Default::default()), &jane, &given(CODE)));
        assert_eq!(off.0, Exception::SoftwareTokenMFANotFoundException);
    }
}
