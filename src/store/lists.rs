//! Lists of pools and of clients, page by page, in the order of their ids. A row that another revision of `apply` wrote
//! is computed again from its stream, as in a single read; a row that was deleted meanwhile is left out.

use serde_json::value::RawValue;
use sqlx::types::Json;

use crate::domain::app_client::AppClient;
use crate::domain::ids::{ClientId, StreamId, UserPoolId};
use crate::domain::user_pool::UserPool;
use crate::store::Store;
use crate::store::error::StoreError;

impl Store {
    /// The pools after this id: all, or only those named.
    pub async fn list_pools(
        &self,
        after: Option<&str>,
        only: Option<&[UserPoolId]>,
        limit: i64,
    ) -> Result<Vec<(UserPoolId, UserPool)>, StoreError> {
        let only: Option<Vec<String>> = only.map(|ids| ids.iter().map(ToString::to_string).collect());
        let rows: Vec<(String, i32, Json<Box<RawValue>>)> = sqlx::query_as(
            "select user_pool_id, revision, state from pools
             where user_pool_id > coalesce($1, '') and ($2::text[] is null or user_pool_id = any($2))
             order by user_pool_id limit $3",
        )
        .bind(after)
        .bind(only)
        .bind(limit)
        .fetch_all(&self.database)
        .await?;
        let mut pools = Vec::with_capacity(rows.len());
        for (id, revision, Json(state)) in rows {
            let id = UserPoolId::new(id);
            match self.current::<UserPool>(&id, &StreamId::pool(), revision, &state, None, "pools").await {
                Ok(state) => pools.push((id, state)),
                Err(StoreError::Stale) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(pools)
    }

    /// The clients of a pool after this id.
    pub async fn list_clients(
        &self,
        pool: &UserPoolId,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<AppClient>, StoreError> {
        let rows: Vec<(String, i32, Json<Box<RawValue>>)> = sqlx::query_as(
            "select client_id, revision, state from clients
             where user_pool_id = $1 and client_id > coalesce($2, '') order by client_id limit $3",
        )
        .bind(pool.as_str())
        .bind(after)
        .bind(limit)
        .fetch_all(&self.database)
        .await?;
        let mut clients = Vec::with_capacity(rows.len());
        for (id, revision, Json(state)) in rows {
            let stream = StreamId::client(&ClientId::new(id));
            match self.current::<AppClient>(pool, &stream, revision, &state, None, "clients").await {
                Ok(state) => clients.push(state),
                Err(StoreError::Stale) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(clients)
    }
}
