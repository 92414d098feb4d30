//! Read models that a migration has added, filled from what is there: SQL does not know the rules.
//!
//! Marked in the database until it is done, so that a migration that was killed goes on at the next one. Commands go on
//! meanwhile: a page of users is held against changes while its rows are written.

use std::collections::BTreeMap;

use serde_json::Value;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::domain::ids::UserPoolId;
use crate::domain::user::User;
use crate::domain::user_pool::{NameRules, UserPool};
use crate::store::commit::{INSERT_SEARCH, search_statement};
use crate::store::error::StoreError;
use crate::store::replay::search_rows;

/// So many users are read at once.
const PAGE: i64 = 1_000;

/// Fills what is marked as not filled.
pub(super) async fn fill_read_models(connection: &mut PgConnection) -> Result<(), StoreError> {
    let marked: bool =
        sqlx::query_scalar("select exists (select from unfilled_read_models where name = 'user_search')")
            .fetch_one(&mut *connection)
            .await?;
    if !marked {
        return Ok(());
    }
    let mut after = (String::new(), Uuid::nil());
    while let Some(last) = fill_page(connection, &after).await? {
        after = last;
    }
    sqlx::query("delete from unfilled_read_models where name = 'user_search'").execute(connection).await?;
    Ok(())
}

/// Enters what the next users are found by. Answers the last of them.
#[expect(clippy::disallowed_methods, reason = "an operator's command on a connection of its own, which ends with it")]
async fn fill_page(
    connection: &mut PgConnection,
    after: &(String, Uuid),
) -> Result<Option<(String, Uuid)>, StoreError> {
    let mut transaction = connection.begin().await?;
    let users: Vec<(String, Uuid, Value)> = sqlx::query_as(
        "select user_pool_id, sub, state from users where (user_pool_id, sub) > ($1, $2)
         order by user_pool_id, sub limit $3 for share",
    )
    .bind(&after.0)
    .bind(after.1)
    .bind(PAGE)
    .fetch_all(&mut *transaction)
    .await?;
    let last = users.last().map(|(pool, sub, _)| (pool.clone(), *sub));
    let mut pools: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (pool, _, state) in users {
        pools.entry(pool).or_default().push(state);
    }
    for (pool, states) in pools {
        let pool = UserPoolId::new(pool);
        // The users of a pool that was deleted are on their way out.
        let Some(rules) = name_rules(&mut transaction, &pool).await? else { continue };
        let mut entries = Vec::new();
        for state in states {
            let user = serde_json::from_value::<User>(state);
            let user = user.map_err(|source| StoreError::Row { table: "users", source })?;
            entries.extend(search_rows(&user, &rules));
        }
        search_statement(&mut transaction, INSERT_SEARCH, &pool, &entries).await?;
    }
    transaction.commit().await?;
    Ok(last)
}

async fn name_rules(connection: &mut PgConnection, pool: &UserPoolId) -> Result<Option<NameRules>, StoreError> {
    let state: Option<Value> = sqlx::query_scalar("select state from pools where user_pool_id = $1")
        .bind(pool.as_str())
        .fetch_optional(connection)
        .await?;
    let pool = state.map(serde_json::from_value::<UserPool>).transpose();
    let pool = pool.map_err(|source| StoreError::Row { table: "pools", source })?;
    Ok(pool.map(|pool| pool.name_rules()))
}
