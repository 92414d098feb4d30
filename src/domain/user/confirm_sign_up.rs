//! ConfirmSignUp: the rules.

use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::time::Timestamp;
use crate::domain::user::codes::{self, CodeFault, CodeOutcome, Guess, SentCode};
use crate::domain::user::{User, UserStatus};
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::events::{CodePurpose, ConfirmedBy, UserAliasReleased, UserConfirmed};

/// What the command brings.
pub struct ConfirmSignUp {
    /// The code that is kept, if one is.
    pub sent: Option<SentCode>,
    /// The guess, hashed likewise.
    pub guess: Vec<u8>,
    /// Another user that has the address as its alias.
    pub alias_owner: Option<Box<User>>,
    /// Whether the alias is taken from that user.
    pub force_alias_creation: bool,
    /// The time.
    pub at: Timestamp,
}

/// The two users that a confirmation can change, and what becomes of the code.
pub struct Confirmation {
    /// About the user who confirms.
    pub decision: Decision<Event, Activity, ()>,
    /// What happens to the user who had the alias.
    pub alias_owner_events: Vec<Event>,
    /// What becomes of the code.
    pub code: CodeOutcome,
}

/// Decides a confirmation. `alias` tells whether the proved attribute becomes an alias in this pool.
pub fn confirm_sign_up(user: &User, command: ConfirmSignUp) -> Confirmation {
    let kept = |error| Confirmation {
        decision: Decision::refuse(error),
        alias_owner_events: Vec::new(),
        code: CodeOutcome::Kept,
    };
    if user.status != UserStatus::Unconfirmed {
        let message = format!("User cannot be confirmed. Current status is {}", user.status.name());
        return kept(Error::not_authorized(message));
    }
    if !user.enabled {
        return kept(Error::not_authorized("User is disabled."));
    }
    if let Err(fault) = codes::check(command.sent.as_ref(), &command.guess, command.at) {
        return faulty(fault);
    }
    // A code that is right was sent.
    let Some(sent) = command.sent else { return faulty(CodeFault::Expired) };
    if command.alias_owner.is_some() && !command.force_alias_creation {
        return kept(Error::alias_exists(&sent.attribute));
    }
    let confirmed = UserConfirmed { by: ConfirmedBy::Code.into(), verified_attributes: vec![sent.attribute.clone()] };
    let released = command.alias_owner.map(|_| Event::AliasReleased(UserAliasReleased { attribute: sent.attribute }));
    Confirmation {
        decision: Decision::events(vec![Event::Confirmed(confirmed)], ()),
        alias_owner_events: released.into_iter().collect(),
        code: CodeOutcome::Spent,
    }
}

