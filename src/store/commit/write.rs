//! The transaction itself: writes only, in one order. Nothing is loaded after the first of them.

use sqlx::PgConnection;

use super::rows::{LogRow, ModelRow, ModelTable, OutboxRow, Rows};
use super::{ActivityRow, Counted, Marker, operational};
use crate::domain::ids::{GroupId, StreamId, Sub, UserPoolId};
use crate::domain::user::search::SearchEntry;
use crate::store::answers;
use crate::store::connections::{Connections, Database, Lent};
use crate::store::error::StoreError;
use crate::store::history::SCHEMA_VERSION;
use crate::store::outbox::INVITATION;

/// A commit that failed.
pub(super) struct Failed {
    /// Why.
    pub error: StoreError,
    /// How far it had come.
    pub stage: Stage,
}

/// How far a commit had come when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing was asked of the database that leaves a trace.
    Begins,
    /// Its transaction was open: it ended with its connection, and nothing of it is there.
    Writes,
    /// It was told to commit.
    Commits,
}

/// Writes everything in one transaction.
pub(super) async fn write(connections: &Connections, rows: &Rows) -> Result<(), Failed> {
    let mut stage = Stage::Begins;
    match connections.lend().await {
        Ok(mut lent) => {
            let written = write_over(&mut lent, rows, &mut stage).await;
            lent.settled(written)
        }
        Err(error) => Err(error),
    }
    .map_err(|error| Failed { error, stage })
}

async fn write_over(lent: &mut Lent<'_>, rows: &Rows, stage: &mut Stage) -> Result<(), StoreError> {
    let mut transaction = lent.begin().await?;
    *stage = Stage::Writes;
    write_rows(&mut transaction, rows).await?;
    *stage = Stage::Commits;
    transaction.commit().await?;
    Ok(())
}

async fn write_rows(connection: &mut PgConnection, rows: &Rows) -> Result<(), StoreError> {
    if let Some(answer) = &rows.answer {
        answers::write(connection, answer).await?;
    }
    let asserted = Asserted::of(rows);
    for (stream, version) in &asserted.alone {
        assert_version(connection, &rows.pool_id, stream, *version).await?;
    }
    append(connection, rows, &asserted).await?;
    if !rows.counted.is_empty() {
        hold_pool(connection, &rows.pool_id).await?;
    }
    claim(connection, rows).await?;
    for row in &rows.models {
        write_model(connection, &rows.pool_id, row).await?;
    }
    for (counted, most) in &rows.counted {
        assert_within(connection, &rows.pool_id, *counted, *most).await?;
    }
    write_memberships(connection, rows).await?;
    write_search(connection, rows).await?;
    for row in &rows.operational {
        operational::write(connection, &rows.pool_id, row, rows.at).await?;
    }
    if !rows.activity.is_empty() {
        append_activity(connection, &rows.pool_id, &rows.activity).await?;
    }
    drop_invitations(connection, rows).await?;
    for row in &rows.outbox {
        write_outbox(connection, rows, row).await?;
    }
    Ok(())
}

/// Whether the event of a marker is in the log: the transaction whose answer was lost was committed.
///
/// That transaction may still be on its way to its end. A row of the same key waits for it: where it can be written, the
/// transaction was rolled back, and this one is too.
pub(super) async fn is_committed(database: &Database, marker: &Marker) -> Result<bool, StoreError> {
    let mut lent = database.lend().await?;
    let committed = is_in_log(&mut lent, marker).await;
    lent.settled(committed)
}

async fn is_in_log(lent: &mut Lent<'_>, marker: &Marker) -> Result<bool, StoreError> {
    let mut transaction = lent.begin().await?;
    let written = sqlx::query(
        "insert into log (user_pool_id, stream_id, stream_version, event_id, type, schema_version, payload, metadata, at, epoch, ord)
         values ($1, $2, $3, $4, 'probe', $5, '{}', '{}', now(), 0, 0) on conflict do nothing",
    )
    .bind(marker.pool_id.as_str())
    .bind(marker.stream.as_str())
    .bind(marker.version)
    .bind(marker.event_id)
    .bind(SCHEMA_VERSION)
    .execute(&mut *transaction)
    .await?;
    let found: Option<bool> = sqlx::query_scalar(
        "select event_id = $4 from log where user_pool_id = $1 and stream_id = $2 and stream_version = $3",
    )
    .bind(marker.pool_id.as_str())
    .bind(marker.stream.as_str())
    .bind(marker.version)
    .bind(marker.event_id)
    .fetch_optional(&mut *transaction)
    .await?;
    transaction.rollback().await?;
    Ok(written.rows_affected() == 0 && found.unwrap_or(false))
}

