//! Operational rows of a commit: keys, codes, limits, sessions, nonces. A statement that spends a limit also asserts
//! it.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Kept, OperationalRow, PasskeyUse, Trial};
use crate::domain::auth::session::Nonce;
use crate::domain::ids::{DeviceId, PasskeyId, Sub, UserPoolId};
use crate::domain::lockout::Attempts;
use crate::domain::personal::Sealed;
use crate::domain::rate::Limited;
use crate::domain::source::Tally;
use crate::domain::user::codes::SentCode;
use crate::proto::events::CodePurpose;
use crate::store::devices::await_device;
use crate::store::error::StoreError;
use crate::store::keys::WrappedKey;
use crate::store::{sessions, to_database};

/// Writes one row of a commit that was decided at `at`.
pub(super) async fn write(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    row: &OperationalRow,
    at: OffsetDateTime,
) -> Result<(), StoreError> {
    match row {
        OperationalRow::Key(key) => keep_key(connection, pool, key).await,
        OperationalRow::Code { sub, purpose, kept, code, before } => {
            let place = CodePlace { pool, sub: *sub, purpose: kept.purpose(*purpose) };
            keep_code(connection, &place, code, before.as_deref()).await
        }
        OperationalRow::CodeDropped { sub, purpose } => {
            let place = CodePlace { pool, sub: *sub, purpose: Kept::ForUser.purpose(*purpose) };
            drop_code(connection, &place).await
        }
        OperationalRow::CodeTried { sub, purpose, kept, hash, attempts, outcome } => {
            let place = CodePlace { pool, sub: *sub, purpose: kept.purpose(*purpose) };
            try_code(connection, &place, hash, attempts, outcome).await
        }
        OperationalRow::PasswordReplaced { sub, voids_code } => {
            replace_password(connection, pool, *sub, *voids_code).await
        }
        OperationalRow::RatesSpent(limits) => rates(connection, SPEND_RATES, pool, limits, at).await,
        OperationalRow::RateAsserted(limited) => {
            rates(connection, ASSERT_RATES, pool, std::slice::from_ref(limited), at).await
        }
        OperationalRow::SessionBegun(session) => match sessions::insert(connection, pool, session).await? {
            true => Ok(()),
            false => Err(StoreError::Stale),
        },
        OperationalRow::NonceSpent(nonce) => spend_nonce(connection, pool, *nonce, StoreError::Spent).await,
        OperationalRow::StepSpent(nonce) => spend_nonce(connection, pool, *nonce, StoreError::CodeUsed).await,
        OperationalRow::FailureCounted { sub, source, version, attempts, by_name } => {
            count_failure(connection, pool, (*sub, source, *version), attempts, by_name.as_ref()).await
        }
        OperationalRow::FailuresAsserted { sub, source, version } => {
            assert_failures(connection, pool, (*sub, source, *version)).await
        }
        OperationalRow::FailuresForgotten { sub, told, source, version } => {
            forget_failures(connection, pool, *sub, *told, source, *version).await
        }
        OperationalRow::NetworkFamiliar { sub, network } => know_network(connection, pool, *sub, network, at).await,
        OperationalRow::DeviceUsed { sub, device, version, address } => {
            use_device(connection, pool, (*sub, *device), *version, address.as_ref(), at).await
        }
        OperationalRow::DevicesBounded { sub, most } => bound_devices(connection, pool, *sub, *most).await,
        OperationalRow::DeviceAwaited { device, token } => await_device(connection, pool, *device, token).await,
        OperationalRow::PasskeyUsed(used) => use_passkey(connection, pool, used, at).await,
        OperationalRow::PasskeyForgotten(passkey) => forget_passkey(connection, pool, *passkey).await,
        OperationalRow::NetworksForgotten(sub) => forget_networks(connection, pool, *sub).await,
        OperationalRow::AsIfUser => {
            nothing(connection, "select version from users where user_pool_id = $1 and sub = $2 for key share", pool)
                .await
        }
        OperationalRow::AsIfSent => {
            nothing(connection, "delete from outbox where user_pool_id = $1 and id = $2", pool).await
        }
    }
}

async fn keep_key(connection: &mut PgConnection, pool: &UserPoolId, key: &WrappedKey) -> Result<(), StoreError> {
    sqlx::query("insert into keys (user_pool_id, key_id, kind, owner, wrapped) values ($1, $2, $3, $4, $5)")
        .bind(pool.as_str())
        .bind(key.key_id)
        .bind(key.kind.name())
        .bind(&key.owner)
        .bind(&key.wrapped.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// The key of a row of `codes`.
struct CodePlace<'a> {
    pool: &'a UserPoolId,
    sub: Sub,
    purpose: String,
}

async fn keep_code(
    connection: &mut PgConnection,
    place: &CodePlace<'_>,
    code: &SentCode,
    before: Option<&[u8]>,
) -> Result<(), StoreError> {
    let written = sqlx::query(
        "insert into codes (user_pool_id, sub, purpose, hash, attribute, attempts, expires_at, sent, window_began,
             asked_from, strange_attempts, strange_sent)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $11, $12, $13)
         on conflict (user_pool_id, sub, purpose)
         do update set hash = $4, attribute = $5, attempts = $6, expires_at = $7, sent = $8, window_began = $9,
             asked_from = $11, strange_attempts = $12, strange_sent = $13
         where codes.hash = $10",
    )
    .bind(place.pool.as_str())
    .bind(place.sub.0)
    .bind(&place.purpose)
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
    if written.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Stale) }
}

