//! Users and groups as rows of lists.

use crate::api::http::dev::address::{address, encoded};
use crate::api::http::dev::pools::{at, moment};
use crate::pages::console::{Link, Shown};
use crate::proto::v1::{AttributeType, GroupType, UserType};

/// The columns of lists of users.
pub(super) const USER_COLUMNS: [&str; 4] = ["Name", "Address", "Status", "Created"];

/// A user as a row of a list.
pub(super) fn user(pool: &str, user: &UserType) -> Vec<Shown> {
    let value = |name: &str| value(&user.attributes, name);
    let href = at(pool, &format!("/users/{}", encoded(value("sub"))));
    let address = [value("email"), value("phone_number")].into_iter().find(|value| !value.is_empty());
    let status = if user.enabled == Some(false) { "DISABLED" } else { user.user_status() };
    vec![
        Shown::Link(Link::new(href, user.username())),
        Shown::Text(address.unwrap_or_default().to_owned()),
        Shown::Word(status.to_owned()),
        moment(user.user_create_date),
    ]
}

/// The columns of lists of groups.
pub(super) const GROUP_COLUMNS: [&str; 4] = ["Name", "Precedence", "Description", "Created"];

/// A group as a row of a list.
pub(super) fn group(pool: &str, group: GroupType) -> Vec<Shown> {
    let href = address(&at(pool, "/group"), &[("name", group.group_name())]);
    vec![
        Shown::Link(Link::new(href, group.group_name())),
        Shown::Text(group.precedence.map(|precedence| precedence.to_string()).unwrap_or_default()),
        Shown::Text(group.description().to_owned()),
        moment(group.creation_date),
    ]
}

/// The value of an attribute; empty if there is none.
pub(super) fn value<'a>(attributes: &'a [AttributeType], name: &str) -> &'a str {
    attributes.iter().find(|attribute| attribute.name() == name).map(AttributeType::value).unwrap_or_default()
}
