//! The clients of a pool. Pages don't show their secrets, only the command that does.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use crate::api::http::dev::address::encoded;
use crate::api::http::dev::ask::{PAGE, answer, ask};
use crate::api::http::dev::commands::{self, command};
use crate::api::http::dev::pools::{self, Paged, at, fact, in_pool, moment, next, pretty};
use crate::api::http::dev::{Console, Failed, page};
use crate::api::operation::Operation;
use crate::pages::console::{Link, Record, Shown, Table};
use crate::proto::v1::*;

/// `GET /dev/pools/<pool>/clients`: a page of the list.
pub(super) async fn list(
    State(console): State<Console>,
    Path(pool): Path<String>,
    Query(paged): Query<Paged>,
) -> Result<Response, Failed> {
    let name = pools::name(&console.app, &pool).await?;
    let request = ListUserPoolClientsRequest {
        user_pool_id: Some(pool.clone()),
        max_results: Some(PAGE),
        next_token: paged.token(),
        ..Default::default()
    };
    let found = ask(&console.app, request).await?;
    let rows = found.user_pool_clients.into_iter().map(|client| {
        let href = at(&pool, &format!("/clients/{}", encoded(client.client_id())));
        vec![Shown::Link(Link::new(href, client.client_name())), Shown::Code(client.client_id().to_owned())]
    });
    let path = at(&pool, "/clients");
    let table = Table {
        columns: vec!["Name", "Id"],
        rows: rows.collect(),
        empty: "This pool has no client yet. The command below makes one.",
        first: paged.first(&path, &[]),
        next: next(found.next_token, &path, &[]),
        ..Table::default()
    };
    let make = json!({
        "UserPoolId": pool,
        "ClientName": "my-app",
        "ExplicitAuthFlows": ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
    });
    let commands = vec![command("Make a client", Operation::CreateUserPoolClient, &make)];
    page(StatusCode::OK, &Record { tables: vec![table], commands, ..in_pool(&pool, &name, "Clients", "/clients") })
}

/// `GET /dev/pools/<pool>/clients/<client>`: the settings, and commands to change them.
pub(super) async fn client(
    State(console): State<Console>,
    Path((pool, client)): Path<(String, String)>,
) -> Result<Response, Failed> {
    let name = pools::name(&console.app, &pool).await?;
    let request = DescribeUserPoolClientRequest { user_pool_id: Some(pool.clone()), client_id: Some(client) };
    let mut response = ask(&console.app, request).await?;
    let secret = response.user_pool_client.as_mut().and_then(|client| client.client_secret.take());
    let answered = answer::<DescribeUserPoolClientRequest>(&response)?;
    let client = response.user_pool_client.unwrap_or_default();
    let has_secret = if secret.is_some() { "yes; one of the commands below shows it" } else { "no" };
    let facts = vec![
        fact("Id", Shown::Code(client.client_id().to_owned())),
        fact("Has a secret", Shown::Text(has_secret.to_owned())),
        fact("Flows", Shown::Text(client.explicit_auth_flows.join(", "))),
        fact("Created", moment(client.creation_date)),
        fact("Changed", moment(client.last_modified_date)),
    ];
    let mut record = Record {
        facts,
        commands: commands::of_client(&answered["UserPoolClient"], secret.is_some()),
        document: Some(("DescribeUserPoolClient", pretty(&answered))),
        ..in_pool(&pool, &name, client.client_name(), "/clients")
    };
    record.trail.push(Link::new(at(&pool, "/clients"), "Clients"));
    page(StatusCode::OK, &record)
}
