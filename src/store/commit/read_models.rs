//! Writes claims, read models and derived rows, as the aggregates' descriptions say.

use sqlx::{AssertSqlSafe, PgConnection};

use super::rows::{Following, Rows};
use crate::domain::ids::UserPoolId;
use crate::store::error::StoreError;
use crate::store::models::search::run;
use crate::store::models::statements::Place;
use crate::store::models::{Claims, Directory};

/// Releases and claims names, and adds to and removes from directories.
pub(super) async fn claim(connection: &mut PgConnection, rows: &Rows) -> Result<(), StoreError> {
    for following in &rows.following {
        if let Some(claims) = &following.model.claims {
            claim_names(connection, &rows.pool_id, claims, following).await?;
        }
        if let Some(directory) = &following.model.directory {
            enter_directory(connection, &rows.pool_id, directory, following).await?;
        }
    }
    Ok(())
}

async fn claim_names(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    claims: &Claims,
    following: &Following,
) -> Result<(), StoreError> {
    for (name, owner) in &following.released {
        let release = sqlx::query(AssertSqlSafe(claims.release())).bind(pool.as_str()).bind(name).bind(owner);
        release.execute(&mut *connection).await?;
    }
    if following.claimed.is_empty() {
        return Ok(());
    }
    let (names, owners): (Vec<&str>, Vec<&str>) =
        following.claimed.iter().map(|(name, owner)| (name.as_str(), owner.as_str())).unzip();
    let claim = sqlx::query(AssertSqlSafe(claims.claim(Place::Current))).bind(pool.as_str()).bind(names).bind(owners);
    if claim.execute(connection).await?.rows_affected() == following.claimed.len() as u64 {
        Ok(())
    } else {
        Err(StoreError::Claimed { constraint: claims.constraint.to_owned() })
    }
}

async fn enter_directory(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    directory: &Directory,
    following: &Following,
) -> Result<(), StoreError> {
    for id in &following.ended {
        let leave = sqlx::query(AssertSqlSafe(directory.leave())).bind(pool.as_str()).bind(id);
        leave.execute(&mut *connection).await?;
    }
    if !following.begun.is_empty() {
        let enter = sqlx::query(AssertSqlSafe(directory.enter(Place::Current))).bind(pool.as_str());
        enter.bind(&following.begun).execute(connection).await?;
    }
    Ok(())
}

/// Writes the rows of states, in the order of their streams. An aggregate that ends takes more with it, as its
/// description says: a pool takes its keys and starts the purge; a user takes their key and every row that could
/// identify them.
pub(super) async fn write(connection: &mut PgConnection, rows: &Rows) -> Result<(), StoreError> {
    for row in &rows.models {
        let (pool, id) = (rows.pool_id.as_str(), row.stream.owner());
        let Some(state) = &row.state else {
            for statement in row.model.end() {
                sqlx::query(AssertSqlSafe(statement)).bind(pool).bind(id).execute(&mut *connection).await?;
            }
            continue;
        };
        let write = sqlx::query(AssertSqlSafe(row.model.write())).bind(pool).bind(row.version).bind(row.revision);
        write.bind(state).bind(id).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Writes memberships and devices that began or ended. A deleted group has no members, unless it may be deleted with
/// them, and a deleted user has no devices: a command that added one has committed by now, because the row of the group
/// or user could not be deleted before.
pub(super) async fn write_children(connection: &mut PgConnection, rows: &Rows) -> Result<(), StoreError> {
    let pool = rows.pool_id.as_str();
    for following in &rows.following {
        let Some(children) = &following.model.children else { continue };
        let statements = [(&following.left, children.leave()), (&following.joined, children.enter(Place::Current))];
        for (named, statement) in statements.into_iter().filter(|(named, _)| !named.is_empty()) {
            let (others, owners): (Vec<_>, Vec<_>) =
                named.iter().map(|(other, owner)| (*other, owner.as_str())).unzip();
            let write = sqlx::query(AssertSqlSafe(statement)).bind(pool).bind(others).bind(owners);
            write.execute(&mut *connection).await?;
        }
    }
    for unnamed in &rows.unnamed {
        let Some(children) = &unnamed.by.children else { continue };
        let assert = sqlx::query(AssertSqlSafe(children.assert_none()));
        assert.bind(&unnamed.what).bind(pool).bind(unnamed.id).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Writes the search values that changed.
pub(super) async fn write_search(connection: &mut PgConnection, rows: &Rows) -> Result<(), StoreError> {
    for following in &rows.following {
        let Some(search) = &following.model.search else { continue };
        let Following { forgotten, searchable, .. } = following;
        for (entries, statement) in
            [(forgotten, search.leave(Place::Current)), (searchable, search.enter(Place::Current))]
        {
            run(connection, statement, &rows.pool_id, entries).await?;
        }
    }
    Ok(())
}
