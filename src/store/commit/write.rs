//! The transaction itself: writes only, in one order. Nothing is loaded after the first of them.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::rows::{LogRow, ModelRow, ModelTable, OutboxRow, Rows};
use super::{ActivityRow, Counted, Marker, OperationalRow, Trial};
use crate::domain::ids::{GroupId, StreamId, Sub, UserPoolId};
use crate::domain::rate::Limited;
use crate::domain::user::search::SearchEntry;
use crate::proto::events::CodePurpose;
use crate::store::answers;
use crate::store::connections::{Connections, Database, Lent};
use crate::store::error::StoreError;
use crate::store::history::SCHEMA_VERSION;
use crate::store::outbox::INVITATION;
use crate::store::read::Session;
use crate::store::to_database;

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
        write_operational(connection, &rows.pool_id, row, rows.at).await?;
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

async fn write_operational(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    row: &OperationalRow,
    at: OffsetDateTime,
) -> Result<(), StoreError> {
    match row {
        OperationalRow::Key(key) => {
            sqlx::query("insert into keys (user_pool_id, key_id, kind, owner, wrapped) values ($1, $2, $3, $4, $5)")
                .bind(pool.as_str())
                .bind(key.key_id)
                .bind(key.kind.name())
                .bind(&key.owner)
                .bind(&key.wrapped.0)
                .execute(connection)
                .await?;
        }
        OperationalRow::Code { sub, purpose, kept, code, before } => {
            let written = sqlx::query(
                "insert into codes (user_pool_id, sub, purpose, hash, attribute, attempts, expires_at, sent, window_began,
                     asked_from, strange_attempts, strange_sent)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $11, $12, $13)
                 on conflict (user_pool_id, sub, purpose)
                 do update set hash = $4, attribute = $5, attempts = $6, expires_at = $7, sent = $8, window_began = $9,
                     asked_from = $11, strange_attempts = $12, strange_sent = $13
                 where codes.hash = $10",
            )
            .bind(pool.as_str())
            .bind(sub.0)
            .bind(kept.purpose(*purpose))
            .bind(&code.hash)
            .bind(&code.attribute)
            .bind(code.attempts.familiar)
            .bind(to_database(code.expires_at))
            .bind(code.sent.familiar)
            .bind(to_database(code.window_began))
            .bind(before)
            .bind(&code.asked_from)
            .bind(code.attempts.strange)
            .bind(code.sent.strange)
            .execute(connection)
            .await?;
            if written.rows_affected() != 1 {
                return Err(StoreError::Stale);
            }
        }
        OperationalRow::CodeDropped { sub, purpose } => {
            sqlx::query("delete from codes where user_pool_id = $1 and sub = $2 and purpose = $3")
                .bind(pool.as_str())
                .bind(sub.0)
                .bind(purpose.as_str_name())
                .execute(connection)
                .await?;
        }
        OperationalRow::CodeTried { sub, purpose, kept, hash, attempts, outcome } => {
            let after = if let Trial::Wrong(after) = outcome { after } else { attempts };
            let tried = sqlx::query(TRY_CODE)
                .bind(pool.as_str())
                .bind(sub.0)
                .bind(kept.purpose(*purpose))
                .bind(hash)
                .bind(attempts.familiar)
                .bind(attempts.strange)
                .bind(after.familiar)
                .bind(after.strange)
                .bind(*outcome == Trial::Spent)
                .execute(connection)
                .await?;
            if tried.rows_affected() != 1 {
                return Err(StoreError::Stale);
            }
        }
        OperationalRow::PasswordReplaced { sub, voids_code } => {
            sqlx::query(REPLACE_PASSWORD)
                .bind(pool.as_str())
                .bind(sub.0)
                .bind(CodePurpose::ForgotPassword.as_str_name())
                .bind(voids_code)
                .execute(connection)
                .await?;
        }
        OperationalRow::RatesSpent(limits) => rates(connection, SPEND_RATES, pool, limits, at).await?,
        OperationalRow::RateAsserted(limited) => {
            rates(connection, ASSERT_RATES, pool, std::slice::from_ref(limited), at).await?;
        }
        OperationalRow::SessionBegun(session) => begin_session(connection, pool, session).await?,
        OperationalRow::NonceSpent { nonce, sub, expires_at } => {
            let spent = sqlx::query(
                "insert into used_nonces (user_pool_id, nonce, sub, expires_at) values ($1, $2, $3, $4)
                 on conflict do nothing",
            )
            .bind(pool.as_str())
            .bind(nonce)
            .bind(sub.0)
            .bind(to_database(*expires_at))
            .execute(connection)
            .await?;
            if spent.rows_affected() != 1 {
                return Err(StoreError::Spent);
            }
        }
        OperationalRow::FailuresForgotten { sub, told, source, version } => {
            sqlx::query(FORGET_FAILURES)
                .bind(pool.as_str())
                .bind(sub.0)
                .bind(source)
                .bind(version)
                .bind(told.map(|told| told.0))
                .execute(connection)
                .await?;
        }
        OperationalRow::NetworkFamiliar { sub, network } => {
            sqlx::query(
                "insert into familiar_networks (user_pool_id, sub, network, last_at) values ($1, $2, $3, $4)
                 on conflict (user_pool_id, sub, network) do update set last_at = $4",
            )
            .bind(pool.as_str())
            .bind(sub.0)
            .bind(network)
            .bind(at)
            .execute(connection)
            .await?;
        }
        OperationalRow::NetworksForgotten(sub) => {
            sqlx::query("delete from familiar_networks where user_pool_id = $1 and sub = $2")
                .bind(pool.as_str())
                .bind(sub.0)
                .execute(connection)
                .await?;
        }
        OperationalRow::AsIfUser => {
            sqlx::query("select version from users where user_pool_id = $1 and sub = $2 for key share")
                .bind(pool.as_str())
                .bind(Uuid::nil())
                .execute(connection)
                .await?;
        }
        OperationalRow::AsIfSent => {
            sqlx::query("delete from outbox where user_pool_id = $1 and id = $2")
                .bind(pool.as_str())
                .bind(Uuid::nil())
                .execute(connection)
                .await?;
        }
    }
    Ok(())
}

