//! VerifyUserAttribute: the rules.

use crate::domain::error::Error;
use crate::domain::message::Medium;
use crate::domain::user::User;
use crate::domain::user::codes::{self, Guess, Guessed};
use crate::proto::events::UserAttributeVerified;
use crate::proto::events::user_event::Event;

/// The medium of an attribute that a code can verify.
pub fn medium_of(attribute: &str) -> Result<Medium, Error> {
    let medium = [Medium::Email, Medium::Sms].into_iter().find(|medium| medium.attribute() == attribute);
    medium.ok_or_else(|| Error::invalid_parameter("Only email and phone_number can be verified by a code."))
}

/// Decides whether a code proves an address. The guess is hashed together with the address that waits for its proof.
pub fn verify_user_attribute(user: &User, medium: Medium, guessed: &Guessed<'_>) -> Guess {
    if let Err(fault) = guessed.check() {
        return fault.guess(codes::verification(medium));
    }
    let attribute = medium.attribute();
    let changes = !user.verified.contains(attribute) || user.requested.contains_key(attribute);
    let event = Event::AttributeVerified(UserAttributeVerified { attribute: attribute.to_owned() });
    Guess::right(changes.then_some(event).into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::error::Exception;
    use crate::domain::source::Tally;
    use crate::domain::testing::{HERE, at, confirmed, refusal, sent_code, signed_up, user};
    use crate::domain::user::codes::{CodeOutcome, SentCode};
    use crate::proto::events::{UserAttributeChangeRequested, UserPersonal};

    fn used(familiar: i32) -> SentCode {
        SentCode { attempts: Tally { familiar, strange: 0 }, ..sent_code() }
    }

    fn guess(user: &User, sent: Option<&SentCode>, hash: &[u8]) -> Guess {
        let guessed =
            Guessed { sent, by_name: None, hides_users: false, hash: hash.to_vec(), guesser: HERE, at: at(50) };
        verify_user_attribute(user, Medium::Email, &guessed)
    }

    fn events() -> Vec<Event> {
        vec![signed_up("jane", &[("email", "old@example.com")]), confirmed(&[])]
    }

    fn asked_for(address: &str) -> Event {
        let attributes = [("email".to_owned(), address.to_owned())].into();
        Event::AttributeChangeRequested(UserAttributeChangeRequested {
            personal: Some(UserPersonal { username: None, attributes }),
            attribute: "email".to_owned(),
        })
    }

    fn right(events: &[Event]) -> User {
        let guess = guess(&user(events), Some(&used(0)), b"right");
        guess.decision.answer.unwrap();
        assert_eq!(guess.code, CodeOutcome::Spent);
        user(&[events, &guess.decision.events].concat())
    }

    #[test]
    fn the_right_code_proves_the_present_or_the_requested_address() {
        let proved = right(&events());
        assert_eq!((proved.attribute("email"), proved.verified.contains("email")), (Some("old@example.com"), true));
        let changed = right(&[events(), vec![asked_for("new@example.com")]].concat());
        assert_eq!((changed.attribute("email"), changed.requested("email")), (Some("new@example.com"), None));
        assert!(changed.verified.contains("email") && changed.requested.is_empty());
        let again = [events(), vec![confirmed(&["email"])]].concat();
        assert_eq!(right(&again), user(&again), "nothing new");
    }

    #[test]
    fn five_wrong_codes_spend_a_code() {
        let attempt = |sent: Option<&SentCode>, hash: &[u8]| {
            let guess = guess(&user(&events()), sent, hash);
            assert_eq!(guess.decision.events, []);
            (guess.code, guess.decision.activity.len(), refusal(guess.decision.answer).0)
        };
        assert_eq!(attempt(Some(&used(0)), b"wrong"), (CodeOutcome::Guessed, 1, Exception::CodeMismatchException));
        assert_eq!(attempt(Some(&used(5)), b"right"), (CodeOutcome::Kept, 0, Exception::LimitExceededException));
        assert_eq!(attempt(None, b"right"), (CodeOutcome::Kept, 0, Exception::ExpiredCodeException));
    }

    #[test]
    fn only_addresses_are_proved_by_codes() {
        assert_eq!(medium_of("email").unwrap(), Medium::Email);
        assert_eq!(medium_of("phone_number").unwrap(), Medium::Sms);
        for other in ["name", "email_verified", ""] {
            assert_eq!(refusal(medium_of(other)).0, Exception::InvalidParameterException);
        }
    }
}