async fn drop_code(connection: &mut PgConnection, place: &CodePlace<'_>) -> Result<(), StoreError> {
    sqlx::query("delete from codes where user_pool_id = $1 and sub = $2 and purpose = $3")
        .bind(place.pool.as_str())
        .bind(place.sub.0)
        .bind(&place.purpose)
        .execute(connection)
        .await?;
    Ok(())
}

async fn try_code(
    connection: &mut PgConnection,
    place: &CodePlace<'_>,
    hash: &[u8],
    attempts: &Tally,
    outcome: &Trial,
) -> Result<(), StoreError> {
    let after = if let Trial::Wrong(after) = outcome { after } else { attempts };
    let tried = sqlx::query(TRY_CODE)
        .bind(place.pool.as_str())
        .bind(place.sub.0)
        .bind(&place.purpose)
        .bind(hash)
        .bind(attempts.familiar)
        .bind(attempts.strange)
        .bind(after.familiar)
        .bind(after.strange)
        .bind(*outcome == Trial::Spent)
        .execute(connection)
        .await?;
    if tried.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Stale) }
}

async fn replace_password(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    sub: Sub,
    voids_code: bool,
) -> Result<(), StoreError> {
    sqlx::query(REPLACE_PASSWORD)
        .bind(pool.as_str())
        .bind(sub.0)
        .bind(CodePurpose::ForgotPassword.as_str_name())
        .bind(voids_code)
        .execute(connection)
        .await?;
    Ok(())
}

async fn spend_nonce(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    Nonce { id, sub, expires_at }: Nonce,
    otherwise: StoreError,
) -> Result<(), StoreError> {
    let spent = sqlx::query(
        "insert into used_nonces (user_pool_id, nonce, sub, expires_at) values ($1, $2, $3, $4) on conflict do nothing",
    )
    .bind(pool.as_str())
    .bind(id)
    .bind(sub.0)
    .bind(to_database(expires_at))
    .execute(connection)
    .await?;
    if spent.rows_affected() == 1 { Ok(()) } else { Err(otherwise) }
}

async fn count_failure(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    (sub, source, version): (Sub, &str, i64),
    attempts: &Attempts,
    by_name: Option<&(Sub, Attempts)>,
) -> Result<(), StoreError> {
    let failures = |attempts: &Attempts| i32::try_from(attempts.failures).unwrap_or(i32::MAX);
    sqlx::query(COUNT_FAILURE)
        .bind(pool.as_str())
        .bind(sub.0)
        .bind(version)
        .bind(source)
        .bind(failures(attempts))
        .bind(to_database(attempts.last_at))
        .bind(attempts.locked_until.map(to_database))
        .bind(by_name.map(|(told, _)| told.0))
        .bind(by_name.map(|(_, attempts)| failures(attempts)))
        .bind(by_name.and_then(|(_, attempts)| attempts.locked_until).map(to_database))
        .execute(connection)
        .await?;
    Ok(())
}

async fn assert_failures(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    (sub, source, version): (Sub, &str, i64),
) -> Result<(), StoreError> {
    sqlx::query(ASSERT_FAILURES).bind(pool.as_str()).bind(sub.0).bind(version).bind(source).execute(connection).await?;
    Ok(())
}

async fn forget_failures(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    sub: Sub,
    told: Option<Sub>,
    source: &str,
    version: i64,
) -> Result<(), StoreError> {
    sqlx::query(FORGET_FAILURES)
        .bind(pool.as_str())
        .bind(sub.0)
        .bind(source)
        .bind(version)
        .bind(told.map(|told| told.0))
        .execute(connection)
        .await?;
    Ok(())
}

async fn know_network(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    sub: Sub,
    network: &[u8],
    at: OffsetDateTime,
) -> Result<(), StoreError> {
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
    Ok(())
}

async fn use_device(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    (sub, device): (Sub, DeviceId),
    version: Option<i64>,
    address: Option<&Sealed>,
    at: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query(USE_DEVICE)
        .bind(pool.as_str())
        .bind(device.0)
        .bind(sub.0)
        .bind(at)
        .bind(address.map(|address| &address.0))
        .bind(version)
        .execute(connection)
        .await?;
    Ok(())
}

/// The user's row is locked first, in a statement of its own, so that what the others have committed is counted.
async fn bound_devices(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    sub: Sub,
    most: u32,
) -> Result<(), StoreError> {
    let held = sqlx::query("select from users where user_pool_id = $1 and sub = $2 for no key update");
    held.bind(pool.as_str()).bind(sub.0).execute(&mut *connection).await?;
    sqlx::query(BOUND_DEVICES).bind(pool.as_str()).bind(sub.0).bind(i64::from(most)).execute(connection).await?;
    Ok(())
}

