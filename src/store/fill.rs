//! Fills read models and claims that a migration has added, from existing rows. SQL can't do that, because it does not
//! know the rules.
//!
//! The database marks what is unfilled until the filling is done, so that the next migration continues after a crash.
//! Commands run meanwhile: a page of users is locked while its rows are written.

use std::collections::BTreeMap;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::domain::ids::UserPoolId;
use crate::domain::user_pool::{NameRules, UserPool};
use crate::store::error::StoreError;
use crate::store::models::statements::Place;
use crate::store::models::{Claims, Derived, Fill, Filled, MODELS, Model, Search, search};

/// How many rows are read at once.
const PAGE: i64 = 1_000;

/// Fills everything that is marked as unfilled.
pub(super) async fn fill_read_models(connection: &mut PgConnection) -> Result<(), StoreError> {
    let names: Vec<String> =
        sqlx::query_scalar("select name from unfilled_read_models").fetch_all(&mut *connection).await?;
    for model in MODELS {
        let marked: Vec<&Fill> = model.fills.iter().filter(|fill| names.iter().any(|name| name == fill.name)).collect();
        if marked.is_empty() {
            continue;
        }
        let mut after = (String::new(), String::new());
        while let Some(last) = fill_page(connection, model, &marked, &after).await? {
            after = last;
        }
        sqlx::query("delete from unfilled_read_models where name = any($1)")
            .bind(marked.iter().map(|fill| fill.name).collect::<Vec<_>>())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Writes the derived rows for the next rows of a read model. Returns the last of these rows.
#[expect(clippy::disallowed_methods, reason = "an operator's command on a connection of its own, which ends with it")]
async fn fill_page(
    connection: &mut PgConnection,
    model: &Model,
    marked: &[&Fill],
    (pool, id): &(String, String),
) -> Result<Option<(String, String)>, StoreError> {
    let mut transaction = connection.begin().await?;
    let rows: Vec<(String, String, Value)> =
        sqlx::query_as(AssertSqlSafe(model.page())).bind(pool).bind(id).bind(PAGE).fetch_all(&mut *transaction).await?;
    let last = rows.last().map(|(pool, id, _)| (pool.clone(), id.clone()));
    let mut pools: BTreeMap<String, Vec<(String, Value)>> = BTreeMap::new();
    for (pool, id, state) in rows {
        pools.entry(pool).or_default().push((id, state));
    }
    for (pool, states) in pools {
        let pool = UserPoolId::new(pool);
        // The users of a deleted pool are being purged.
        let Some(rules) = name_rules(&mut transaction, &pool).await? else { continue };
        let derived = states.into_iter().map(|(id, state)| Ok((id, (model.derive)(state, &rules)?)));
        let derived: Vec<(String, Derived)> =
            derived.collect::<Result<_, _>>().map_err(|source| StoreError::Row { table: model.table, source })?;
        for fill in marked {
            match (fill.what, &model.search, &model.claims) {
                (Filled::Search, Some(search), _) => enter(&mut transaction, &pool, search, &derived).await?,
                (Filled::Claims, _, Some(claims)) => {
                    claim(&mut transaction, &pool, model.kind, claims, &derived).await?
                }
                // An aggregate without search values or claims has nothing to fill.
                (Filled::Search | Filled::Claims, ..) => {}
            }
        }
    }
    transaction.commit().await?;
    Ok(last)
}

async fn enter(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    search: &Search,
    derived: &[(String, Derived)],
) -> Result<(), StoreError> {
    let entries =
        derived.iter().flat_map(|(id, derived)| derived.search.iter().map(|entry| (entry.clone(), id.clone())));
    let entries: Vec<_> = entries.collect();
    search::run(connection, search.enter(Place::Current), pool, &entries).await?;
    Ok(())
}

/// Claims names that are not held yet. If two users have the same mailbox, the first keeps it: the other is found by
/// their other names, and `userpool log verify` reports it.
async fn claim(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    kind: &str,
    claims: &Claims,
    derived: &[(String, Derived)],
) -> Result<(), StoreError> {
    let wanted = derived.iter().flat_map(|(id, derived)| derived.names.iter().map(|name| (name.as_str(), id.as_str())));
    let (names, owners): (Vec<&str>, Vec<&str>) = wanted.unzip();
    let others: Vec<String> = sqlx::query_scalar(AssertSqlSafe(claims.fill()))
        .bind(pool.as_str())
        .bind(names)
        .bind(owners)
        .fetch_all(connection)
        .await?;
    for id in others {
        tracing::warn!(%pool, kind, %id, "a name, compared by today's rules, is already claimed by another");
    }
    Ok(())
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
