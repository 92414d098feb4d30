//! Wakes the workers of this process, and through Postgres those of other processes, when there is work.
//!
//! No command sends a notification inside its transaction, which would make it much slower. Notifications are sent in
//! batches after commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::environment::Random;
use crate::store::Store;
use crate::store::connections::Database;

const CHANNEL: &str = "userpool";
const SHORTEST_GAP: Duration = Duration::from_millis(5);
const RECONNECT: Duration = Duration::from_secs(1);

/// The work that a commit leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// There are events to be published.
    Events,
    /// There are events to be published and messages to be delivered.
    Messages,
}

impl News {
    fn of(has_messages: bool) -> Self {
        if has_messages { Self::Messages } else { Self::Events }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Messages => "messages",
        }
    }
}

/// Wakes workers that wait for new rows.
#[derive(Clone, Debug)]
pub struct Wake {
    /// Distinguishes notifications of this process from those of others, because its own workers know already.
    process: Uuid,
    committed: Arc<Notify>,
    has_messages: Arc<AtomicBool>,
    events: Arc<Notify>,
    messages: Arc<Notify>,
    deliveries: Arc<Notify>,
}

impl Default for Wake {
    fn default() -> Self {
        Self {
            process: Random::default().uuid(),
            committed: Arc::default(),
            has_messages: Arc::default(),
            events: Arc::default(),
            messages: Arc::default(),
            deliveries: Arc::default(),
        }
    }
}

impl Wake {
    /// Reports a commit of this process.
    pub(crate) fn committed(&self, news: News) {
        if news == News::Messages {
            self.has_messages.store(true, Ordering::SeqCst);
        }
        self.committed.notify_one();
        self.wake(news);
    }

    fn wake(&self, news: News) {
        self.events.notify_waiters();
        if news == News::Messages {
            self.messages.notify_waiters();
        }
    }

    /// Waits until events are committed, here or in another process, or until the time is over. Commits count from this
    /// call on, not from the first poll: a caller who calls this and then looks for events misses none.
    pub fn wait_for_events(&self, longest: Duration) -> impl Future<Output = ()> + '_ {
        wait_for(&self.events, longest)
    }

    /// The same for messages.
    pub fn wait_for_messages(&self, longest: Duration) -> impl Future<Output = ()> + '_ {
        wait_for(&self.messages, longest)
    }

    /// Reports a delivery to the development mailbox.
    pub(super) fn delivered(&self) {
        self.deliveries.notify_waiters();
    }

    /// Waits until this process delivers to the development mailbox, or until the time is over. Deliveries count from
    /// this call on.
    pub fn wait_for_deliveries(&self, longest: Duration) -> impl Future<Output = ()> + '_ {
        wait_for(&self.deliveries, longest)
    }

    /// Tells other processes about commits here, at most once in five milliseconds, and wakes workers for theirs.
    pub async fn run(self, store: Store, stop: CancellationToken) {
        tokio::join!(self.keep_listening(store.database(), &stop), self.keep_telling(&store.database, &stop));
    }

    /// Listens on a connection that never belongs to the pool, because a listening connection receives messages that
    /// ordinary callers don't expect. A broken connection is not repaired but replaced.
    async fn keep_listening(&self, database: &PgPool, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let ended = stop.run_until_cancelled(self.listen(database)).await;
            if let Some(Err(error)) = ended {
                tracing::warn!(%error, "the connection by which other processes wake this one broke");
                let _ = tokio::time::timeout(RECONNECT, stop.cancelled()).await;
            }
        }
    }

    async fn listen(&self, database: &PgPool) -> sqlx::Result<()> {
        let options = PgPoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
        // The connection ends with its pool, which is dropped with the listener.
        let alone = options.connect_with((*database.connect_options()).clone()).await?;
        let mut listener = PgListener::connect_with(&alone).await?;
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        // Notifications of earlier commits elsewhere are lost.
        self.wake(News::Messages);
        while let Some(notification) = listener.try_recv().await? {
            if let Some(news) = self.of_others(notification.payload()) {
                self.wake(news);
            }
        }
        Err(sqlx::Error::Io(std::io::ErrorKind::ConnectionAborted.into()))
    }

    async fn keep_telling(&self, database: &Database, stop: &CancellationToken) {
        while stop.run_until_cancelled(self.committed.notified()).await.is_some() {
            let news = News::of(self.has_messages.swap(false, Ordering::SeqCst));
            let said = format!("{} {}", self.process, news.name());
            let told = sqlx::query("select pg_notify($1, $2)").bind(CHANNEL).bind(said).execute(database).await;
            if let Err(error) = told {
                // Workers elsewhere poll as well.
                tracing::debug!(%error, "other processes could not be told about commits");
            }
            tokio::time::sleep(SHORTEST_GAP).await;
        }
    }

    /// The news in a notification of another process. An unknown text of another release may mean anything.
    fn of_others(&self, said: &str) -> Option<News> {
        let Some((process, news)) = said.split_once(' ') else { return Some(News::Messages) };
        (process != self.process.to_string()).then(|| News::of(news != News::Events.name()))
    }
}

fn wait_for(news: &Notify, longest: Duration) -> impl Future<Output = ()> + '_ {
    // From here on it receives all notifications.
    let notified = news.notified();
    async move {
        let _ = tokio::time::timeout(longest, notified).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn news_before_a_waiter_is_polled_are_not_missed() {
        const LONG: Duration = Duration::from_secs(60);
        let (wake, began) = (Wake::default(), tokio::time::Instant::now());
        let (events, messages) = (wake.wait_for_events(LONG), wake.wait_for_messages(LONG));
        wake.committed(News::Messages);
        futures::future::join(events, messages).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        wake.wait_for_messages(LONG).await;
        assert_eq!(began.elapsed(), LONG, "they are heard once");
    }

    #[test]
    fn only_other_processes_are_news_and_unknown_texts_wake_all() {
        let wake = Wake::default();
        let other = Wake::default().process;
        for (said, news) in [
            (format!("{other} events"), Some(News::Events)),
            (format!("{other} messages"), Some(News::Messages)),
            (format!("{other} more"), Some(News::Messages)),
            (String::new(), Some(News::Messages)),
            (format!("{} messages", wake.process), None),
        ] {
            assert_eq!(wake.of_others(&said), news, "{said}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn events_do_not_wake_waiters_for_messages() {
        const LONG: Duration = Duration::from_secs(60);
        for (news, wakes_messages) in [(News::Events, false), (News::Messages, true)] {
            let wake = Wake::default();
            let began = tokio::time::Instant::now();
            let (events, messages) = (wake.wait_for_events(LONG), wake.wait_for_messages(LONG));
            let ends = futures::future::join(async { (events.await, began.elapsed()).1 }, async {
                (messages.await, began.elapsed()).1
            });
            let (events, messages) = {
                tokio::pin!(ends);
                assert!(futures::poll!(&mut ends).is_pending());
                wake.committed(news);
                ends.await
            };
            assert!(events < LONG);
            assert_eq!(messages < LONG, wakes_messages);
        }
    }
}
