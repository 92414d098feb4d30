//! The positions of the readers of the feed.

use time::OffsetDateTime;

use crate::store::connections::Lent;
use crate::store::error::StoreError;
use crate::store::feed::{Cursor, Log};
use crate::store::leases::{Lease, is_held};
use crate::store::parked::{Parking, park};
use crate::store::{Store, from_database, to_database};

impl Store {
    /// The position of a reader; the start if it has none.
    pub async fn checkpoint(&self, reader: &str) -> Result<Cursor, StoreError> {
        let row: Option<(i64, String, i32, OffsetDateTime)> =
            sqlx::query_as("select epoch, tx::text, ord, at from checkpoints where reader = $1")
                .bind(reader)
                .fetch_optional(&self.database)
                .await?;
        Ok(row.map_or_else(Cursor::start, |(epoch, tx, ord, at)| Cursor { epoch, tx, ord, at: from_database(at) }))
    }

    /// Registers a new reader at the start of the feed. From then on, no fact is deleted that it has not read.
    pub async fn enter_reader(&self, reader: &str) -> Result<(), StoreError> {
        let start = Cursor::start();
        sqlx::query(
            "insert into checkpoints (reader, epoch, tx, ord, at) values ($1, $2, $3::xid8, $4, $5)
             on conflict (reader) do nothing",
        )
        .bind(reader)
        .bind(start.epoch)
        .bind(&start.tx)
        .bind(start.ord)
        .bind(to_database(start.at))
        .execute(&self.database)
        .await?;
        Ok(())
    }

    /// Moves readers forward in one transaction, and parks the events that they skip, if the lease is still held.
    /// Returns whether it was.
    pub async fn move_checkpoints(
        &self,
        lease: &Lease,
        moves: &[(String, Cursor)],
        parked: &[Parking],
    ) -> Result<bool, StoreError> {
        let mut lent = self.database.lend().await?;
        let moved = move_checkpoints(&mut lent, lease, moves, parked).await;
        lent.settled(moved)
    }

    /// Forgets the position of a reader of a log, and the parked events of that log. The next reader begins at the
    /// start; until then nothing waits for one.
    pub async fn forget_reader(&self, reader: &str, log: Log) -> Result<(), StoreError> {
        let mut lent = self.database.lend().await?;
        let forgotten = forget_reader(&mut lent, reader, log).await;
        lent.settled(forgotten)
    }
}

async fn move_checkpoints(
    lent: &mut Lent<'_>,
    lease: &Lease,
    moves: &[(String, Cursor)],
    parked: &[Parking],
) -> Result<bool, StoreError> {
    let mut transaction = lent.begin().await?;
    if !is_held(&mut transaction, lease).await? {
        return Ok(false);
    }
    for (reader, cursor) in moves {
        let moved = sqlx::query(
            "insert into checkpoints (reader, epoch, tx, ord, at, token) values ($1, $2, $3::xid8, $4, $5, $6)
             on conflict (reader) do update set epoch = $2, tx = $3::xid8, ord = $4, at = $5, token = $6
             where checkpoints.token <= $6",
        )
        .bind(reader)
        .bind(cursor.epoch)
        .bind(&cursor.tx)
        .bind(cursor.ord)
        .bind(to_database(cursor.at))
        .bind(lease.token)
        .execute(&mut *transaction)
        .await?;
        if moved.rows_affected() != 1 {
            return Ok(false);
        }
    }
    park(&mut transaction, parked).await?;
    transaction.commit().await?;
    Ok(true)
}

async fn forget_reader(lent: &mut Lent<'_>, reader: &str, log: Log) -> Result<(), StoreError> {
    let mut transaction = lent.begin().await?;
    sqlx::query("delete from checkpoints where reader = $1").bind(reader).execute(&mut *transaction).await?;
    sqlx::query("delete from relay_parked where log = $1").bind(log.name()).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}
