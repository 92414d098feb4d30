//! The groups of a pool, and their users.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::api::http::dev::ask::{PAGE, answer, ask};
use crate::api::http::dev::commands::{self, command};
use crate::api::http::dev::pools::{self, Paged, at, fact, in_pool, moment, next, pretty};
use crate::api::http::dev::rows;
use crate::api::http::dev::{Console, Failed, page};
use crate::api::operation::Operation;
use crate::pages::console::{Link, Record, Shown, Table};
use crate::proto::v1::*;

/// `GET /dev/pools/<pool>/groups`: a page of the list.
pub(super) async fn list(
    State(console): State<Console>,
    Path(pool): Path<String>,
    Query(paged): Query<Paged>,
) -> Result<Response, Failed> {
    let name = pools::name(&console.app, &pool).await?;
    let request = ListGroupsRequest { user_pool_id: Some(pool.clone()), limit: Some(PAGE), next_token: paged.token() };
    let found = ask(&console.app, request).await?;
    let path = at(&pool, "/groups");
    let table = Table {
        columns: rows::GROUP_COLUMNS.to_vec(),
        rows: found.groups.into_iter().map(|group| rows::group(&pool, group)).collect(),
        empty: "This pool has no group yet. The command below makes one.",
        first: paged.first(&path, &[]),
        next: next(found.next_token, &path, &[]),
        ..Table::default()
    };
    let make = json!({ "UserPoolId": pool, "GroupName": "readers", "Precedence": 10 });
    let commands = vec![command("Make a group", Operation::CreateGroup, &make)];
    page(StatusCode::OK, &Record { tables: vec![table], commands, ..in_pool(&pool, &name, "Groups", "/groups") })
}

/// The parameters of a group's page.
#[derive(Deserialize)]
pub(super) struct Named {
    #[serde(default)]
    name: String,
}

/// `GET /dev/pools/<pool>/group?name=<name>`: the settings and the users, and commands to change them.
pub(super) async fn group(
    State(console): State<Console>,
    Path(pool): Path<String>,
    Query(named): Query<Named>,
    Query(paged): Query<Paged>,
) -> Result<Response, Failed> {
    let pool_name = pools::name(&console.app, &pool).await?;
    let request = GetGroupRequest { user_pool_id: Some(pool.clone()), group_name: Some(named.name.clone()) };
    let response = ask(&console.app, request).await?;
    let answered = answer::<GetGroupRequest>(&response)?;
    let group = response.group.unwrap_or_default();
    let request = ListUsersInGroupRequest {
        user_pool_id: Some(pool.clone()),
        group_name: Some(named.name.clone()),
        limit: Some(PAGE),
        next_token: paged.token(),
    };
    let members = ask(&console.app, request).await?;
    let (path, parameters) = (at(&pool, "/group"), [("name", named.name.as_str())]);
    let table = Table {
        title: Some("Members".to_owned()),
        columns: rows::USER_COLUMNS.to_vec(),
        rows: members.users.iter().map(|user| rows::user(&pool, user)).collect(),
        empty: "This group has no users yet.",
        first: paged.first(&path, &parameters),
        next: next(members.next_token, &path, &parameters),
    };
    let facts = vec![
        fact("Precedence", Shown::Text(group.precedence.map_or("none".to_owned(), |it| it.to_string()))),
        fact("Description", Shown::Text(group.description().to_owned())),
        fact("Role", Shown::Code(group.role_arn().to_owned())),
        fact("Created", moment(group.creation_date)),
        fact("Changed", moment(group.last_modified_date)),
    ];
    let mut record = Record {
        facts: facts.into_iter().filter(|fact| fact.value.says_something()).collect(),
        tables: vec![table],
        commands: commands::of_group(&answered["Group"]),
        document: Some(("GetGroup", pretty(&answered))),
        ..in_pool(&pool, &pool_name, group.group_name(), "/groups")
    };
    record.trail.push(Link::new(at(&pool, "/groups"), "Groups"));
    page(StatusCode::OK, &record)
}
