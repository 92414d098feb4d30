//! What can go wrong in the store.

use crate::domain::auth::challenge::invalid_session;
use crate::domain::error::Error;
use crate::proto::UnreadableEvent;
use crate::store::event_size::LARGEST_EVENT;
use crate::store::seal::Unsealable;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else changed what the decision was made from: read again.
    #[error("the decision was made from a version that is no longer current")]
    Stale,
    /// A name or an id that is to be unique is taken: read again, the rules will say by what.
    #[error("a claim is taken ({constraint})")]
    Claimed {
        /// The constraint.
        constraint: String,
    },
    /// The same command of the same caller has an answer: it was done.
    #[error("the command was done by another call of the same name")]
    Answered,
    /// What can be used once was used before.
    #[error("a challenge token was spent before")]
    Spent,
    /// What would be written is larger than any event may be.
    #[error("a {kind} of {bytes} bytes is larger than any event may be")]
    EventTooLarge {
        /// Its type.
        kind: &'static str,
        /// Its size as JSON.
        bytes: usize,
    },
    /// Postgres refused or is away.
    #[error("the database: {0}")]
    Database(sqlx::Error),
    /// A migration failed.
    #[error("a migration: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A blob can't be opened.
    #[error(transparent)]
    Unsealable(#[from] Unsealable),
    /// An event of a later release.
    #[error("the log: {0}")]
    Unreadable(#[from] UnreadableEvent),
    /// A row does not hold what this release writes.
    #[error("a row of {table} can't be read: {source}")]
    Row {
        /// Which table.
        table: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// A value can't be written as JSON.
    #[error("a value can't be written: {0}")]
    Unwritable(serde_json::Error),
    /// The task that ran the commit ended in an unexpected way.
    #[error("a commit ended without an answer: {0}")]
    Lost(#[from] tokio::task::JoinError),
}

impl StoreError {
    /// Whether reading again and deciding anew can help.
    pub fn is_collision(&self) -> bool {
        matches!(self, Self::Stale | Self::Claimed { .. })
    }

    /// Whether there is no database to talk to, or not yet: waiting can help.
    pub fn is_absence(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Io(_)) => true,
            // It is starting or stopping, or has no connection left.
            Self::Database(sqlx::Error::Database(error)) => {
                matches!(error.code().as_deref(), Some("57P01" | "57P02" | "57P03" | "53300"))
            }
            _ => false,
        }
    }

    /// Whether the connection broke, so that it is not known what the database did.
    pub fn is_connection_lost(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_)))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let Some(database) = error.as_database_error() else { return Self::Database(error) };
        let code = database.code();
        match (code.as_deref(), database.constraint()) {
            (Some("40001" | "40P01" | "UP001"), _) | (Some("23505"), Some("log_pkey" | "attempts_pkey")) => Self::Stale,
            (Some("23505"), Some(constraint @ ("names_pkey" | "group_names_pkey" | "client_directory_pkey"))) => {
                Self::Claimed { constraint: constraint.to_owned() }
            }
            _ => Self::Database(error),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Stale | StoreError::Claimed { .. } | StoreError::Answered => Self::too_many_requests(),
            StoreError::Spent => invalid_session(),
            StoreError::EventTooLarge { .. } => Self::invalid_parameter(format!(
                "The change is too large: what is recorded of it has more than {LARGEST_EVENT} bytes."
            )),
            StoreError::Database(
                sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Tls(_),
            ) => Self::unavailable(error),
            // 57P01 to 57P03: the server is shutting down or starting; 57014: a statement took too long.
            StoreError::Database(sqlx::Error::Database(database))
                if matches!(
                    database.code().as_deref(),
                    Some("57P01" | "57P02" | "57P03" | "57014" | "55P03" | "53300")
                ) =>
            {
                Self::unavailable(error)
            }
            _ => Self::internal(error),
        }
    }
}
