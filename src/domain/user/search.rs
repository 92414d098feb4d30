//! The attributes by which users are found in lists, in the form that is compared.

use std::collections::BTreeSet;

use crate::domain::user::User;
use crate::domain::user_pool::NameRules;

/// The most characters of a value that can be searched. A filter has at most 256 characters, and case folding at most
/// doubles each, so no filter can distinguish longer values; and a row still fits into an index.
pub const LONGEST_SEARCHABLE: usize = 520;

/// An attribute that a list can be filtered by. [`Self::name`] is its name in a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum SearchAttribute {
    Username,
    Email,
    PhoneNumber,
    Name,
    GivenName,
    FamilyName,
    PreferredUsername,
    UserStatus,
    /// Whether the account may be used: `Enabled` or `Disabled`.
    Status,
    Sub,
}

impl SearchAttribute {
    /// Every attribute that a filter can name.
    pub const ALL: [Self; 10] = [
        Self::Username,
        Self::Email,
        Self::PhoneNumber,
        Self::Name,
        Self::GivenName,
        Self::FamilyName,
        Self::PreferredUsername,
        Self::UserStatus,
        Self::Status,
        Self::Sub,
    ];

    /// The attribute's name in a filter.
    pub fn name(self) -> &'static str {
        match self {
            Self::Username => "username",
            Self::Email => "email",
            Self::PhoneNumber => "phone_number",
            Self::Name => "name",
            Self::GivenName => "given_name",
            Self::FamilyName => "family_name",
            Self::PreferredUsername => "preferred_username",
            Self::UserStatus => "cognito:user_status",
            Self::Status => "status",
            Self::Sub => "sub",
        }
    }

    /// The form in which values are compared. A user name keeps its case if the pool is case-sensitive; `status` always
    /// keeps it; all other values are folded.
    pub fn compared(self, rules: &NameRules, value: &str) -> String {
        let folded = match self {
            Self::Username => !rules.case_sensitive,
            Self::Status => false,
            _ => true,
        };
        if folded {
            // Folded one character at a time, so that a prefix stays a prefix; a final sigma would break that.
            value.chars().flat_map(char::to_lowercase).take(LONGEST_SEARCHABLE).collect()
        } else {
            value.chars().take(LONGEST_SEARCHABLE).collect()
        }
    }
}

/// An attribute by which a user is found, with its value in the form that is compared.
pub type SearchEntry = (SearchAttribute, String);

impl User {
    /// The searchable values of the user, without `sub`, which is the key of every user.
    pub fn search_entries(&self, rules: &NameRules) -> BTreeSet<SearchEntry> {
        let value = |attribute: SearchAttribute| match attribute {
            SearchAttribute::Username => self.username.known().map(String::as_str),
            SearchAttribute::UserStatus => Some(self.status.name()),
            SearchAttribute::Status => Some(if self.enabled { "Enabled" } else { "Disabled" }),
            SearchAttribute::Sub => None,
            attribute => self.attribute(attribute.name()),
        };
        let entry = |attribute| value(attribute).map(|value| (attribute, attribute.compared(rules, value)));
        SearchAttribute::ALL.into_iter().filter_map(entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::testing::{confirmed, signed_up, user};

    fn entries(rules: &NameRules, user: &User) -> Vec<(&'static str, String)> {
        user.search_entries(rules).into_iter().map(|(attribute, value)| (attribute.name(), value)).collect()
    }

    #[test]
    fn a_user_is_found_by_name_state_and_standard_attributes() {
        let attributes = [
            ("email", "Jane@Example.com"),
            ("family_name", "Doe"),
            ("given_name", "Jane"),
            ("name", "Jane Doe"),
            ("phone_number", "+12025550123"),
            ("preferred_username", "JD"),
            ("nickname", "J"),
            ("custom:team", "red"),
        ];
        let jane = user(&[signed_up("Jane", &attributes), confirmed(&[])]);
        let sensitive = NameRules { case_sensitive: true, ..NameRules::default() };
        let expected = [
            ("username", "Jane"),
            ("email", "jane@example.com"),
            ("phone_number", "+12025550123"),
            ("name", "jane doe"),
            ("given_name", "jane"),
            ("family_name", "doe"),
            ("preferred_username", "jd"),
            ("cognito:user_status", "confirmed"),
            ("status", "Enabled"),
        ];
        assert_eq!(entries(&sensitive, &jane), expected.map(|(name, value)| (name, value.to_owned())));
        let insensitive = NameRules { case_sensitive: false, ..NameRules::default() };
        assert_eq!(entries(&insensitive, &jane)[0], ("username", "jane".to_owned()));
        let disabled = User { enabled: false, ..jane };
        assert!(entries(&sensitive, &disabled).contains(&("status", "Disabled".to_owned())));
    }

    #[test]
    fn an_empty_attribute_is_found_and_an_absent_one_is_not() {
        let jane = user(&[signed_up("jane", &[("name", "")])]);
        let found = entries(&NameRules::default(), &jane);
        assert!(found.contains(&("name", String::new())));
        assert!(found.iter().all(|(name, _)| *name != "email"));
    }

    proptest! {
        #[test]
        fn the_compared_form_of_a_prefix_is_a_prefix(value in "\\PC{0,40}", length in 0..40_usize) {
            let prefix: String = value.chars().take(length).collect();
            for case_sensitive in [true, false] {
                let rules = NameRules { case_sensitive, ..NameRules::default() };
                for attribute in SearchAttribute::ALL {
                    let (whole, part) = (attribute.compared(&rules, &value), attribute.compared(&rules, &prefix));
                    prop_assert!(whole.starts_with(&part));
                }
            }
        }

        #[test]
        fn what_is_compared_is_never_too_long_for_an_index(value in "\\PC{500,700}") {
            let compared = SearchAttribute::Name.compared(&NameRules::default(), &value);
            prop_assert!(compared.chars().count() <= LONGEST_SEARCHABLE);
        }
    }
}
