//! Pools: their list, the page of one, and helpers for all pages inside a pool.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::StatusCode;
use prost_types::Timestamp as ProtoTimestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::http::dev::address::{address, encoded};
use crate::api::http::dev::ask::{PAGE, answer, ask};
use crate::api::http::dev::commands::{self, command};
use crate::api::http::dev::{Console, Failed, page};
use crate::api::operation::Operation;
use crate::app::App;
use crate::domain::time::Timestamp;
use crate::pages::Moment;
use crate::pages::console::{Choice, Fact, Link, Record, Shown, Tab, Table};
use crate::proto::v1::*;

/// Most pools that a form offers. For other pools, their own pages link to the filtered lists.
const MOST_CHOICES: i32 = 60;
/// Path prefix of all pages of pools.
pub(super) const POOLS: &str = "/dev/pools";

/// The parameter that selects a page of a list.
#[derive(Deserialize)]
pub(super) struct Paged {
    page: Option<String>,
}

impl Paged {
    /// The token with which the page begins. The first page has none.
    pub(super) fn token(&self) -> Option<String> {
        self.page.clone().filter(|token| !token.is_empty())
    }

    /// The address of the first page, unless this is the first.
    pub(super) fn first(&self, path: &str, parameters: &[(&str, &str)]) -> Option<String> {
        self.token().map(|_| address(path, parameters))
    }
}

/// The address of the page that begins at a token.
pub(super) fn next(token: Option<String>, path: &str, parameters: &[(&str, &str)]) -> Option<String> {
    token.map(|token| address(path, &[parameters, &[("page", token.as_str())]].concat()))
}

/// `GET /dev/pools`: all pools.
pub(super) async fn list(State(console): State<Console>, Query(paged): Query<Paged>) -> Result<Response, Failed> {
    let request = ListUserPoolsRequest { max_results: Some(PAGE), next_token: paged.token() };
    let found = ask(&console.app, request).await?;
    let rows = found.user_pools.into_iter().map(|pool| {
        let href = at(pool.id(), "");
        vec![
            Shown::Link(Link::new(href, pool.name())),
            Shown::Code(pool.id().to_owned()),
            moment(pool.creation_date),
            moment(pool.last_modified_date),
        ]
    });
    let table = Table {
        columns: vec!["Name", "Id", "Created", "Changed"],
        rows: rows.collect(),
        empty: "No pool yet. The command below makes one.",
        first: paged.first(POOLS, &[]),
        next: next(found.next_token, POOLS, &[]),
        ..Table::default()
    };
    let make = json!({ "PoolName": "my-pool", "AutoVerifiedAttributes": ["email"] });
    let commands = vec![command("Make a pool", Operation::CreateUserPool, &make)];
    page(StatusCode::OK, &Record { title: "Pools".to_owned(), tables: vec![table], commands, ..Record::default() })
}

/// `GET /dev/pools/<pool>`: the settings of a pool.
pub(super) async fn pool(State(console): State<Console>, Path(id): Path<String>) -> Result<Response, Failed> {
    let response = ask(&console.app, DescribeUserPoolRequest { user_pool_id: Some(id) }).await?;
    let answered = answer::<DescribeUserPoolRequest>(&response)?;
    let pool = response.user_pool.unwrap_or_default();
    let listed = |values: &[String]| Shown::Text(if values.is_empty() { "none".to_owned() } else { values.join(", ") });
    let facts = vec![
        fact("Id", Shown::Code(pool.id().to_owned())),
        fact("ARN", Shown::Code(pool.arn().to_owned())),
        fact("Users, about", Shown::Text(pool.estimated_number_of_users().to_string())),
        fact("Sign-in by", sign_in_names(&pool)),
        fact("Verifies", listed(&pool.auto_verified_attributes)),
        fact("MFA", Shown::Text(pool.mfa_configuration.clone().unwrap_or_else(|| "OFF".to_owned()))),
        fact("Created", moment(pool.creation_date)),
        fact("Changed", moment(pool.last_modified_date)),
    ];
    let record = Record {
        facts,
        commands: commands::of_pool(&answered["UserPool"]),
        document: Some(("DescribeUserPool", pretty(&answered))),
        ..in_pool(pool.id(), pool.name(), pool.name(), "")
    };
    page(StatusCode::OK, &record)
}

fn sign_in_names(pool: &UserPoolType) -> Shown {
    Shown::Text(match (pool.username_attributes.as_slice(), pool.alias_attributes.as_slice()) {
        ([], []) => "user name".to_owned(),
        ([], aliases) => format!("user name, or {}", aliases.join(", ")),
        (attributes, _) => attributes.join(", "),
    })
}

/// A page inside a pool; `part` is the path of the tab that it belongs to.
pub(super) fn in_pool(id: &str, name: &str, title: &str, part: &str) -> Record {
    let tab = |text: &str, href: String, current: bool| Tab { link: Link::new(href, text), current };
    let parts = [("Settings", ""), ("Clients", "/clients"), ("Users", "/users"), ("Groups", "/groups")];
    let mut tabs: Vec<_> = parts.into_iter().map(|(text, path)| tab(text, at(id, path), path == part)).collect();
    tabs.push(tab("Messages", address("/dev/messages", &[("pool", id)]), false));
    tabs.push(tab("Events", address("/dev/events", &[("pool", id)]), false));
    let mut trail = vec![Link::new(POOLS, "Pools")];
    if !part.is_empty() {
        trail.push(Link::new(at(id, ""), name));
    }
    Record { title: title.to_owned(), trail, tabs, ..Record::default() }
}

/// The address of a page inside a pool.
pub(super) fn at(id: &str, path: &str) -> String {
    format!("{POOLS}/{}{path}", encoded(id))
}

/// The name of a pool that exists.
pub(super) async fn name(app: &Arc<App>, id: &str) -> Result<String, Failed> {
    let found = ask(app, DescribeUserPoolRequest { user_pool_id: Some(id.to_owned()) }).await?;
    Ok(found.user_pool.and_then(|pool| pool.name).unwrap_or_default())
}

/// The pools, as a form offers them.
pub(super) async fn choices(app: &Arc<App>, chosen: &str) -> Result<Vec<Choice>, Failed> {
    let request = ListUserPoolsRequest { max_results: Some(MOST_CHOICES), next_token: None };
    let found = ask(app, request).await?;
    let choice = |pool: UserPoolDescriptionType| Choice {
        text: format!("{} ({})", pool.name(), pool.id()),
        chosen: pool.id() == chosen,
        value: pool.id.unwrap_or_default(),
    };
    let mut choices: Vec<_> = found.user_pools.into_iter().map(choice).collect();
    if !chosen.is_empty() && !choices.iter().any(|choice| choice.chosen) {
        choices.push(Choice { value: chosen.to_owned(), text: chosen.to_owned(), chosen: true });
    }
    Ok(choices)
}

/// A name with its value, for a page's table.
pub(super) fn fact(name: impl Into<String>, value: Shown) -> Fact {
    Fact { name: name.into(), value }
}

/// A time from a response.
pub(super) fn moment(at: Option<ProtoTimestamp>) -> Shown {
    let at = at.map(|at| Timestamp(at.seconds.saturating_mul(1000).saturating_add(i64::from(at.nanos / 1_000_000))));
    at.map_or(Shown::Text(String::new()), |at| Shown::Time(Moment::from(at)))
}

/// A response as indented JSON.
pub(super) fn pretty(value: &Value) -> String {
    format!("{value:#}")
}