/// A code that was spent stays until its hour is over, so that a right code does not give the right to five more. What is
/// left of the hash is no code's, and each time another.
const TRY_CODE: &str = "
update codes set attempts = $7, strange_attempts = $8,
    hash = case when $9 then sha256(hash) else hash end, expires_at = case when $9 then window_began else expires_at end
where user_pool_id = $1 and sub = $2 and purpose = $3 and hash = $4 and attempts = $5 and strange_attempts = $6";

/// What guesses at a password that is no more have left behind, and a code to replace it. That it was sent still counts.
const REPLACE_PASSWORD: &str = "
with voided as (
    update codes set hash = sha256(hash), expires_at = window_began
    where $4 and user_pool_id = $1 and sub = $2 and purpose = $3
)
delete from sign_in_failures where user_pool_id = $1 and sub = $2 and source in ('familiar', 'strange')";

/// That there were none is asserted like any number of them.
const FORGET_FAILURES: &str = "
with told as (
    delete from sign_in_failures where user_pool_id = $1 and sub = $5 and source = 'by_name'
), forgotten as (
    delete from sign_in_failures where user_pool_id = $1 and sub = $2 and source = $3 and version = $4 returning version
)
select assert_version('attempts', $4, coalesce(
           (select version from sign_in_failures where user_pool_id = $1 and sub = $2 and source = $3), 0)),
       assert_version('attempts', ($4 > 0)::int, (select count(*) from forgotten))";

const SPEND_RATES: &str = "
select spend_rate($1, kind, key, $2, share, period)
from unnest($3::text[], $4::bytea[], $5::bigint[], $6::bigint[]) as r (kind, key, share, period)";
const ASSERT_RATES: &str = "
select assert_rate($1, kind, key, $2, share, period)
from unnest($3::text[], $4::bytea[], $5::bigint[], $6::bigint[]) as r (kind, key, share, period)";

/// Counts or asserts what is limited, always in the same order, so that no two commits wait for each other.
async fn rates(
    connection: &mut PgConnection,
    statement: &'static str,
    pool: &UserPoolId,
    limits: &[Limited],
    at: OffsetDateTime,
) -> Result<(), StoreError> {
    let mut limits: Vec<_> = limits.iter().collect();
    limits.sort_by_key(|limited| (limited.kind.name(), &limited.key));
    sqlx::query(statement)
        .bind(pool.as_str())
        .bind(at)
        .bind(limits.iter().map(|limited| limited.kind.name()).collect::<Vec<_>>())
        .bind(limits.iter().map(|limited| limited.key.as_slice()).collect::<Vec<_>>())
        .bind(limits.iter().map(|limited| limited.rate.share_millis()).collect::<Vec<_>>())
        .bind(limits.iter().map(|limited| limited.rate.period_millis()).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}

async fn begin_session(connection: &mut PgConnection, pool: &UserPoolId, session: &Session) -> Result<(), StoreError> {
    sqlx::query(
        "insert into sessions (user_pool_id, event_id, sub, client_id, token_generation, auth_time, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(pool.as_str())
    .bind(session.event_id)
    .bind(session.sub.0)
    .bind(session.client_id.as_str())
    .bind(session.token_generation)
    .bind(to_database(session.auth_time))
    .bind(to_database(session.expires_at))
    .execute(connection)
    .await?;
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
