//! Codes that somebody asks for and nobody is sent: what is told and recorded of them where the caller may not learn who
//! exists.

use crate::domain::addresses::is_email;
use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::message::Medium;
use crate::domain::user::codes::Delivery;
use crate::domain::user_pool::UserPool;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::events::{CodePurpose, CodeWithholding, UserCodeWithheld};

/// What somebody is told who asks for a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requested {
    /// Where the code went, or would have gone.
    pub delivery: Delivery,
    /// Whether it went.
    pub is_sent: bool,
}

/// Why a user is sent no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// There is no such user.
    UnknownUser,
    /// The account is disabled.
    Disabled,
    /// The account is in a state in which a code would be of no use.
    State,
    /// There is no address to which this code could go.
    NoContact,
    /// So many went there already.
    Limit,
}

impl Withheld {
    /// What is recorded.
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

/// Who asks for a code, and what for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What the code is for.
    pub purpose: CodePurpose,
    /// The name as the caller wrote it.
    pub username: &'a str,
    /// Whether the caller may not learn who exists.
    pub hides_users: bool,
    /// A keyed hash of the name: what is told of nobody follows from it, and from nothing that a caller knows.
    pub disguise: &'a [u8],
    /// The ways by which codes for this purpose go, the first that a user can be reached by counts.
    pub ways: &'a [Medium],
}

/// The answer to a request: what was sent, or that something was, or why nothing is.
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

/// First letters of people's addresses and of the domains of mailboxes, about as often as they occur.
const LOCAL_PARTS: &[u8] = b"aaaaabbbccccddddeeefgghhiijjjjjkkklllmmmmmmnnnopprrrsssssstttuvwyz";
const DOMAINS: &[u8] = b"ggggggggggggggggggggyyyyhhhhhoooooiiiaaamlpwtcebsnrduf";

/// Where a code would go if it went: by a way that leads to users of this pool, to an address such as people have. Where the
/// name is an address, it is that one, as it would be a user's.
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

/// The medium of which a name is an address.
fn medium_of(name: &str) -> Option<Medium> {
    match name {
        name if name.starts_with('+') => Some(Medium::Sms),
        name if is_email(name) => Some(Medium::Email),
        _ => None,
    }
}

/// The first way by which users have proved an address when they signed up, or the one of them whose address the name is.
/// Where users prove none there, an e-mail is the likelier one.
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
    fn what_is_told_of_nobody_has_the_form_of_what_is_told_of_somebody() {
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
    fn what_is_told_of_nobody_is_each_time_the_same_and_follows_from_nothing_that_is_known() {
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
    fn what_is_told_of_nobody_came_by_a_way_that_leads_to_somebody() {
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
    fn why_nothing_is_sent_is_recorded_where_it_is_not_told() {
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
