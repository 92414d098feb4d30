//! Leases: which process leads, by the database's clock, with a token that grows at each change of the holder.

use std::time::Duration;

use sqlx::PgConnection;

use crate::store::Store;
use crate::store::error::StoreError;

/// A lease that was held when it was taken or renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The name of the lease, such as `relay-0`.
    pub name: String,
    /// The process that holds it.
    pub holder: String,
    /// The fencing token: a holder with a smaller one has been replaced.
    pub token: i64,
}

impl Store {
    /// Takes a lease, or renews it if this holder has it. `None` if another holder has it.
    pub async fn lease(&self, name: &str, holder: &str, duration: Duration) -> Result<Option<Lease>, StoreError> {
        let token: Option<i64> = sqlx::query_scalar(
            "insert into leases (name, holder, token, expires_at) values ($1, $2, 1, clock_timestamp() + $3 * interval '1 millisecond')
             on conflict (name) do update
                set token = case when leases.holder = $2 and leases.expires_at > clock_timestamp() then leases.token else leases.token + 1 end,
                    holder = $2,
                    expires_at = clock_timestamp() + $3 * interval '1 millisecond'
                where leases.holder = $2 or leases.expires_at <= clock_timestamp()
             returning token",
        )
        .bind(name)
        .bind(holder)
        .bind(duration.as_millis() as f64)
        .fetch_optional(&self.database)
        .await?;
        Ok(token.map(|token| Lease { name: name.to_owned(), holder: holder.to_owned(), token }))
    }

    /// Releases a lease, so that another holder need not wait.
    pub async fn release_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        sqlx::query("update leases set expires_at = clock_timestamp() where name = $1 and holder = $2 and token = $3")
            .bind(&lease.name)
            .bind(&lease.holder)
            .bind(lease.token)
            .execute(&self.database)
            .await?;
        Ok(())
    }
}

/// Whether a lease is still held; it stays so until the end of the transaction.
pub(super) async fn is_held(connection: &mut PgConnection, lease: &Lease) -> Result<bool, StoreError> {
    let held: Option<bool> = sqlx::query_scalar("select token = $2 from leases where name = $1 for share")
        .bind(&lease.name)
        .bind(lease.token)
        .fetch_optional(connection)
        .await?;
    Ok(held == Some(true))
}