fn faulty(fault: CodeFault) -> Confirmation {
    let Guess { decision, code } = Guess::faulty(fault, CodePurpose::SignUp);
    Confirmation { decision, alias_owner_events: Vec::new(), code }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::error::Exception;
    use crate::domain::testing::{at, confirmed, refused, signed_up, user};
    use crate::proto::events::UserCodeRefused;

    fn jane() -> User {
        user(&[signed_up("jane", &[("email", "jane@example.com")])])
    }

    fn sent() -> SentCode {
        SentCode {
            hash: b"right".to_vec(),
            attribute: "email".to_owned(),
            attempts: 0,
            expires_at: at(100),
            sent: 1,
            window_began: at(0),
        }
    }

    fn command(sent: Option<SentCode>) -> ConfirmSignUp {
        ConfirmSignUp { sent, guess: b"right".to_vec(), alias_owner: None, force_alias_creation: false, at: at(99) }
    }

    /// The refusal of a confirmation that leaves the code and everything else as it is.
    fn kept(confirmation: Confirmation) -> (Exception, String) {
        assert_eq!(confirmation.code, CodeOutcome::Kept);
        assert_eq!(confirmation.alias_owner_events, []);
        refused(confirmation.decision)
    }

    #[test]
    fn the_right_code_confirms_proves_the_address_and_is_spent() {
        let confirmation = confirm_sign_up(&jane(), command(Some(sent())));
        confirmation.decision.answer.unwrap();
        assert_eq!(confirmation.decision.events, [confirmed(&["email"])]);
        assert_eq!(confirmation.code, CodeOutcome::Spent);
        assert_eq!(confirmation.alias_owner_events, []);
    }

    #[test]
    fn a_wrong_code_counts() {
        let code = SentCode { attempts: 3, ..sent() };
        let confirmation = confirm_sign_up(&jane(), ConfirmSignUp { guess: b"wrong".to_vec(), ..command(Some(code)) });
        assert_eq!(confirmation.code, CodeOutcome::Guessed);
        assert_eq!(confirmation.decision.events, []);
        let counted = UserCodeRefused { purpose: CodePurpose::SignUp.into(), attempts: 4 };
        assert_eq!(confirmation.decision.activity, [Activity::CodeRefused(counted)]);
        assert_eq!(confirmation.decision.answer.unwrap_err().exception, Exception::CodeMismatchException);
    }

    #[test]
    fn five_wrong_guesses_spend_a_code_even_for_who_then_knows_it() {
        let after = |attempts| confirm_sign_up(&jane(), command(Some(SentCode { attempts, ..sent() })));
        assert!(after(4).decision.answer.is_ok(), "the fifth guess may be right");
        let message = "Attempt limit exceeded, please try after some time.".to_owned();
        assert_eq!(kept(after(5)), (Exception::LimitExceededException, message));
    }

    #[test]
    fn an_old_code_and_none_read_the_same() {
        let message = "Invalid code provided, please request a code again.".to_owned();
        let expired = (Exception::ExpiredCodeException, message);
        let at_its_end = ConfirmSignUp { at: at(100), ..command(Some(sent())) };
        assert_eq!(kept(confirm_sign_up(&jane(), at_its_end)), expired);
        assert_eq!(kept(confirm_sign_up(&jane(), command(None))), expired);
        let wrong_and_old = ConfirmSignUp { guess: b"wrong".to_vec(), at: at(100), ..command(Some(sent())) };
        assert_eq!(kept(confirm_sign_up(&jane(), wrong_and_old)), expired);
    }

    #[test]
    fn an_alias_is_taken_from_its_owner_only_by_force() {
        let owner =
            || Some(Box::new(user(&[signed_up("joan", &[("email", "jane@example.com")]), confirmed(&["email"])])));
        let unforced = ConfirmSignUp { alias_owner: owner(), ..command(Some(sent())) };
        let message = "An account with the email already exists.".to_owned();
        assert_eq!(kept(confirm_sign_up(&jane(), unforced)), (Exception::AliasExistsException, message));

        let forced = ConfirmSignUp { alias_owner: owner(), force_alias_creation: true, ..command(Some(sent())) };
        let confirmation = confirm_sign_up(&jane(), forced);
        assert_eq!(confirmation.decision.events, [confirmed(&["email"])]);
        let released = UserAliasReleased { attribute: "email".to_owned() };
        assert_eq!(confirmation.alias_owner_events, [Event::AliasReleased(released)]);
        assert_eq!(confirmation.code, CodeOutcome::Spent);

        let wrong = ConfirmSignUp {
            alias_owner: owner(),
            force_alias_creation: true,
            guess: b"wrong".to_vec(),
            ..command(Some(sent()))
        };
        assert_eq!(confirm_sign_up(&jane(), wrong).alias_owner_events, [], "a wrong code takes nothing");
    }

    #[test]
    fn force_without_an_owner_takes_nothing() {
        let forced = ConfirmSignUp { force_alias_creation: true, ..command(Some(sent())) };
        let confirmation = confirm_sign_up(&jane(), forced);
        assert!(confirmation.decision.answer.is_ok() && confirmation.alias_owner_events.is_empty());
    }

    #[test]
    fn who_is_disabled_or_confirmed_already_is_refused_whatever_the_code() {
        let disabled = User { enabled: false, ..jane() };
        let message = "User is disabled.".to_owned();
        let refusal = kept(confirm_sign_up(&disabled, command(Some(sent()))));
        assert_eq!(refusal, (Exception::NotAuthorizedException, message));
        let twice = user(&[signed_up("jane", &[]), confirmed(&[])]);
        let message = "User cannot be confirmed. Current status is CONFIRMED".to_owned();
        for code in [Some(sent()), None] {
            let refusal = kept(confirm_sign_up(&twice, command(code)));
            assert_eq!(refusal, (Exception::NotAuthorizedException, message.clone()));
        }
    }
}
