//! VerifyUserAttribute: the rules.

use crate::domain::error::{Error, Exception};
use crate::domain::message::Medium;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::domain::user::codes::{self, Guess, SentCode};
use crate::proto::events::UserAttributeVerified;
use crate::proto::events::user_event::Event;

/// The medium of an attribute that a code can prove.
pub fn medium_of(attribute: &str) -> Result<Medium, Error> {
    let medium = [Medium::Email, Medium::Sms].into_iter().find(|medium| medium.attribute() == attribute);
    medium.ok_or_else(|| Error::invalid_parameter("Only email and phone_number can be verified by a code."))
}

/// Decides whether a code proves an address. `guess` is the code, hashed with the address that waits to be proved.
pub fn verify_user_attribute(
    user: &User,
    medium: Medium,
    sent: Option<&SentCode>,
    guess: &[u8],
    at: Timestamp,
) -> Guess {
    if let Err(fault) = codes::check(sent, guess, at) {
        return Guess::faulty(fault, codes::verification(medium), Exception::LimitExceededException);
    }
    let attribute = medium.attribute();
    let changes = !user.verified.contains(attribute) || user.requested.contains_key(attribute);
    let event = Event::AttributeVerified(UserAttributeVerified { attribute: attribute.to_owned() });
    Guess::right(changes.then_some(event).into_iter().collect())
}
