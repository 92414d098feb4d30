//! AdminLinkProviderForUser: the rules.

use crate::domain::decision::Decision;
use crate::domain::error::{Error, Exception};
use crate::domain::user::User;
use crate::domain::user::identities::{OWN_PROVIDER, ProviderIdentity, SUBJECT};
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::events::{ProviderIdentityPersonal, UserProviderLinked};
use crate::proto::v1::ProviderUserIdentifierType;

/// The most characters of a value that identifies a user of a provider.
const LONGEST_VALUE: usize = 2_048;

/// The identity that a request names, with all members that are needed to find it.
pub fn identity(name: &str, given: Option<&ProviderUserIdentifierType>) -> Result<ProviderIdentity, Error> {
    let given = given.cloned().unwrap_or_default();
    let needed = |member: &str, value: Option<String>| {
        let value = value.filter(|value| !value.is_empty());
        value.ok_or_else(|| Error::invalid_parameter(format!("Missing required parameter {name}.{member}")))
    };
    let provider_name = needed("ProviderName", given.provider_name)?;
    let attribute_value = needed("ProviderAttributeValue", given.provider_attribute_value)?;
    let attribute_name = match given.provider_attribute_name.filter(|name| !name.is_empty()) {
        // For a user of the pool itself, the name is enough.
        None if provider_name == OWN_PROVIDER => SUBJECT.to_owned(),
        attribute_name => needed("ProviderAttributeName", attribute_name)?,
    };
    Ok(ProviderIdentity { provider_name, attribute_name, attribute_value })
}

/// The identity to be linked. A user of the pool itself is refused.
pub fn source(given: Option<&ProviderUserIdentifierType>) -> Result<ProviderIdentity, Error> {
    let source = identity("SourceUser", given)?;
    if source.provider_name == OWN_PROVIDER {
        return Err(Error::invalid_parameter("SourceUser must be a user of an external provider."));
    }
    let length = source.attribute_value.chars().count().max(source.attribute_name.chars().count());
    if length > LONGEST_VALUE {
        let message = format!("SourceUser is too long: a name or value has at most {LONGEST_VALUE} characters.");
        return Err(Error::invalid_parameter(message));
    }
    Ok(source)
}

/// The parameters of the command.
pub struct LinkProvider {
    /// The external identity that is to be linked.
    pub source: ProviderIdentity,
    /// Whether the identity is already linked to a user.
    pub is_linked: bool,
    /// The id of the new link.
    pub link_id: String,
    /// The most identities that one user can have.
    pub most: u32,
}

/// Decides whether an external identity is linked to a user.
pub fn admin_link_provider_for_user(user: &User, command: LinkProvider) -> Decision<Event, Activity, ()> {
    let LinkProvider { source, is_linked, link_id, most } = command;
    if user.identities.iter().any(|identity| identity.is_of(&source)) {
        return Decision::refuse(Error::invalid_parameter("SourceUser is already linked to DestinationUser"));
    }
    if is_linked {
        let message = "SourceUser is already linked to another user.";
        return Decision::refuse(Error::new(Exception::AliasExistsException, message));
    }
    if user.identities.len() >= most as usize {
        let message = format!("At most {most} identities can be linked to a user.");
        return Decision::refuse(Error::new(Exception::LimitExceededException, message));
    }
    let linked = UserProviderLinked {
        link_id,
        provider_type: source.provider_type().map(str::to_owned),
        provider_name: source.provider_name,
        provider_attribute_name: source.attribute_name,
        personal: Some(ProviderIdentityPersonal { provider_attribute_value: source.attribute_value }),
    };
    Decision::events(vec![Event::ProviderLinked(linked)], ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{refusal, refused, signed_up, user};
    use crate::domain::user_pool::NameRules;

    fn given(provider: &str, attribute: Option<&str>, value: &str) -> ProviderUserIdentifierType {
        ProviderUserIdentifierType {
            provider_name: Some(provider.to_owned()),
            provider_attribute_name: attribute.map(str::to_owned),
            provider_attribute_value: Some(value.to_owned()),
        }
    }

    fn link(value: &str) -> LinkProvider {
        let source = source(Some(&given("Google", Some(SUBJECT), value))).unwrap();
        LinkProvider { source, is_linked: false, link_id: value.to_owned(), most: 5 }
    }

    #[test]
    fn an_external_identity_needs_all_members_and_a_pool_user_only_a_name() {
        let missing = |given: Option<&ProviderUserIdentifierType>| refusal(identity("SourceUser", given).map(drop)).1;
        assert_eq!(missing(None), "Missing required parameter SourceUser.ProviderName");
        let no_value = given("Google", Some(SUBJECT), "");
        assert_eq!(missing(Some(&no_value)), "Missing required parameter SourceUser.ProviderAttributeValue");
        let no_attribute = given("Google", None, "1");
        assert_eq!(missing(Some(&no_attribute)), "Missing required parameter SourceUser.ProviderAttributeName");
        assert_eq!(identity("User", Some(&given(OWN_PROVIDER, None, "jane"))).unwrap().attribute_name, SUBJECT);
    }

    #[test]
    fn only_an_external_identity_of_bounded_length_is_linked() {
        let refused = |given: ProviderUserIdentifierType| refusal(source(Some(&given)).map(drop)).1;
        let own = refused(given(OWN_PROVIDER, None, "jane"));
        assert_eq!(own, "SourceUser must be a user of an external provider.");
        assert!(source(Some(&given("ADFS", Some("email"), &"a".repeat(2_048)))).is_ok());
        assert!(refused(given("ADFS", Some("email"), &"a".repeat(2_049))).contains("at most 2048"));
    }

    #[test]
    fn an_unlinked_identity_is_linked_and_claimed() {
        let events = vec![signed_up("jane", &[])];
        let decision = admin_link_provider_for_user(&user(&events), link("1"));
        decision.answer.unwrap();
        let after = user(&[events, decision.events].concat());
        assert_eq!(after.identities.len(), 1);
        let names = after.names(&NameRules::default());
        assert!(names.contains(&link("1").source.claim()));
        let (name, shown) = after.shown_attributes().pop().unwrap();
        assert_eq!(name, "identities");
        assert!(shown.contains(r#""userId":"1""#), "{shown}");
    }

    #[test]
    fn an_identity_has_one_user_and_a_user_at_most_five_identities() {
        let mut events = vec![signed_up("jane", &[])];
        let taken = LinkProvider { is_linked: true, ..link("1") };
        let message = "SourceUser is already linked to another user.".to_owned();
        let expected = (Exception::AliasExistsException, message);
        assert_eq!(refused(admin_link_provider_for_user(&user(&events), taken)), expected);
        for value in ["1", "2", "3", "4", "5"] {
            events.extend(admin_link_provider_for_user(&user(&events), link(value)).events);
        }
        let (exception, _) = refused(admin_link_provider_for_user(&user(&events), link("6")));
        assert_eq!(exception, Exception::LimitExceededException);
        let again = LinkProvider { is_linked: true, ..link("5") };
        let message = "SourceUser is already linked to DestinationUser".to_owned();
        let expected = (Exception::InvalidParameterException, message);
        assert_eq!(refused(admin_link_provider_for_user(&user(&events), again)), expected);
    }
}
