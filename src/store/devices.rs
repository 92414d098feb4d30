//! The devices of a user, page by page, and all of them at the user's end.

use serde_json::value::RawValue;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use crate::domain::ids::{DeviceId, Sub, UserPoolId};
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::loaded::{LoadedDevice, UsedDevice};
use crate::store::read::parts::device_use;
use crate::store::wake::News;

/// Leaves a challenge token with a device. If the device is gone, there is nothing to leave it with.
pub(in crate::store) async fn await_device(
    connection: &mut PgConnection,
    pool: &UserPoolId,
    device: DeviceId,
    token: &str,
) -> Result<(), StoreError> {
    sqlx::query("update device_uses set awaited = $3 where user_pool_id = $1 and device_id = $2")
        .bind(pool.as_str())
        .bind(device.0)
        .bind(token)
        .execute(connection)
        .await?;
    Ok(())
}

/// The devices of a user after an id, in the order of their ids.
const BY_USER: &str = "
select d.device_id, d.version, d.revision, d.state, v.last_at as device_last_at, v.address as device_address
from user_devices o
join devices d on d.user_pool_id = o.user_pool_id and d.device_id = o.device_id
left join device_uses v on v.user_pool_id = o.user_pool_id and v.device_id = o.device_id
where o.user_pool_id = $1 and o.sub = $2 and o.device_id > $3 order by o.device_id limit $4";

impl Store {
    /// The devices of a user after this one, in the order of their ids.
    pub async fn list_devices(
        &self,
        pool: &UserPoolId,
        sub: Sub,
        after: Option<DeviceId>,
        limit: i64,
    ) -> Result<Vec<UsedDevice>, StoreError> {
        let after = after.map_or(Uuid::nil(), |after| after.0);
        let query = || sqlx::query(BY_USER).bind(pool.as_str()).bind(sub.0).bind(after).bind(limit);
        let mut devices = Vec::new();
        for row in self.connections.fetch_all(query).await? {
            match self.used_device(pool, &row).await {
                Ok(device) => devices.push(device),
                // It was forgotten meanwhile.
                Err(StoreError::Stale) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(devices)
    }

    /// All devices of a user, who is about to be deleted.
    pub async fn devices_of(&self, pool: &UserPoolId, sub: Sub) -> Result<Vec<LoadedDevice>, StoreError> {
        let devices = self.list_devices(pool, sub, None, i64::MAX).await?;
        Ok(devices.into_iter().map(|used| used.device).collect())
    }

    /// Leaves the challenge token of a sign-in with the device that has to prove itself.
    pub async fn await_device(&self, pool: &UserPoolId, device: DeviceId, token: String) -> Result<(), StoreError> {
        let (store, pool) = (self.clone(), pool.clone());
        self.to_its_end(News::Events, async move {
            let mut lent = store.connections.lend().await?;
            let awaited = await_device(lent.connection(), &pool, device, &token).await;
            lent.settled(awaited)
        })
        .await
    }

    async fn used_device(&self, pool: &UserPoolId, row: &PgRow) -> Result<UsedDevice, StoreError> {
        let (id, version) = (DeviceId(row.try_get("device_id")?), row.try_get("version")?);
        let Json(state) = row.try_get::<Json<&RawValue>, _>("state")?;
        let state = self.current_device(pool, id, row.try_get("revision")?, state).await?;
        Ok(UsedDevice { device: LoadedDevice { state, version }, last_use: device_use(row)?, awaited: None })
    }
}
