//! Read models and claims that a migration has added, filled from what is there: SQL does not know the rules.
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

/// What is marked as not filled.
#[derive(Clone, Copy)]
struct Marked {
    /// What users are found by in lists.
    user_search: bool,
    /// The mailboxes of addresses, as names.
    mailboxes: bool,
}

/// Fills what is marked as not filled.
pub(super) async fn fill_read_models(connection: &mut PgConnection) -> Result<(), StoreError> {
    let names: Vec<String> =
        sqlx::query_scalar("select name from unfilled_read_models").fetch_all(&mut *connection).await?;
    let is_marked = |name: &str| names.iter().any(|marked| marked == name);
    let marked = Marked { user_search: is_marked("user_search"), mailboxes: is_marked("mailboxes") };
    if !(marked.user_search || marked.mailboxes) {
        return Ok(());
    }
    let mut after = (String::new(), Uuid::nil());
    while let Some(last) = fill_page(connection, marked, &after).await? {
        after = last;
    }
    sqlx::query("delete from unfilled_read_models where name in ('user_search', 'mailboxes')")
        .execute(connection)
        .await?;
    Ok(())
}

/// Enters what the next users are found by. Answers the last of them.
#[expect(clippy::disallowed_methods, reason = "an operator's command on a connection of its own, which ends with it")]
async fn fill_page(
    connection: &mut PgConnection,
    marked: Marked,
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
        let users = states.into_iter().map(serde_json::from_value::<User>).collect::<Result<Vec<_>, _>>();
        let users = users.map_err(|source| StoreError::Row { table: "users", source })?;
        if marked.user_search {
            let entries: Vec<_> = users.iter().flat_map(|user| search_rows(user, &rules)).collect();
            search_statement(&mut transaction, INSERT_SEARCH, &pool, &entries).await?;
        }
        if marked.mailboxes {
            claim_names(&mut transaction, &pool, &users, &rules).await?;
        }
    }
    transaction.commit().await?;
    Ok(last)
}

/// Claims the names of users that they do not hold yet. Of two users of one mailbox the first keeps it: the other is found by
/// its other names, and `userpool log verify` names it.
async fn claim_names(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    users: &[User],
    rules: &NameRules,
) -> Result<(), StoreError> {
    let wanted = users.iter().flat_map(|user| user.names(rules).into_iter().map(|name| (name, user.sub.0)));
    let (names, subs): (Vec<_>, Vec<_>) = wanted.unzip();
    let others: Vec<Uuid> = sqlx::query_scalar(
        "with wanted as (select * from unnest($2::text[], $3::uuid[]) as w (name, sub)),
              claimed as (insert into names (user_pool_id, name, sub) select $1, name, sub from wanted
                          on conflict do nothing returning name, sub)
         select distinct w.sub from wanted w
         left join names n on n.user_pool_id = $1 and n.name = w.name
         left join claimed c on c.name = w.name
         where coalesce(n.sub, c.sub) is distinct from w.sub",
    )
    .bind(pool.as_str())
    .bind(names)
    .bind(subs)
    .fetch_all(connection)
    .await?;
    for sub in others {
        tracing::warn!(%pool, %sub, "the address of this user, spelled in another way, is another user's name");
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