/// The streams that must be as they were read, by the statement that sees to it.
#[derive(Default)]
struct Asserted<'a> {
    /// The pool's version: the statement of the events asserts it.
    pool: Option<i64>,
    /// A client's version, likewise.
    client: Option<(&'a str, i64)>,
    /// By a statement of its own each: those whose rows are held, and all where nothing goes to the log.
    alone: Vec<&'a (StreamId, i64)>,
}

impl<'a> Asserted<'a> {
    fn of(rows: &'a Rows) -> Self {
        let mut found = Self::default();
        for asserted in &rows.asserted {
            match asserted.0.as_str().split_once('/') {
                None if found.pool.is_none() && !rows.log.is_empty() => found.pool = Some(asserted.1),
                Some(("clients", id)) if found.client.is_none() && !rows.log.is_empty() => {
                    found.client = Some((id, asserted.1));
                }
                _ => found.alone.push(asserted),
            }
        }
        found
    }
}

async fn assert_version(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    stream: &StreamId,
    version: i64,
) -> Result<(), StoreError> {
    let statement = match stream.as_str().split_once('/') {
        None => "select assert_version($1, $2, (select version from pools where user_pool_id = $3 and $4 = 'pool'))",
        Some(("clients", _)) => {
            "select assert_version($1, $2, (select version from clients where user_pool_id = $3 and client_id = $4))"
        }
        // Held until the commit is done: whoever ends the group waits, and then sees who joined it.
        Some(("groups", _)) => {
            "select assert_version($1, $2, (select version from groups where user_pool_id = $3 and group_id = $4::uuid for key share))"
        }
        // Likewise: whoever deletes the user waits, and then finds all that this commit writes about it.
        Some(_) => {
            "select assert_version($1, $2, (select version from users where user_pool_id = $3 and sub = $4::uuid for key share))"
        }
    };
    sqlx::query(statement)
        .bind(stream.as_str())
        .bind(version)
        .bind(pool.as_str())
        .bind(stream.owner())
        .execute(connection)
        .await?;
    Ok(())
}

/// Events, if pool and client are as they were read: a round trip less for every command, or two. In scalars, because
/// Postgres would plan a statement with three more arrays anew at each run.
const APPEND: &str = "
with asserted as materialized (
    select case when $10 is not null then
               assert_version('pool', $10, (select version from pools where user_pool_id = $1)) end,
           case when $11 is not null then
               assert_version('clients/' || $11, $12,
                   (select version from clients where user_pool_id = $1 and client_id = $11)) end
)
insert into log (user_pool_id, stream_id, stream_version, event_id, type, schema_version, payload, metadata, at, epoch, ord)
select $1, stream_id, stream_version, event_id, type, $2, payload, metadata, $3, (select epoch from meta), ord - 1
from unnest($4::text[], $5::bigint[], $6::uuid[], $7::text[], $8::jsonb[], $9::jsonb[])
     with ordinality as e (stream_id, stream_version, event_id, type, payload, metadata, ord)
where (select count(*) from asserted) = 1";

async fn append(connection: &mut PgConnection, rows: &Rows, asserted: &Asserted<'_>) -> Result<(), StoreError> {
    if rows.log.is_empty() {
        return Ok(());
    }
    let column = |value: fn(&LogRow) -> String| rows.log.iter().map(value).collect::<Vec<_>>();
    sqlx::query(APPEND)
        .bind(rows.pool_id.as_str())
        .bind(SCHEMA_VERSION)
        .bind(rows.at)
        .bind(column(|row| row.stream.to_string()))
        .bind(rows.log.iter().map(|row| row.version).collect::<Vec<_>>())
        .bind(rows.log.iter().map(|row| row.event_id).collect::<Vec<_>>())
        .bind(column(|row| row.kind.to_owned()))
        .bind(rows.log.iter().map(|row| row.payload.clone()).collect::<Vec<_>>())
        .bind(rows.log.iter().map(|row| row.metadata.clone()).collect::<Vec<_>>())
        .bind(asserted.pool)
        .bind(asserted.client.map(|(id, _)| id))
        .bind(asserted.client.map(|(_, version)| version))
        .execute(connection)
        .await?;
    Ok(())
}

