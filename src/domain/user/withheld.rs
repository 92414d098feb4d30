//! Requests for a code that is not sent: what is answered and recorded where the caller may not learn which users
//! exist.

use crate::domain::addresses::is_email;
use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::message::Medium;
use crate::domain::user::codes::Delivery;
use crate::domain::user_pool::UserPool;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::events::{CodePurpose, CodeWithholding, UserCodeWithheld};

/// The answer to a caller who requests a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requested {
    /// Where the code went, or would have gone.
    pub delivery: Delivery,
    /// Whether a code was sent; `false` if the delivery is simulated.
    pub is_sent: bool,
}

/// Why a user is sent no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// There is no such user.
    UnknownUser,
    /// The account is disabled.
    Disabled,
    /// A code would be useless in the state of the account.
    State,
    /// The user has no address for this code.
    NoContact,
    /// Too many codes were sent there already.
    Limit,
}

impl Withheld {
    /// The fact that records why no code was sent.
    pub fn fact(self, purpose: CodePurpose) -> Activity {
        let reason = match self {
            Self::UnknownUser => CodeWithholding::UnknownUser,
            Self::Disabled => CodeWithholding::Disabled,
            Self::State => CodeWithholding::State,
            Self::NoContact => CodeWithholding::NoContact,
            Self::Limit => CodeWithholding::Limit,
        };
        Activity::CodeWithheld(UserCodeWithheld { purpose: purpose.into(), reason: reason.into() })
    }
}

/// A request for a code.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What the code is for.
    pub purpose: CodePurpose,
    /// The user name as the caller wrote it.
    pub username: &'a str,
    /// Whether the answer must not reveal which users exist.
    pub hides_users: bool,
    /// A keyed hash of the name. The simulated address of an unknown user follows from it, and a caller can't compute
    /// it.
    pub disguise: &'a [u8],
    /// The media that codes for this purpose can use; the first one that reaches the user counts.
    pub ways: &'a [Medium],
}

/// The answer to a request: a sent code, a simulated delivery, or the reason why none is sent.
pub fn answer(
    pool: &UserPool,
    request: Request<'_>,
    sent: Result<Decision<Event, Activity, Delivery>, Withheld>,
    refusal: impl FnOnce(Withheld) -> Error,
) -> Decision<Event, Activity, Requested> {
    match sent {
        Ok(sent) => sent.map(|delivery| Requested { delivery, is_sent: true }),
        Err(withheld) if request.hides_users => {
            let delivery = simulated_delivery(pool, &request);
            Decision::events(Vec::new(), Requested { delivery, is_sent: false })
                .with_activity([withheld.fact(request.purpose)])
        }
        Err(withheld) => Decision::refuse(refusal(withheld)),
    }
}

/// First letters of addresses and of mailbox domains, about as often as they occur.
const LOCAL_PARTS: &[u8] = b"aaaaabbbccccddddeeefgghhiijjjjjkkklllmmmmmmnnnopprrrsssssstttuvwyz";
const DOMAINS: &[u8] = b"ggggggggggggggggggggyyyyhhhhhoooooiiiaaamlpwtcebsnrduf";

/// A simulated delivery: a medium that this pool's users have, and an address that a person could have. If the name is
/// an address, it is that one, as it would be for a user.
fn simulated_delivery(pool: &UserPool, request: &Request<'_>) -> Delivery {
    let medium = simulated_medium(pool, request.ways, request.username);
    let named = medium_of(request.username).filter(|named| *named == medium);
    let address = match medium {
        _ if named.is_some() => request.username.to_owned(),
        Medium::Sms => format!("+1{:010}", number(request.disguise) % 10_000_000_000),
        Medium::Email => {
            let [local, domain] = [0, 1].map(|index| request.disguise.get(index).copied().unwrap_or_default());
            format!("{}@{}", letter(LOCAL_PARTS, local), letter(DOMAINS, domain))
        }
    };
    (medium, address)
}

fn letter(letters: &[u8], random: u8) -> char {
    char::from(letters[usize::from(random) % letters.len()])
}

