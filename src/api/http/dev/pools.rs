//! Pools: the list of them, one of them, and what the pages of what is in one have in common.

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

/// The most pools to choose from in a form. Any other is chosen by the links of its own page.
const MOST_CHOICES: i32 = 60;
/// The beginning of the addresses of pools.
pub(super) const POOLS: &str = "/dev/pools";

/// Which page of a list.
#[derive(Deserialize)]
pub(super) struct Paged {
    page: Option<String>,
}

impl Paged {
    /// The token with which the page begins. The first page has none.
    pub(super) fn token(&self) -> Option<String> {
        self.page.clone().filter(|token| !token.is_empty())
    }

    /// The address of the first page, from any other.
    pub(super) fn first(&self, path: &str, parameters: &[(&str, &str)]) -> Option<String> {
        self.token().map(|_| address(path, parameters))
    }
}

/// The address of the page that a token begins.
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

/// `GET /dev/pools/<pool>`: what it is set to.
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

/// A page of something in a pool: `part` is the tab that it belongs to.
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

/// An address of a pool's.
pub(super) fn at(id: &str, path: &str) -> String {
    format!("{POOLS}/{}{path}", encoded(id))
}

/// The name of a pool that is there.
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

/// What is known of something.
pub(super) fn fact(name: impl Into<String>, value: Shown) -> Fact {
    Fact { name: name.into(), value }
}

/// A time of the API's.
pub(super) fn moment(at: Option<ProtoTimestamp>) -> Shown {
    let at = at.map(|at| Timestamp(at.seconds.saturating_mul(1000).saturating_add(i64::from(at.nanos / 1_000_000))));
    at.map_or(Shown::Text(String::new()), |at| Shown::Time(Moment::from(at)))
}

/// An answer as it is read.
pub(super) fn pretty(value: &Value) -> String {
    format!("{value:#}")
}
