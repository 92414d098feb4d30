//! The questions of one call of an operation: each is asked once, however often the operation is decided again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::trigger::Source;
use crate::triggers::Unanswered;

/// What became of a question.
type Outcome = Result<Arc<[u8]>, Unanswered>;

/// The replies to one call. Clones share them. Debug shows none of them.
#[derive(Clone, Default)]
pub struct Asked(Arc<Mutex<HashMap<Source, Outcome>>>);

impl Asked {
    /// The reply to the call's question from this source: asked now, unless it was asked before.
    pub async fn once(
        &self,
        source: Source,
        ask: impl Future<Output = Result<Vec<u8>, Unanswered>>,
    ) -> Result<Arc<[u8]>, Unanswered> {
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&source) {
            return known.clone();
        }
        let outcome: Outcome = ask.await.map(Arc::from);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(source, outcome.clone());
        outcome
    }
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Asked")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::trigger::pre_sign_up::{ADMIN_CREATE_USER, SIGN_UP};

    #[tokio::test]
    async fn a_call_asks_each_question_once() {
        let asked = Asked::default();
        let silent = async { Err(Unanswered::Silence) };
        assert_eq!(asked.once(SIGN_UP, async { Ok(b"yes".to_vec()) }).await.as_deref(), Ok(&b"yes"[..]));
        assert_eq!(asked.clone().once(SIGN_UP, silent).await.as_deref(), Ok(&b"yes"[..]));
        let silent = async { Err(Unanswered::Silence) };
        assert_eq!(asked.once(ADMIN_CREATE_USER, silent).await, Err(Unanswered::Silence));
        let again = async { Ok(b"yes".to_vec()) };
        assert_eq!(asked.once(ADMIN_CREATE_USER, again).await, Err(Unanswered::Silence));
    }
}