async fn use_passkey(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    PasskeyUse { sub, passkey, counter }: &PasskeyUse,
    at: OffsetDateTime,
) -> Result<(), StoreError> {
    let used = sqlx::query(USE_PASSKEY)
        .bind(pool.as_str())
        .bind(passkey.0)
        .bind(sub.0)
        .bind(i64::from(*counter))
        .bind(at)
        .execute(connection)
        .await?;
    if used.rows_affected() == 1 { Ok(()) } else { Err(StoreError::PasskeyCopied) }
}

async fn forget_passkey(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    passkey: PasskeyId,
) -> Result<(), StoreError> {
    sqlx::query("delete from passkey_uses where user_pool_id = $1 and passkey_id = $2")
        .bind(pool.as_str())
        .bind(passkey.0)
        .execute(connection)
        .await?;
    Ok(())
}

async fn forget_networks(connection: &mut PgConnection, pool: &UserPoolId, sub: Sub) -> Result<(), StoreError> {
    sqlx::query("delete from familiar_networks where user_pool_id = $1 and sub = $2")
        .bind(pool.as_str())
        .bind(sub.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// Runs a statement that finds no row, only for the time that it takes.
async fn nothing(connection: &mut PgConnection, statement: &'static str, pool: &UserPoolId) -> Result<(), StoreError> {
    sqlx::query(statement).bind(pool.as_str()).bind(Uuid::nil()).execute(connection).await?;
    Ok(())
}

/// A spent code stays until its hour is over, so that using a code doesn't allow five more. Its hash is replaced by a
/// random value that matches no code.
const TRY_CODE: &str = "
update codes set attempts = $7, strange_attempts = $8,
    hash = case when $9 then sha256(hash) else hash end, expires_at = case when $9 then window_began else expires_at end
where user_pool_id = $1 and sub = $2 and purpose = $3 and hash = $4 and attempts = $5 and strange_attempts = $6";

/// Deletes the wrong guesses at a replaced password, and spends a code for a new one. The code still counts as sent.
const REPLACE_PASSWORD: &str = "
with voided as (
    update codes set hash = sha256(hash), expires_at = window_began
    where $4 and user_pool_id = $1 and sub = $2 and purpose = $3
)
delete from sign_in_failures where user_pool_id = $1 and sub = $2 and source in ('familiar', 'strange')";

/// The device's row is locked until the commit is done: a forgetting of the device waits, and then finds the session.
const USE_DEVICE: &str = "
with asserted as (
    select case when $6::bigint is not null then assert_version('devices', $6,
               (select version from devices where user_pool_id = $1 and device_id = $2 for key share)) end
)
insert into device_uses (user_pool_id, device_id, sub, last_at, address) select $1, $2, $3, $4, $5 from asserted
on conflict (user_pool_id, device_id) do update set last_at = $4, address = $5, awaited = null";

/// Collides if there are more, so that the next attempt finds them all and lets others give way.
const BOUND_DEVICES: &str = "
select assert_version('devices of ' || $2::text, least(counted, $3), counted)
from (select count(*) as counted from user_devices where user_pool_id = $1 and sub = $2) as devices";

/// Of two sign-ins with the same counter, the second one waits for the first, and then finds its counter used. Many passkeys
/// do not count: theirs stays 0.
const USE_PASSKEY: &str = "
insert into passkey_uses (user_pool_id, passkey_id, sub, counter, last_at) values ($1, $2, $3, $4, $5)
on conflict (user_pool_id, passkey_id) do update set counter = $4, last_at = $5
where passkey_uses.counter < $4 or passkey_uses.counter = 0 and $4 = 0";

/// Asserts the version of the failures, so that two simultaneous guesses count as two.
const COUNT_FAILURE: &str = "
with asserted as (
    select assert_version('attempts', $3, coalesce(
               (select version from sign_in_failures where user_pool_id = $1 and sub = $2 and source = $4), 0))
), counted as (
    insert into sign_in_failures (user_pool_id, sub, source, failures, last_at, locked_until, version)
    select $1, $2, $4, $5, $6, $7, $3 + 1 from asserted
    on conflict (user_pool_id, sub, source) do update
        set failures = $5, last_at = $6, locked_until = $7, version = sign_in_failures.version + 1
        where sign_in_failures.version = $3
    returning version
), named as (
    insert into sign_in_failures (user_pool_id, sub, source, failures, last_at, locked_until, version)
    select $1, $8, 'by_name', $9, $6, $10, 1 where $8::uuid is not null
    on conflict (user_pool_id, sub, source) do update
        set failures = $9, last_at = $6, locked_until = $10, version = sign_in_failures.version + 1
)
select assert_version('attempts', 1, (select count(*) from counted))";

const ASSERT_FAILURES: &str = "
select assert_version('attempts', $3, coalesce(
           (select version from sign_in_failures where user_pool_id = $1 and sub = $2 and source = $4), 0))";

/// The absence of failures is asserted too, as version 0.
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

/// Counts or asserts limits, always in the same order, so that two commits never deadlock.
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
