//! Lists of users, page by page, each from a range of an index.
//!
//! Each user is fetched by key from a subquery with a limit, which Postgres does not turn into another kind of join: a
//! merge join would read all users of the pool from the first one on, for every later page.

use serde_json::value::RawValue;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use uuid::Uuid;

use crate::domain::decision::Aggregate;
use crate::domain::error::Error;
use crate::domain::ids::{GroupId, Sub, UserPoolId};
use crate::domain::user::User;
use crate::domain::user::list_users::Search;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::read::Wanted;

/// Users with a `sub` in a range, after a `sub`.
pub const BY_SUB: &str = "
select sub, revision, state, '' as value from users
where user_pool_id = $1 and sub >= $2 and sub > $3 and sub <= $4 order by sub limit $5";

/// Users with one value of an attribute, after a `sub`.
pub const BY_VALUE: &str = "
select u.sub, u.revision, u.state, '' as value from user_search s cross join lateral
(select sub, revision, state from users where user_pool_id = s.user_pool_id and sub = s.sub limit 1) u
where s.user_pool_id = $1 and s.attribute = $2 and s.value = $3 and s.sub > $4 order by s.sub limit $5";

/// Users with values of an attribute in a range, after one value with its `sub`.
pub const BY_VALUES: &str = "
select u.sub, u.revision, u.state, s.value from user_search s cross join lateral
(select sub, revision, state from users where user_pool_id = s.user_pool_id and sub = s.sub limit 1) u
where s.user_pool_id = $1 and s.attribute = $2 and (s.value, s.sub) > ($3, $4) and s.value < $5
order by s.value, s.sub limit $6";

/// The members of a group, after a `sub`.
pub const BY_GROUP: &str = "
select u.sub, u.revision, u.state, '' as value from memberships m cross join lateral
(select sub, revision, state from users where user_pool_id = m.user_pool_id and sub = m.sub limit 1) u
where m.user_pool_id = $1 and m.group_id = $2 and m.sub > $3 order by m.sub limit $4";

/// The position of a user in a list; a page begins after it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Position {
    /// The value by which the list is sorted first; empty if the list has only one.
    pub value: String,
    /// The `sub` of the user, by which the list is sorted next.
    pub sub: Sub,
}

impl Position {
    /// The position in a page token.
    pub fn of(key: Option<String>) -> Result<Option<Self>, Error> {
        // The key was sealed, so it was written below.
        key.map(|key| serde_json::from_str(&key).map_err(Error::internal)).transpose()
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&serde_json::json!(self).to_string())
    }
}

/// A user in a list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The user's position in the list.
    pub position: Position,
    /// The state of the user.
    pub user: User,
}

impl Store {
    /// The users of a pool that a search finds, sorted by the searched value, then by `sub`.
    pub async fn list_users(
        &self,
        pool: &UserPoolId,
        search: &Search,
        after: Option<Position>,
        limit: i64,
    ) -> Result<Vec<Listed>, StoreError> {
        let sub = after.as_ref().map_or(Uuid::nil(), |after| after.sub.0);
        let rows = match search {
            Search::Nobody => return Ok(Vec::new()),
            Search::Subs(first, last) => {
                let query = || sqlx::query(BY_SUB).bind(pool.as_str()).bind(first).bind(sub).bind(last).bind(limit);
                self.connections.fetch_all(query).await?
            }
            Search::Value(attribute, value) => {
                let query = || {
                    let query = sqlx::query(BY_VALUE).bind(pool.as_str()).bind(attribute.name());
                    query.bind(value).bind(sub).bind(limit)
                };
                self.connections.fetch_all(query).await?
            }
            Search::Values(attribute, first, end) => {
                let value = after.as_ref().map_or(first, |after| &after.value);
                let query = || {
                    let query = sqlx::query(BY_VALUES).bind(pool.as_str()).bind(attribute.name());
                    query.bind(value).bind(sub).bind(end).bind(limit)
                };
                self.connections.fetch_all(query).await?
            }
        };
        self.listed(pool, &rows).await
    }

    /// The members of a group, sorted by `sub`.
    pub async fn list_members(
        &self,
        pool: &UserPoolId,
        group: GroupId,
        after: Option<Position>,
        limit: i64,
    ) -> Result<Vec<Listed>, StoreError> {
        let after = after.map_or(Uuid::nil(), |after| after.sub.0);
        let query = || sqlx::query(BY_GROUP).bind(pool.as_str()).bind(group.0).bind(after).bind(limit);
        self.listed(pool, &self.connections.fetch_all(query).await?).await
    }

    async fn listed(&self, pool: &UserPoolId, rows: &[PgRow]) -> Result<Vec<Listed>, StoreError> {
        let mut listed = Vec::with_capacity(rows.len());
        for row in rows {
            let position = position(row)?;
            let user = if row.try_get::<i32, _>("revision")? == User::REVISION {
                let Json(state) = row.try_get::<Json<&RawValue>, _>("state")?;
                let user = serde_json::from_str(state.get());
                Some(user.map_err(|source| StoreError::Row { table: "users", source })?)
            } else {
                self.reread(pool, position.sub).await?
            };
            listed.extend(user.map(|user| Listed { position, user }));
        }
        Ok(listed)
    }

    /// A user whose row was written by another revision of `apply`. A user that was deleted meanwhile is left out.
    async fn reread(&self, pool: &UserPoolId, sub: Sub) -> Result<Option<User>, StoreError> {
        let wanted = Wanted { sub: Some(sub), ..Wanted::default() };
        match self.read(pool, None, wanted).await {
            Ok(found) => Ok(found.user.map(|user| user.state)),
            Err(StoreError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn position(row: &PgRow) -> sqlx::Result<Position> {
    Ok(Position { value: row.try_get("value")?, sub: Sub(row.try_get("sub")?) })
}