fn number(random: &[u8]) -> u64 {
    random.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The medium for which the name is an address.
fn medium_of(name: &str) -> Option<Medium> {
    match name {
        name if name.starts_with('+') => Some(Medium::Sms),
        name if is_email(name) => Some(Medium::Email),
        _ => None,
    }
}

/// The first medium whose address users verify at the sign-up, or the medium for which the name is an address. Where
/// users verify none, e-mail is assumed.
fn simulated_medium(pool: &UserPool, ways: &[Medium], username: &str) -> Medium {
    let mut likely: Vec<_> = ways.iter().copied().filter(|way| pool.verifies(way.attribute())).collect();
    if likely.is_empty() {
        likely.extend(ways);
        likely.sort_by_key(|way| *way != Medium::Email);
    }
    medium_of(username).filter(|way| likely.contains(way)).or(likely.first().copied()).unwrap_or(Medium::Email)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::addresses::is_phone_number;
    use crate::domain::message::mask;
    use crate::domain::testing::{pool, refused, texts};
    use crate::proto::v1::CreateUserPoolRequest;

    const PHONE_FIRST: [Medium; 2] = [Medium::Sms, Medium::Email];
    const EMAIL_FIRST: [Medium; 2] = [Medium::Email, Medium::Sms];

    fn told_by(disguise: &[u8], verified: &[&str], ways: &[Medium], username: &str) -> Delivery {
        let pool = pool(CreateUserPoolRequest { auto_verified_attributes: texts(verified), ..Default::default() });
        let request = Request { purpose: CodePurpose::SignUp, username, hides_users: true, disguise, ways };
        simulated_delivery(&pool, &request)
    }

    fn told(verified: &[&str], ways: &[Medium], username: &str) -> Delivery {
        told_by(&[7; 32], verified, ways, username)
    }

    #[test]
    fn a_simulated_delivery_has_the_form_of_a_real_one() {
        let (medium, address) = told(&["email"], &PHONE_FIRST, "jane");
        assert!(medium == Medium::Email && mask(medium, &address).len() == "j***@e***".len(), "{address}");
        let named = "jane@company.com";
        assert_eq!(told(&["email"], &PHONE_FIRST, named), (Medium::Email, named.to_owned()));
        let phone = "+12025550123";
        assert_eq!(told(&["email", "phone_number"], &EMAIL_FIRST, phone), (Medium::Sms, phone.to_owned()));
        let (medium, number) = told(&["phone_number"], &PHONE_FIRST, "jane");
        assert_eq!(medium, Medium::Sms);
        assert!(is_phone_number(&number), "{number}");
        assert_eq!(told(&[], &PHONE_FIRST, "").0, Medium::Email);
    }

    #[test]
    fn a_simulated_delivery_is_stable_and_can_not_be_predicted() {
        let (mut emails, mut numbers) = (BTreeSet::new(), BTreeSet::new());
        for key in 0..200_u8 {
            let hash: [u8; 32] =
                std::array::from_fn(|index| key.wrapping_mul(31).wrapping_add((index as u8).wrapping_mul(17)));
            let email = told_by(&hash, &["email"], &EMAIL_FIRST, "jane");
            assert_eq!(told_by(&hash, &["email"], &EMAIL_FIRST, "jane"), email);
            emails.insert(mask(Medium::Email, &email.1));
            numbers.insert(mask(Medium::Sms, &told_by(&hash, &["phone_number"], &PHONE_FIRST, "jane").1));
        }
        assert!(emails.len() > 20 && numbers.len() > 100, "{} {}", emails.len(), numbers.len());
    }

    #[test]
    fn a_simulated_delivery_uses_a_medium_that_users_have() {
        let both = ["email", "phone_number"];
        for name in ["jane", "jane@company.com", "+12025550123"] {
            assert_eq!(told(&both, &[Medium::Sms], name).0, Medium::Sms, "{name}");
            assert_eq!(told(&both, &[Medium::Email], name).0, Medium::Email, "{name}");
            assert_eq!(told(&[], &[Medium::Sms], name).0, Medium::Sms, "{name}");
            assert_eq!(told(&["email"], &[Medium::Sms], name).0, Medium::Sms, "{name}");
            assert_eq!(told(&["phone_number"], &EMAIL_FIRST, name).0, Medium::Sms, "{name}");
        }
        assert_eq!(told(&both, &PHONE_FIRST, "jane").0, Medium::Sms);
        assert_eq!(told(&both, &EMAIL_FIRST, "jane").0, Medium::Email);
        assert_eq!(told(&both, &PHONE_FIRST, "jane@company.com").0, Medium::Email);
    }

    #[test]
    fn the_reason_for_no_code_is_recorded_where_it_is_not_told() {
        let pool = pool(CreateUserPoolRequest::default());
        let asking = |hides_users| {
            let purpose = CodePurpose::SignUp;
            let request = Request { purpose, username: "jane", hides_users, disguise: &[], ways: &PHONE_FIRST };
            answer(&pool, request, Err(Withheld::Disabled), |_| Error::not_authorized("User is disabled."))
        };
        let hidden = asking(true);
        let reason = CodeWithholding::Disabled.into();
        let fact = UserCodeWithheld { purpose: CodePurpose::SignUp.into(), reason };
        assert_eq!(hidden.activity, [Activity::CodeWithheld(fact)]);
        assert!(hidden.events.is_empty() && hidden.messages.is_empty());
        assert!(!hidden.answer.unwrap().is_sent);
        assert_eq!(refused(asking(false)).1, "User is disabled.");
    }
}
