//! Lists of pools and of clients, a page at a time, in the order of their ids.

use serde_json::Value;

use crate::domain::app_client::AppClient;
use crate::domain::ids::UserPoolId;
use crate::domain::user_pool::UserPool;
use crate::store::Store;
use crate::store::error::StoreError;

impl Store {
    /// The pools after an id: all, or only those named.
    pub async fn list_pools(
        &self,
        after: Option<&str>,
        only: Option<&[UserPoolId]>,
        limit: i64,
    ) -> Result<Vec<(UserPoolId, UserPool)>, StoreError> {
        let only: Option<Vec<String>> = only.map(|ids| ids.iter().map(ToString::to_string).collect());
        let rows: Vec<(String, Value)> = sqlx::query_as(
            "select user_pool_id, state from pools
             where user_pool_id > coalesce($1, '') and ($2::text[] is null or user_pool_id = any($2))
             order by user_pool_id limit $3",
        )
        .bind(after)
        .bind(only)
        .bind(limit)
        .fetch_all(&self.database)
        .await?;
        rows.into_iter()
            .map(|(id, state)| {
                let state =
                    serde_json::from_value(state).map_err(|source| StoreError::Row { table: "pools", source })?;
                Ok((UserPoolId::new(id), state))
            })
            .collect()
    }

    /// The clients of a pool after an id.
    pub async fn list_clients(
        &self,
        pool: &UserPoolId,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<AppClient>, StoreError> {
        let rows: Vec<Value> = sqlx::query_scalar(
            "select state from clients where user_pool_id = $1 and client_id > coalesce($2, '') order by client_id limit $3",
        )
        .bind(pool.as_str())
        .bind(after)
        .bind(limit)
        .fetch_all(&self.database)
        .await?;
        rows.into_iter()
            .map(|state| serde_json::from_value(state).map_err(|source| StoreError::Row { table: "clients", source }))
            .collect()
    }
}
