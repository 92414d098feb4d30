//! Directories to be listed: user pools of more users than a benchmark could sign up.
//!
//! Their users are rows as commits write them, copied from one whom the server has created. They have no events in the
//! log, so `log verify` would fail on this database.

use sqlx::PgPool;
use userpool::proto::v1::*;

use crate::caller::{Caller, NoAnswer, Prepared};

/// Users on a page: the most that a request may ask for.
pub const PAGE_SIZE: i32 = 60;
/// How many users have e-mail addresses with the same beginning.
const ALIKE: usize = 50;
/// How many different calls of each kind are prepared; loads make them in turn.
const CALLS: usize = 64;
/// The name of the user that all others are copied from.
const TEMPLATE: &str = "template";

const SEED: [&str; 2] = [
    "insert into users (user_pool_id, sub, version, revision, state)
     select $1, md5(n::text)::uuid, version, revision, jsonb_set(jsonb_set(jsonb_set(state,
        '{username}', jsonb_build_object('known', 'user-' || n)),
        '{sub}', to_jsonb(md5(n::text)::uuid)),
        '{attributes,known,email}', to_jsonb(n / $3 || '-' || n || '@example.com'))
     from users, generate_series(1, $2) n where user_pool_id = $1 and state->'username'->>'known' = 'template'",
    "insert into user_search (user_pool_id, attribute, value, sub)
     select $1, a.attribute, a.value, md5(n::text)::uuid from generate_series(1, $2) n, lateral (values
        ('username', 'user-' || n), ('email', n / $3 || '-' || n || '@example.com'),
        ('cognito:user_status', 'force_change_password'), ('status', 'Enabled')) a (attribute, value)",
];

/// A user pool to be listed.
pub struct Directory {
    /// Id of the user pool.
    pub pool_id: String,
    /// Calls of ListUsers for the first pages, one after the other.
    pub pages: Vec<Prepared>,
    /// Calls of ListUsers with a filter, each for the users of one beginning.
    pub filters: Vec<Prepared>,
}

impl Directory {
    /// Makes a pool with this number of users.
    pub async fn create(caller: &Caller, database: &PgPool, users: usize) -> Result<Self, NoAnswer> {
        let pool = CreateUserPoolRequest { pool_name: Some(format!("{users} users")), ..Default::default() };
        let pool_id = caller.call(&pool).await?.user_pool.unwrap_or_default().id.unwrap_or_default();
        let template = AdminCreateUserRequest {
            user_pool_id: Some(pool_id.clone()),
            username: Some(TEMPLATE.to_owned()),
            user_attributes: vec![AttributeType { name: Some("email".into()), value: Some("a@example.com".into()) }],
            message_action: Some("SUPPRESS".to_owned()),
            ..Default::default()
        };
        caller.call(&template).await?;
        seed(database, &pool_id, users).await.map_err(crate::caller::Failed)?;
        let filters = (0..CALLS).map(|number| {
            // Each group but the first and the last is full.
            let group = 1 + number % (users / ALIKE).saturating_sub(1).max(1);
            Prepared::new(&list(&pool_id, Some(format!("email ^= \"{group}-\""))))
        });
        Ok(Self { pages: pages(caller, &pool_id).await?, filters: filters.collect(), pool_id })
    }
}

async fn seed(database: &PgPool, pool_id: &str, users: usize) -> sqlx::Result<()> {
    let mut connection = database.acquire().await?;
    sqlx::query("set statement_timeout = 0").execute(&mut *connection).await?;
    for statement in SEED {
        // The numbers are far below the bounds of the column types.
        let query = sqlx::query(statement).bind(pool_id).bind(users as i64).bind(ALIKE as i64);
        query.execute(&mut *connection).await?;
    }
    sqlx::query("vacuum analyze users, user_search").execute(&mut *connection).await?;
    sqlx::query("reset statement_timeout").execute(&mut *connection).await?;
    Ok(())
}

fn list(pool_id: &str, filter: Option<String>) -> ListUsersRequest {
    ListUsersRequest { user_pool_id: Some(pool_id.to_owned()), limit: Some(PAGE_SIZE), filter, ..Default::default() }
}

/// The calls for the first pages of a pool.
async fn pages(caller: &Caller, pool_id: &str) -> Result<Vec<Prepared>, NoAnswer> {
    let mut pages = Vec::new();
    let mut request = list(pool_id, None);
    while pages.len() < CALLS {
        let answer = caller.call(&request).await?;
        // A last page that is not full would be cheaper than the others.
        if answer.users.len() == PAGE_SIZE as usize {
            pages.push(Prepared::new(&request));
        }
        match answer.pagination_token {
            Some(token) => request.pagination_token = Some(token),
            None => break,
        }
    }
    Ok(pages)
}
