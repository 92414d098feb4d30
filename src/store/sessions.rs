//! The rows of sessions.

use sqlx::{PgConnection, Row};
use uuid::Uuid;

use crate::domain::auth::session::Session;
use crate::domain::ids::{DeviceId, UserPoolId};
use crate::domain::time::Timestamp;
use crate::store::Store;
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

/// As many sessions of a device are told apart as a person could look at.
const MOST_OF_DEVICE: i64 = 100;

impl Store {
    /// The newest sessions of a device that can still be used, each with its app client.
    pub async fn sessions_of_device(
        &self,
        pool: &UserPoolId,
        device: DeviceId,
        token_generation: i64,
        at: Timestamp,
    ) -> Result<Vec<(Uuid, String)>, StoreError> {
        let query = || {
            sqlx::query(
                "select event_id, client_id from sessions
                 where user_pool_id = $1 and device_id = $2 and token_generation >= $3 and expires_at > $4
                 order by auth_time desc limit $5",
            )
            .bind(pool.as_str())
            .bind(device.0)
            .bind(token_generation)
            .bind(to_database(at))
            .bind(MOST_OF_DEVICE)
        };
        let rows = self.connections.fetch_all(query).await?;
        rows.iter().map(|row| Ok((row.try_get("event_id")?, row.try_get("client_id")?))).collect()
    }
}
