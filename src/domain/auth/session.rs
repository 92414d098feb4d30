//! A session: one sign-in and the tokens that it gives.

use uuid::Uuid;

use crate::domain::ids::{ClientId, Sub};
use crate::domain::time::Timestamp;

/// A session: one sign-in and its refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id: the `event_id` of its tokens.
    pub event_id: Uuid,
    /// Whose.
    pub sub: Sub,
    /// Through which client.
    pub client_id: ClientId,
    /// The user's generation when it began.
    pub token_generation: i64,
    /// When it began.
    pub auth_time: Timestamp,
    /// When its refresh token ends.
    pub expires_at: Timestamp,
    /// Which of its refresh tokens counts.
    pub refresh_counter: i32,
    /// Since when the one before does not.
    pub replaced_at: Option<Timestamp>,
}
