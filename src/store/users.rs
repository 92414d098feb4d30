//! Lists of users, a page at a time, each from a range of an index.
//!
//! Each user is fetched by its key from a subquery with a limit, which Postgres does not turn into a join of another kind:
//! merged, all users of the pool from the first on would be read for a later page.

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

/// Users from one `sub` to another, after a third.
pub const BY_SUB: &str = "
select sub, revision, state, '' as value from users
where user_pool_id = $1 and sub >= $2 and sub > $3 and sub <= $4 order by sub limit $5";

/// Users with one value of an attribute, after a `sub`.
pub const BY_VALUE: &str = "
select u.sub, u.revision, u.state, '' as value from user_search s cross join lateral
(select sub, revision, state from users where user_pool_id = s.user_pool_id and sub = s.sub limit 1) u
where s.user_pool_id = $1 and s.attribute = $2 and s.value = $3 and s.sub > $4 order by s.sub limit $5";

/// Users with values of an attribute behind one value with its `sub`, and before another value.
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

/// Where a page of users begins: behind this one.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Position {
    /// The value by which the list is ordered first; empty where there is but one.
    pub value: String,
    /// The user.
    pub sub: Sub,
}

impl Position {
    /// The position that a page token holds.
    pub fn of(key: Option<String>) -> Result<Option<Self>, Error> {
        // Keys are sealed: what is in them was written below.
        key.map(|key| serde_json::from_str(&key).map_err(Error::internal)).transpose()
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&serde_json::json!(self).to_string())
    }
}

/// A user of a list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Where it stands.
    pub position: Position,
    /// What it is.
    pub user: User,
}

impl Store {
    /// Users of a pool that a search finds, in a stable order: by the value that is searched, then by `sub`.
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

    /// The members of a group, in the order of their `sub`s.
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

    /// A user whose row another revision of `apply` has written. One who was deleted meanwhile is not listed any more.
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