async fn claim(connection: &mut PgConnection, rows: &Rows) -> Result<(), StoreError> {
    let pool = rows.pool_id.as_str();
    for (name, sub) in &rows.released {
        sqlx::query("delete from names where user_pool_id = $1 and name = $2 and sub = $3")
            .bind(pool)
            .bind(name)
            .bind(sub.0)
            .execute(&mut *connection)
            .await?;
    }
    if !rows.claimed.is_empty() {
        // A violated constraint would write the name into the database's own log; a name that is left out does not.
        let inserted = sqlx::query(
            "insert into names (user_pool_id, name, sub)
             select $1, name, sub from unnest($2::text[], $3::uuid[]) as c (name, sub) on conflict do nothing",
        )
        .bind(pool)
        .bind(rows.claimed.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>())
        .bind(rows.claimed.iter().map(|(_, sub)| sub.0).collect::<Vec<_>>())
        .execute(&mut *connection)
        .await?;
        if inserted.rows_affected() != rows.claimed.len() as u64 {
            return Err(StoreError::Claimed { constraint: "names_pkey".to_owned() });
        }
    }
    for (name, group) in &rows.ended_groups {
        sqlx::query("delete from group_names where user_pool_id = $1 and name = $2 and group_id = $3")
            .bind(pool)
            .bind(name)
            .bind(group.0)
            .execute(&mut *connection)
            .await?;
    }
    for (name, group) in &rows.groups {
        sqlx::query("insert into group_names (user_pool_id, name, group_id) values ($1, $2, $3)")
            .bind(pool)
            .bind(name)
            .bind(group.0)
            .execute(&mut *connection)
            .await?;
    }
    for client in &rows.ended_clients {
        sqlx::query("delete from client_directory where client_id = $1")
            .bind(client.as_str())
            .execute(&mut *connection)
            .await?;
    }
    for client in &rows.clients {
        sqlx::query("insert into client_directory (client_id, user_pool_id) values ($1, $2)")
            .bind(client.as_str())
            .bind(pool)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Holds the pool's row until the commit is done: of all who add what the pool may have so many of, one counts at a time.
/// Nobody else waits for it but who changes the pool itself: all others only read the row.
async fn hold_pool(connection: &mut PgConnection, pool: &UserPoolId) -> Result<(), StoreError> {
    let held = sqlx::query("select from pools where user_pool_id = $1 for no key update")
        .bind(pool.as_str())
        .fetch_optional(connection)
        .await?;
    // It was deleted while this one waited.
    held.map(drop).ok_or(StoreError::Stale)
}

/// Asserts that there are not too many, with those of this commit. A statement behind the one that waited for the pool, so
/// that it sees all that were added before.
async fn assert_within(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    counted: Counted,
    most: u32,
) -> Result<(), StoreError> {
    let statement = match counted {
        Counted::Groups => {
            "select assert_within('groups', $2, (select count(*) from
             (select from group_names where user_pool_id = $1 limit $2 + 1) as counted))"
        }
        Counted::Clients => {
            "select assert_within('clients', $2, (select count(*) from
             (select from clients where user_pool_id = $1 limit $2 + 1) as counted))"
        }
    };
    sqlx::query(statement).bind(pool.as_str()).bind(i64::from(most)).execute(connection).await?;
    Ok(())
}

