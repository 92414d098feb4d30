//! The transaction that holds the feed up: the oldest writing transaction of the cluster, of any program.

use sqlx::Row;

use crate::store::Store;
use crate::store::error::StoreError;

/// What is known about the oldest writing transaction.
#[derive(Clone, Debug, PartialEq)]
pub enum OldestWriter {
    /// No transaction is writing.
    None,
    /// The oldest writing transaction.
    Known {
        /// How many seconds it has been open.
        seconds: f64,
        /// The process, or the name of a prepared transaction.
        whose: String,
    },
    /// Postgres hides other transactions from this account, because it is no member of `pg_read_all_stats`.
    Unknown,
}

/// A prepared transaction no longer belongs to a process, and every account may see it.
const OLDEST_WRITER: &str = "
select seconds, whose from (
    select extract(epoch from clock_timestamp() - xact_start)::float8 as seconds, 'process ' || pid as whose
    from pg_stat_activity where backend_xid is not null and pid <> pg_backend_pid()
    union all
    select extract(epoch from clock_timestamp() - prepared)::float8, 'the prepared transaction ' || quote_literal(gid)
    from pg_prepared_xacts
) as writers order by seconds desc limit 1";

impl Store {
    /// The oldest writing transaction of the cluster, if this account may see it.
    pub async fn oldest_writer(&self) -> Result<OldestWriter, StoreError> {
        if !self.sees_all_writers().await? {
            return Ok(OldestWriter::Unknown);
        }
        let row = sqlx::query(OLDEST_WRITER).fetch_optional(&self.database).await?;
        let Some(row) = row else { return Ok(OldestWriter::None) };
        Ok(OldestWriter::Known { seconds: row.try_get("seconds")?, whose: row.try_get("whose")? })
    }

    /// Whether this account may see the transactions of others.
    pub async fn sees_all_writers(&self) -> Result<bool, StoreError> {
        let sees = sqlx::query_scalar("select pg_has_role(current_user, 'pg_read_all_stats', 'usage')")
            .fetch_one(&self.database)
            .await?;
        Ok(sees)
    }
}
