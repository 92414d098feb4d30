//! Connections that are kept from one read or commit to the next.
//!
//! The pool asks each connection that comes back whether it still lives. That is a round trip, which costs as much as a
//! point read itself; so a connection whose work was done goes to the next caller instead, and back to the pool only now and
//! then. One whose work failed, or whose caller went away in the middle of it, goes back at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{PgConnection, PgPool, Postgres};

use crate::store::error::StoreError;

/// A connection is kept for so long: then the pool may look at it, and end it for its age.
const LONGEST: Duration = Duration::from_secs(10);

/// Some of a pool's connections, kept.
#[derive(Debug)]
pub(crate) struct Connections {
    pool: PgPool,
    kept: Mutex<Vec<Kept>>,
    /// At most so many: the others are the pool's own, for workers and whatever else asks it.
    most: usize,
    /// So many wait for a connection of the pool.
    waiting: AtomicUsize,
}

/// Somebody who waits.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::SeqCst);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Debug)]
struct Kept {
    connection: PoolConnection<Postgres>,
    since: Instant,
}

impl Kept {
    fn is_young(&self) -> bool {
        self.since.elapsed() < LONGEST
    }
}

/// A connection for one statement or transaction. Dropped, it goes back to the pool.
pub(crate) struct Lent<'a> {
    from: &'a Connections,
    kept: Kept,
}

impl Connections {
    /// Keeps none yet.
    pub fn new(pool: PgPool) -> Self {
        let most = pool.options().get_max_connections() / 2;
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self { pool, kept: Mutex::default(), most, waiting: AtomicUsize::default() }
    }

    /// The first row that a query finds, if any.
    pub async fn fetch_optional<'q>(
        &self,
        query: impl Fn() -> Query<'q, Postgres, PgArguments>,
    ) -> Result<Option<PgRow>, StoreError> {
        Ok(self.fetch_all(query).await?.into_iter().next())
    }

    /// The rows that a query finds.
    ///
    /// The server may have ended connections while nobody looked: a query that fails by that is sent once more, over a
    /// connection that was looked at. So it may only read.
    pub async fn fetch_all<'q>(
        &self,
        query: impl Fn() -> Query<'q, Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, StoreError> {
        match self.fetch_once(query()).await {
            Err(error) if error.is_connection_lost() || error.is_absence() => {
                tracing::debug!(%error, "a read is sent once more");
                self.look_at_all();
                self.fetch_once(query()).await
            }
            fetched => fetched,
        }
    }

    async fn fetch_once(&self, query: Query<'_, Postgres, PgArguments>) -> Result<Vec<PgRow>, StoreError> {
        let mut lent = self.lend().await?;
        let rows = query.fetch_all(lent.connection()).await?;
        lent.done();
        Ok(rows)
    }

    /// A connection: one that is kept, or one of the pool.
    pub async fn lend(&self) -> Result<Lent<'_>, StoreError> {
        let kept = match self.young() {
            Some(kept) => kept,
            None => Kept { connection: self.acquire().await?, since: Instant::now() },
        };
        Ok(Lent { from: self, kept })
    }

    /// A connection that is kept. Those that nobody wanted for a while go back to the pool.
    fn young(&self) -> Option<Kept> {
        let mut kept = self.kept();
        std::iter::from_fn(|| kept.pop()).find(Kept::is_young)
    }

    /// A connection of the pool. Nothing is kept from one who waits for it.
    pub async fn acquire(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        if let Some(connection) = self.pool.try_acquire() {
            return Ok(connection);
        }
        let _waiting = Waiting::begin(&self.waiting);
        // From now on those that are done go back to the pool; one that was kept a moment ago does as well.
        if self.pool.size() >= self.pool.options().get_max_connections() {
            drop(self.kept().pop());
        }
        Ok(self.pool.acquire().await?)
    }

    /// Gives back all that nobody uses, kept or not: the pool looks at each and drops those that are dead.
    pub fn look_at_all(&self) {
        let idle: Vec<_> = std::iter::from_fn(|| self.pool.try_acquire()).collect();
        drop(idle);
        self.kept().clear();
    }

    /// Gives back what is kept, and closes the pool.
    pub async fn close(&self) {
        self.kept().clear();
        self.pool.close().await;
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        // A panic while the lock is held leaves a list that is whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Connections {
    /// There may be no runtime any more in which a connection could go back to the pool.
    fn drop(&mut self) {
        for kept in self.kept().drain(..) {
            drop(kept.connection.detach());
        }
    }
}

impl Lent<'_> {
    /// The connection.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.kept.connection
    }

    /// The work is done: the next caller may have the connection.
    pub fn done(self) {
        let Self { from, kept } = self;
        let mut all = from.kept();
        let is_wanted = from.waiting.load(Ordering::SeqCst) > 0;
        if kept.is_young() && all.len() < from.most && !is_wanted && !from.pool.is_closed() {
            all.push(kept);
        }
    }
}
