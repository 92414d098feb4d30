//! AdminDisableProviderForUser: the rules.

use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::user::User;
use crate::domain::user::identities::{OWN_PROVIDER, ProviderIdentity, SUBJECT};
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::events::{UserPasswordRemoved, UserProviderUnlinked};

/// Unlinks an external identity from its user. A user of the pool itself loses their password instead and can't set a
/// new one. Nothing happens if the password was already removed.
pub fn admin_disable_provider_for_user(user: &User, identity: &ProviderIdentity) -> Decision<Event, Activity, ()> {
    if identity.provider_name != OWN_PROVIDER {
        let link = user.identities.iter().find(|linked| linked.is_of(identity));
        let unlinked = link.map(|link| UserProviderUnlinked { link_id: link.link_id.clone() });
        return match unlinked {
            Some(unlinked) => Decision::events(vec![Event::ProviderUnlinked(unlinked)], ()),
            None => Decision::refuse(Error::no_such_user()),
        };
    }
    if identity.attribute_name != SUBJECT {
        let message = "User.ProviderAttributeName must be Cognito_Subject for a user of the pool itself.";
        return Decision::refuse(Error::invalid_parameter(message));
    }
    let removed = (!user.password_removed).then_some(Event::PasswordRemoved(UserPasswordRemoved {}));
    Decision::events(removed.into_iter().collect(), ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::error::Exception;
    use crate::domain::testing::{refused, refused_parameter, signed_up, user};
    use crate::domain::user::admin_link_provider_for_user::{LinkProvider, admin_link_provider_for_user};

    fn identity(provider: &str, attribute: &str, value: &str) -> ProviderIdentity {
        ProviderIdentity {
            provider_name: provider.to_owned(),
            attribute_name: attribute.to_owned(),
            attribute_value: value.to_owned(),
        }
    }

    #[test]
    fn one_identity_is_unlinked_and_the_others_stay() {
        let mut events = vec![signed_up("jane", &[])];
        for value in ["1", "2"] {
            let source = identity("ADFS", "email", value);
            let command = LinkProvider { source, is_linked: false, link_id: value.to_owned(), most: 5 };
            events.extend(admin_link_provider_for_user(&user(&events), command).events);
        }
        let decision = admin_disable_provider_for_user(&user(&events), &identity("ADFS", "email", "1"));
        decision.answer.unwrap();
        assert_eq!(decision.events, [Event::ProviderUnlinked(UserProviderUnlinked { link_id: "1".to_owned() })]);
        events.extend(decision.events);
        let after = user(&events);
        assert!(after.identities.len() == 1 && after.identities[0].is_of(&identity("ADFS", "email", "2")));
        let (exception, _) = refused(admin_disable_provider_for_user(&after, &identity("ADFS", "email", "1")));
        assert_eq!(exception, Exception::UserNotFoundException);
    }

    #[test]
    fn a_user_of_the_pool_itself_loses_their_password() {
        let mut events = vec![signed_up("jane", &[])];
        let by_name = identity(OWN_PROVIDER, "email", "jane");
        assert!(
            refused_parameter(admin_disable_provider_for_user(&user(&events), &by_name)).contains("Cognito_Subject")
        );
        let own = identity(OWN_PROVIDER, SUBJECT, "jane");
        let decision = admin_disable_provider_for_user(&user(&events), &own);
        assert_eq!(decision.events, [Event::PasswordRemoved(UserPasswordRemoved {})]);
        events.extend(decision.events);
        assert_eq!(user(&events).password, None);
        let again = admin_disable_provider_for_user(&user(&events), &own);
        assert!(again.events.is_empty() && again.answer.is_ok());
        let never = User { password: None, ..user(&events[..1]) };
        let decision = admin_disable_provider_for_user(&never, &own);
        assert_eq!(decision.events, [Event::PasswordRemoved(UserPasswordRemoved {})], "the user could have set one");
    }
}
