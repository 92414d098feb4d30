//! All rules that need no database, checked before anything is started or written: a file with such an error changes
//! nothing.

use std::collections::BTreeMap;

use crate::cli::dev::seed::document::{Position, Problem};
use crate::cli::dev::seed::read::Pool;
use crate::domain::app_client::create_user_pool_client::{CreateUserPoolClient, create_user_pool_client};
use crate::domain::decision::replay;
use crate::domain::error::Error;
use crate::domain::ids::{StreamId, Sub};
use crate::domain::password_policy;
use crate::domain::personal::Sealed;
use crate::domain::time::Timestamp;
use crate::domain::user::admin_create_user::invitee;
use crate::domain::user_pool::UserPool;
use crate::domain::user_pool::create_user_pool::{CreateUserPool, create_user_pool};
use crate::limits::Counts;

/// The problems of pools, each checked as if it were new.
pub fn rehearse(pools: &[Pool]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let ids = pools.iter().map(|pool| (pool.pool.value.id.to_string(), &pool.pool.place));
    problems.extend(doubles("Id", ids));
    let clients = pools.iter().flat_map(|pool| &pool.clients);
    problems.extend(doubles("ClientId", clients.map(|client| (client.value.id.to_string(), &client.place))));
    for pool in pools {
        let groups = pool.groups.iter();
        problems.extend(doubles("GroupName", groups.map(|group| (group.value.group_name().to_owned(), &group.place))));
        match new_pool(pool) {
            Ok(state) => problems.extend(inside(pool, &state)),
            Err(error) => problems.push(pool.pool.place.problem(error.message)),
        }
    }
    problems.sort_by_key(|problem| (problem.place.line, problem.place.column));
    problems
}

/// Problems for keys that occur more than once in a list.
fn doubles<'a>(what: &str, keyed: impl Iterator<Item = (String, &'a Position)>) -> Vec<Problem> {
    let mut first: BTreeMap<String, &Position> = BTreeMap::new();
    let mut problems = Vec::new();
    for (key, place) in keyed {
        if let Some(earlier) = first.get(&key) {
            problems.push(place.problem(format!("has the same {what} as {} in line {}.", earlier.path, earlier.line)));
        } else {
            first.insert(key, place);
        }
    }
    problems
}

fn new_pool(pool: &Pool) -> Result<UserPool, Error> {
    let at = Timestamp(0);
    let decision = create_user_pool(CreateUserPool {
        region: pool.pool.value.id.region().to_owned(),
        account_id: String::new(),
        issuer: String::new(),
        signing_keys: Vec::new(),
        at,
        most_custom_attributes: Counts::default().custom_attributes_per_pool,
        request: pool.pool.value.create.clone(),
    });
    let (happened, answer) = decision.into_parts();
    answer?;
    let state = replay::<UserPool>(None, &StreamId::pool(), happened.events.iter().map(|event| (event, at)));
    state.ok_or_else(|| Error::internal("a pool that was created does not exist"))
}

fn inside(pool: &Pool, state: &UserPool) -> Vec<Problem> {
    let mut problems = Vec::new();
    for client in &pool.clients {
        let request = client.value.create.clone();
        let has_secret = request.client_secret.is_some() || request.generate_secret();
        let client_secret = has_secret.then(|| Sealed(Vec::new()));
        let decision = create_user_pool_client(state, CreateUserPoolClient { client_secret, request });
        let (_, answer) = decision.into_parts();
        problems.extend(answer.err().map(|error| client.place.problem(error.message)));
    }
    for user in &pool.users {
        let wanted = &user.user.value;
        let sub = wanted.sub.unwrap_or(Sub(uuid::Uuid::nil()));
        let unfit = invitee(state, sub, &wanted.create).err();
        problems.extend(unfit.map(|error| user.user.place.problem(error.message)));
        let weak = password_policy::check(&state.password_policy(), wanted.password.password()).err();
        problems.extend(weak.map(|error| user.password.problem(error.message)));
        let is_there = |name: &String| pool.groups.iter().any(|group| group.value.group_name() == name);
        if let Some(missing) = wanted.groups.iter().find(|name| !is_there(name)) {
            problems.push(user.groups.problem(format!("The pool has no group {missing} in this file.")));
        }
    }
    let rules = state.name_rules();
    let named = pool.users.iter().map(|user| &user.user);
    let names = named.clone().map(|user| (rules.normalise(user.value.create.username()), &user.place));
    problems.extend(doubles("Username", names));
    let subs = named.filter_map(|user| Some((user.value.sub?.to_string(), &user.place)));
    problems.extend(doubles("sub", subs));
    problems
}
