//! Sessions of challenges that an answer has used up.

use uuid::Uuid;

use crate::domain::ids::UserPoolId;
use crate::store::Store;
use crate::store::error::StoreError;

impl Store {
    /// Whether an answer has used up the session of this nonce. It is remembered for as long as the session could be answered.
    pub async fn is_nonce_spent(&self, pool: &UserPoolId, nonce: Uuid) -> Result<bool, StoreError> {
        let query = || {
            sqlx::query("select from used_nonces where user_pool_id = $1 and nonce = $2")
                .bind(pool.as_str())
                .bind(nonce)
        };
        Ok(self.connections.fetch_optional(query).await?.is_some())
    }
}