async fn write_model(connection: &mut PgConnection, pool: &UserPoolId, row: &ModelRow) -> Result<(), StoreError> {
    let pool_id = pool.as_str();
    let query = match (&row.table, &row.state) {
        (ModelTable::Pools, Some(state)) => sqlx::query(
            "insert into pools (user_pool_id, version, revision, state) values ($1, $2, $3, $4)
             on conflict (user_pool_id) do update set version = $2, revision = $3, state = $4",
        )
        .bind(pool_id)
        .bind(row.version)
        .bind(row.revision)
        .bind(state),
        (ModelTable::Pools, None) => return end_pool(connection, pool).await,
        (ModelTable::Clients(id), Some(state)) => sqlx::query(
            "insert into clients (user_pool_id, client_id, version, revision, state) values ($1, $5, $2, $3, $4)
             on conflict (user_pool_id, client_id) do update set version = $2, revision = $3, state = $4",
        )
        .bind(pool_id)
        .bind(row.version)
        .bind(row.revision)
        .bind(state)
        .bind(id.as_str()),
        (ModelTable::Clients(id), None) => {
            sqlx::query("delete from clients where user_pool_id = $1 and client_id = $2")
                .bind(pool_id)
                .bind(id.as_str())
        }
        (ModelTable::Groups(id), Some(state)) => sqlx::query(
            "insert into groups (user_pool_id, group_id, version, revision, state) values ($1, $5, $2, $3, $4)
             on conflict (user_pool_id, group_id) do update set version = $2, revision = $3, state = $4",
        )
        .bind(pool_id)
        .bind(row.version)
        .bind(row.revision)
        .bind(state)
        .bind(id.0),
        (ModelTable::Groups(id), None) => {
            sqlx::query("delete from groups where user_pool_id = $1 and group_id = $2").bind(pool_id).bind(id.0)
        }
        (ModelTable::Users(sub), Some(state)) => sqlx::query(
            "insert into users (user_pool_id, sub, version, revision, state) values ($1, $5, $2, $3, $4)
             on conflict (user_pool_id, sub) do update set version = $2, revision = $3, state = $4",
        )
        .bind(pool_id)
        .bind(row.version)
        .bind(row.revision)
        .bind(state)
        .bind(sub.0),
        (ModelTable::Users(sub), None) => return erase_user(connection, pool, *sub).await,
    };
    query.execute(connection).await?;
    Ok(())
}

/// Who left and who joined which group. A group that ends has nobody in it, unless it may end with its members: whoever put
/// somebody into it has committed by now, for its row could not be deleted before.
async fn write_memberships(connection: &mut PgConnection, rows: &Rows) -> Result<(), StoreError> {
    let pool = rows.pool_id.as_str();
    let columns = |members: &[(GroupId, Sub)]| {
        let groups: Vec<_> = members.iter().map(|(group, _)| group.0).collect();
        (groups, members.iter().map(|(_, sub)| sub.0).collect::<Vec<_>>())
    };
    let statements = [
        (
            &rows.left,
            "delete from memberships m using unnest($2::uuid[], $3::uuid[]) as l (group_id, sub)
             where m.user_pool_id = $1 and m.group_id = l.group_id and m.sub = l.sub",
        ),
        (
            &rows.joined,
            "insert into memberships (user_pool_id, group_id, sub)
             select $1, group_id, sub from unnest($2::uuid[], $3::uuid[]) as j (group_id, sub) on conflict do nothing",
        ),
    ];
    for (members, statement) in statements.into_iter().filter(|(members, _)| !members.is_empty()) {
        let (groups, subs) = columns(members);
        sqlx::query(statement).bind(pool).bind(groups).bind(subs).execute(&mut *connection).await?;
    }
    for group in &rows.empty_groups {
        sqlx::query(
            "select assert_version($1, 0, (select count(*) from
             (select from memberships where user_pool_id = $2 and group_id = $3 limit 1) as member))",
        )
        .bind(format!("members of {}", StreamId::group(*group)))
        .bind(pool)
        .bind(group.0)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// What users are found by: only values that changed.
async fn write_search(connection: &mut PgConnection, rows: &Rows) -> Result<(), StoreError> {
    let statements = [
        (
            &rows.forgotten,
            "delete from user_search s using unnest($2::text[], $3::text[], $4::uuid[]) as f (attribute, value, sub)
             where s.user_pool_id = $1 and s.attribute = f.attribute and s.value = f.value and s.sub = f.sub",
        ),
        (&rows.searchable, INSERT_SEARCH),
    ];
    for (entries, statement) in statements.into_iter().filter(|(entries, _)| !entries.is_empty()) {
        search_statement(connection, statement, &rows.pool_id, entries).await?;
    }
    Ok(())
}

/// Enters what users are found by. What is there already is no contradiction: the read model may just be filled.
pub(crate) const INSERT_SEARCH: &str = "
insert into user_search (user_pool_id, attribute, value, sub)
select $1, attribute, value, sub from unnest($2::text[], $3::text[], $4::uuid[]) as s (attribute, value, sub)
on conflict do nothing";

