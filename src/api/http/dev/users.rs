//! The users of a pool. Addresses name them by their `sub`, because user names may hold characters that an address can't.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::api::http::dev::address::{address, encoded};
use crate::api::http::dev::ask::{PAGE, answer, ask};
use crate::api::http::dev::commands::{self, command};
use crate::api::http::dev::pools::{self, Paged, at, fact, in_pool, moment, next, pretty};
use crate::api::http::dev::rows::{self, value};
use crate::api::http::dev::{Console, Failed, page};
use crate::api::operation::Operation;
use crate::pages::console::{Link, Record, Search, Shown, Table};
use crate::proto::v1::*;

/// The search of the list.
#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    find: String,
}

/// `GET /dev/pools/<pool>/users?find=<name, address or filter>`: a page of the list.
pub(super) async fn list(
    State(console): State<Console>,
    Path(pool): Path<String>,
    Query(wanted): Query<Wanted>,
    Query(paged): Query<Paged>,
) -> Result<Response, Failed> {
    let name = pools::name(&console.app, &pool).await?;
    let request = ListUsersRequest {
        user_pool_id: Some(pool.clone()),
        limit: Some(PAGE),
        filter: filter(&wanted.find),
        pagination_token: paged.token(),
        ..Default::default()
    };
    let found = ask(&console.app, request).await?;
    let (path, parameters) = (at(&pool, "/users"), [("find", wanted.find.as_str())]);
    let nobody = if wanted.find.is_empty() {
        "This pool has no user yet. The command below makes one."
    } else {
        "No user matches."
    };
    let table = Table {
        columns: rows::USER_COLUMNS.to_vec(),
        rows: found.users.iter().map(|user| rows::user(&pool, user)).collect(),
        empty: nobody,
        first: paged.first(&path, &parameters),
        next: next(found.pagination_token, &path, &parameters),
        ..Table::default()
    };
    let search = Search {
        label: "The beginning of a name or an address, or a filter",
        hint: "jane, jane@, email = \"jane@example.com\"",
        name: "find",
        without: path,
        value: wanted.find,
    };
    let make = json!({
        "UserPoolId": pool,
        "Username": "jane",
        "UserAttributes": [{ "Name": "email", "Value": "jane@example.com" }, { "Name": "email_verified", "Value": "true" }],
    });
    let commands = vec![command("Make a user and send an invitation", Operation::AdminCreateUser, &make)];
    let record =
        Record { search: Some(search), tables: vec![table], commands, ..in_pool(&pool, &name, "Users", "/users") };
    page(StatusCode::OK, &record)
}

/// The search as a filter of ListUsers: a text that is a filter stays as it is; any other is the beginning of a name or
/// an address.
fn filter(find: &str) -> Option<String> {
    let find = find.trim();
    let attribute = match find {
        "" => return None,
        find if find.contains('=') => return Some(find.to_owned()),
        find if find.contains('@') => "email",
        find if find.starts_with('+') => "phone_number",
        _ => "username",
    };
    Some(format!("{attribute} ^= \"{}\"", find.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// `GET /dev/pools/<pool>/users/<sub>`: the attributes and the groups, and commands to change them.
pub(super) async fn user(
    State(console): State<Console>,
    Path((pool, sub)): Path<(String, String)>,
    Query(paged): Query<Paged>,
) -> Result<Response, Failed> {
    let pool_name = pools::name(&console.app, &pool).await?;
    let request = AdminGetUserRequest { user_pool_id: Some(pool.clone()), username: Some(sub.clone()) };
    let user = ask(&console.app, request).await?;
    let answered = answer::<AdminGetUserRequest>(&user)?;
    let request = AdminListGroupsForUserRequest {
        user_pool_id: Some(pool.clone()),
        username: Some(sub.clone()),
        limit: Some(PAGE),
        next_token: paged.token(),
    };
    let found = ask(&console.app, request).await?;
    let path = at(&pool, &format!("/users/{}", encoded(&sub)));
    let groups = Table {
        title: Some("Groups".to_owned()),
        columns: rows::GROUP_COLUMNS.to_vec(),
        rows: found.groups.into_iter().map(|group| rows::group(&pool, group)).collect(),
        empty: "This user is in no group.",
        first: paged.first(&path, &[]),
        next: next(found.next_token, &path, &[]),
    };
    let mut facts = vec![
        fact("Status", Shown::Word(user.user_status().to_owned())),
        fact("Enabled", Shown::Text(if user.enabled == Some(false) { "no" } else { "yes" }.to_owned())),
        fact("Created", moment(user.user_create_date)),
        fact("Changed", moment(user.user_last_modified_date)),
    ];
    facts.extend(user.user_attributes.iter().map(|it| fact(it.name(), Shown::Text(it.value().to_owned()))));
    let addresses = [value(&user.user_attributes, "email"), value(&user.user_attributes, "phone_number")];
    let sent = addresses.into_iter().filter(|address| !address.is_empty()).map(|to| {
        let href = address("/dev/messages", &[("to", to), ("pool", &pool)]);
        fact("Messages", Shown::Link(Link::new(href, format!("sent to {to}"))))
    });
    facts.extend(sent.collect::<Vec<_>>());
    let mut record = Record {
        facts,
        tables: vec![groups],
        commands: commands::of_user(&pool, &answered),
        document: Some(("AdminGetUser", pretty(&answered))),
        ..in_pool(&pool, &pool_name, user.username(), "/users")
    };
    record.trail.push(Link::new(at(&pool, "/users"), "Users"));
    page(StatusCode::OK, &record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::user::list_users::parse_filter;

    #[test]
    fn any_search_becomes_a_valid_filter() {
        assert_eq!(filter("  "), None);
        assert_eq!(filter("jane").as_deref(), Some("username ^= \"jane\""));
        assert_eq!(filter("jane@").as_deref(), Some("email ^= \"jane@\""));
        assert_eq!(filter("+49").as_deref(), Some("phone_number ^= \"+49\""));
        assert_eq!(filter("sub = \"1\"").as_deref(), Some("sub = \"1\""));
        for hostile in ["\"", "\\", "\\\"", "a\"b\\"] {
            let parsed = parse_filter(&filter(hostile).unwrap()).unwrap().unwrap();
            assert_eq!(parsed.value, hostile);
        }
    }
}
