//! Codes that somebody asks for and nobody is sent: what is told and recorded of them where the caller may not learn who
//! exists.

use crate::domain::attributes::is_email;
use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::message::Medium;
use crate::domain::user::codes::Delivery;
use crate::domain::user_pool::UserPool;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::events::{CodePurpose, CodeWithholding, UserCodeWithheld};

/// What somebody is told who asks for a code.
#[derive(Debug, PartialEq, Eq)]
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
}

impl Withheld {
    fn fact(self, purpose: CodePurpose) -> Activity {
        let reason = match self {
            Self::UnknownUser => CodeWithholding::UnknownUser,
            Self::Disabled => CodeWithholding::Disabled,
            Self::State => CodeWithholding::State,
            Self::NoContact => CodeWithholding::NoContact,
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
            let delivery = simulated_delivery(pool, request.ways, request.username);
            Decision::events(Vec::new(), Requested { delivery, is_sent: false })
                .with_activity([withheld.fact(request.purpose)])
        }
        Err(withheld) => Decision::refuse(refusal(withheld)),
    }
}

/// Where a code would go if it went: by a way that leads to users of this pool, to an address that is made from the name.
fn simulated_delivery(pool: &UserPool, ways: &[Medium], username: &str) -> Delivery {
    match simulated_medium(pool, ways, username) {
        Medium::Sms if username.starts_with('+') => (Medium::Sms, username.to_owned()),
        Medium::Sms => (Medium::Sms, format!("+{:0>11}", username.len() * 7919 % 10_000)),
        Medium::Email => {
            let first = username.chars().next().unwrap_or('u');
            let domain = username.rsplit_once('@').map_or("example.com", |(_, domain)| domain);
            (Medium::Email, format!("{first}@{domain}"))
        }
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
    let named = match username {
        name if name.starts_with('+') => Some(Medium::Sms),
        name if is_email(name) => Some(Medium::Email),
        _ => None,
    };
    named.filter(|way| likely.contains(way)).or(likely.first().copied()).unwrap_or(Medium::Email)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::attributes::is_phone_number;
    use crate::domain::testing::{pool, refused, texts};
    use crate::proto::v1::CreateUserPoolRequest;

    const PHONE_FIRST: [Medium; 2] = [Medium::Sms, Medium::Email];
    const EMAIL_FIRST: [Medium; 2] = [Medium::Email, Medium::Sms];

    fn told(verified: &[&str], ways: &[Medium], username: &str) -> Delivery {
        let pool = pool(CreateUserPoolRequest { auto_verified_attributes: texts(verified), ..Default::default() });
        simulated_delivery(&pool, ways, username)
    }

    #[test]
    fn what_is_told_of_nobody_has_the_form_of_what_is_told_of_somebody() {
        assert_eq!(told(&["email"], &PHONE_FIRST, "jane"), (Medium::Email, "j@example.com".to_owned()));
        assert_eq!(told(&["email"], &PHONE_FIRST, "jane@company.com"), (Medium::Email, "j@company.com".to_owned()));
        let phone = "+12025550123";
        assert_eq!(told(&["email", "phone_number"], &EMAIL_FIRST, phone), (Medium::Sms, phone.to_owned()));
        let (medium, number) = told(&["phone_number"], &PHONE_FIRST, "jane");
        assert_eq!(medium, Medium::Sms);
        assert!(is_phone_number(&number), "{number}");
        assert_eq!(told(&["phone_number"], &PHONE_FIRST, "jane").1, number, "each time the same");
        assert_eq!(told(&[], &PHONE_FIRST, "").0, Medium::Email);
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
            let request = Request { purpose, username: "jane", hides_users, ways: &PHONE_FIRST };
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
