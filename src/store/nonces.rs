//! Nonces of challenge sessions that were answered.

use uuid::Uuid;

use crate::domain::ids::UserPoolId;
use crate::store::Store;
use crate::store::error::StoreError;

impl Store {
    /// Whether the session with this nonce was answered. This is remembered until the session expires.
    pub async fn is_nonce_spent(&self, pool: &UserPoolId, nonce: Uuid) -> Result<bool, StoreError> {
        let query = || {
            sqlx::query("select from used_nonces where user_pool_id = $1 and nonce = $2")
                .bind(pool.as_str())
                .bind(nonce)
        };
        Ok(self.connections.fetch_optional(query).await?.is_some())
    }
}
