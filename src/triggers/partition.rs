//! The partition of replies that this process reads.

use std::time::Duration;

use crate::kafka::topics::REPLY_PARTITIONS;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::leases::Lease;

/// A killed process's partition is free after this time. Two processes that read the same one only read more than they
/// need, so nothing depends on it.
const LEASE: Duration = Duration::from_secs(30);
/// How often a lease is renewed.
pub const RENEWAL: Duration = Duration::from_secs(10);

/// A partition, with the lease on it if one was free.
#[derive(Debug)]
pub struct Partition {
    /// Its number in the topic of replies.
    pub number: i32,
    lease: Option<Lease>,
}

impl Partition {
    /// A partition that no other process reads, beginning the search at a random one. If all are taken, that one is
    /// shared.
    pub async fn take(store: &Store, holder: &str, first: u8) -> Result<Self, StoreError> {
        let first = i32::from(first) % REPLY_PARTITIONS;
        for step in 0..REPLY_PARTITIONS {
            let number = (first + step) % REPLY_PARTITIONS;
            if let Some(lease) = store.lease(&name(number), holder, LEASE).await? {
                return Ok(Self { number, lease: Some(lease) });
            }
        }
        Ok(Self { number: first, lease: None })
    }

    /// Keeps the partition for longer.
    pub async fn renew(&self, store: &Store, holder: &str) {
        if let Some(lease) = &self.lease
            && let Err(error) = store.lease(&lease.name, holder, LEASE).await
        {
            tracing::debug!(%error, "the lease on a partition of replies is not renewed");
        }
    }

    /// Gives the partition back.
    pub async fn release(self, store: &Store) {
        if let Some(lease) = &self.lease
            && let Err(error) = store.release_lease(lease).await
        {
            tracing::debug!(%error, "the lease on a partition of replies is not released");
        }
    }
}

fn name(partition: i32) -> String {
    format!("trigger-replies-{partition}")
}
