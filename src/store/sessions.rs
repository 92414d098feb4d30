//! The row of a session.

use sqlx::PgConnection;

use crate::domain::auth::session::Session;
use crate::domain::ids::UserPoolId;
use crate::store::error::StoreError;
use crate::store::to_database;

/// Writes the row. Returns `false` if it exists already; waits for a transaction that is writing it.
pub(super) async fn insert(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    session: &Session,
) -> Result<bool, StoreError> {
    let written = sqlx::query(
        "insert into sessions (user_pool_id, event_id, sub, client_id, token_generation, auth_time, expires_at,
             device_id, refreshable)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing",
    )
    .bind(pool.as_str())
    .bind(session.event_id)
    .bind(session.sub.0)
    .bind(session.client_id.as_str())
    .bind(session.token_generation)
    .bind(to_database(session.auth_time))
    .bind(to_database(session.expires_at))
    .bind(session.device.map(|device| device.0))
    .bind(session.is_refreshable)
    .execute(connection)
    .await?;
    Ok(written.rows_affected() == 1)
}
