//! The replies that are waited for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::telemetry::metrics;

/// Who waits for which reply, by correlation id.
#[derive(Debug, Default)]
pub struct Inbox(Mutex<HashMap<String, oneshot::Sender<Vec<u8>>>>);

/// A reply that is waited for. Dropping it ends the waiting.
#[derive(Debug)]
pub struct Expected {
    inbox: Arc<Inbox>,
    correlation_id: String,
    reply: oneshot::Receiver<Vec<u8>>,
}

impl Inbox {
    /// Waits from now on for the reply to a question.
    pub fn expect(self: &Arc<Self>, correlation_id: &str) -> Expected {
        let (sender, reply) = oneshot::channel();
        self.waiting().insert(correlation_id.to_owned(), sender);
        Expected { inbox: self.clone(), correlation_id: correlation_id.to_owned(), reply }
    }

    /// Hands a reply to the one who waits for it. Any further reply under its id is dropped.
    pub fn deliver(&self, correlation_id: Option<&str>, reply: &[u8]) {
        let waiting = correlation_id.and_then(|id| self.waiting().remove(id));
        let delivered = waiting.is_some_and(|waiting| waiting.send(reply.to_vec()).is_ok());
        if !delivered {
            metrics::TRIGGER_REPLIES_DROPPED.add(1, []);
            tracing::debug!("a reply that nobody waits for is dropped");
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<String, oneshot::Sender<Vec<u8>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Expected {
    /// The reply. It comes at most once, so after it this waits for ever.
    pub async fn reply(&mut self) -> Vec<u8> {
        match (&mut self.reply).await {
            Ok(reply) => reply,
            // The sender is in the inbox for as long as this lives, so it was used.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.inbox.waiting().remove(&self.correlation_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reply_counts_and_others_are_dropped() {
        let inbox = Arc::new(Inbox::default());
        let mut one = inbox.expect("1");
        let other = inbox.expect("2");
        for (id, reply) in [(Some("3"), "foreign"), (None, "nobody's"), (Some("1"), "first"), (Some("1"), "second")] {
            inbox.deliver(id, reply.as_bytes());
        }
        assert_eq!(one.reply().await, b"first");
        drop(other);
        inbox.deliver(Some("2"), b"late");
        drop(one);
        assert!(inbox.waiting().is_empty());
    }
}