/// Runs a statement with what users are found by. Answers how many rows it concerned.
pub(crate) async fn search_statement(
    connection: &mut PgConnection,
    statement: &'static str,
    pool: &UserPoolId,
    entries: &[(SearchEntry, Sub)],
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(statement)
        .bind(pool.as_str())
        .bind(entries.iter().map(|((attribute, _), _)| attribute.name()).collect::<Vec<_>>())
        .bind(entries.iter().map(|((_, value), _)| value.as_str()).collect::<Vec<_>>())
        .bind(entries.iter().map(|(_, sub)| sub.0).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

/// Ends a pool: nobody finds it any more, its keys are destroyed, and the purge begins.
async fn end_pool(connection: &mut PgConnection, pool: &UserPoolId) -> Result<(), StoreError> {
    for statement in [
        "delete from pools where user_pool_id = $1",
        "delete from keys where user_pool_id = $1 and owner = ''",
        "insert into purges (user_pool_id, next_at) values ($1, now())",
    ] {
        sqlx::query(statement).bind(pool.as_str()).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Destroys a user's key and drops every row that could tell who it was.
async fn erase_user(connection: &mut PgConnection, pool: &UserPoolId, sub: Sub) -> Result<(), StoreError> {
    let by_sub = [
        "delete from users where user_pool_id = $1 and sub = $2",
        "delete from sessions where user_pool_id = $1 and sub = $2",
        "delete from codes where user_pool_id = $1 and sub = $2",
        "delete from used_nonces where user_pool_id = $1 and sub = $2",
        "delete from sign_in_failures where user_pool_id = $1 and sub = $2",
        "delete from familiar_networks where user_pool_id = $1 and sub = $2",
    ];
    for statement in by_sub {
        sqlx::query(statement).bind(pool.as_str()).bind(sub.0).execute(&mut *connection).await?;
    }
    let by_owner = [
        "delete from outbox where user_pool_id = $1 and owner = $2",
        "delete from mailbox where user_pool_id = $1 and owner = $2",
        "delete from keys where user_pool_id = $1 and kind = 'user' and owner = $2",
    ];
    for statement in by_owner {
        sqlx::query(statement).bind(pool.as_str()).bind(sub.to_string()).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Appends facts. Also used where a fact is all that there is to write.
pub(crate) async fn append_activity(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    rows: &[ActivityRow],
) -> Result<(), StoreError> {
    for (ord, row) in (0_i32..).zip(rows) {
        sqlx::query(
            "insert into activity (user_pool_id, event_id, owner, type, schema_version, payload, metadata, at, epoch, ord)
             values ($1, $2, $3, $4, $5, $6, $7, $8, (select epoch from meta), $9)",
        )
        .bind(pool.as_str())
        .bind(row.event_id)
        .bind(&row.owner)
        .bind(row.kind)
        .bind(row.schema_version)
        .bind(&row.payload)
        .bind(&row.metadata)
        .bind(row.at)
        .bind(ord)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Drops invitations that wait and let nobody in any more, before new ones are written.
async fn drop_invitations(connection: &mut PgConnection, rows: &Rows) -> Result<(), StoreError> {
    if rows.outdated_invitations.is_empty() {
        return Ok(());
    }
    sqlx::query("delete from outbox where user_pool_id = $1 and owner = any($2) and kind = $3")
        .bind(rows.pool_id.as_str())
        .bind(rows.outdated_invitations.iter().map(Sub::to_string).collect::<Vec<_>>())
        .bind(INVITATION)
        .execute(connection)
        .await?;
    Ok(())
}

async fn write_outbox(connection: &mut PgConnection, rows: &Rows, row: &OutboxRow) -> Result<(), StoreError> {
    sqlx::query(
        "insert into outbox (user_pool_id, id, owner, kind, sealed, next_at, medium, purpose, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(rows.pool_id.as_str())
    .bind(row.id)
    .bind(&row.owner)
    .bind(row.kind)
    .bind(&row.sealed.0)
    .bind(rows.at)
    .bind(row.medium)
    .bind(row.purpose)
    .bind(row.expires_at)
    .execute(connection)
    .await?;
    Ok(())
}
