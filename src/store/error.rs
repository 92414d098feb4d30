//! What can go wrong in the store.

use std::time::Duration;

use crate::domain::auth::challenge::invalid_session;
use crate::domain::error::Error;
use crate::domain::rate::{Limited, RateKind};
use crate::proto::UnreadableEvent;
use crate::store::commit::Counted;
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
    /// What is limited by an address or a network has happened too often lately.
    #[error("a limit is reached ({kind})")]
    Limited {
        /// What.
        kind: String,
        /// After how long there may be one more, as far as that is known.
        wait: Option<Duration>,
    },
    /// There may be no more of this.
    #[error("the pool has as many {0:?} as it may have")]
    Full(Counted),
    /// What an event would publish is more than brokers take.
    #[error("an event is too large to be published")]
    TooLarge,
    /// What can be used once was used before.
    #[error("a challenge token was spent before")]
    Spent,
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

    /// The same with the time to wait, where it is one of these limits: that in which one more is allowed.
    pub(crate) fn with_wait<'a>(self, limits: impl IntoIterator<Item = &'a Limited>) -> Self {
        let Self::Limited { kind, .. } = self else { return self };
        let limited = limits.into_iter().find(|limited| limited.kind.name() == kind);
        Self::Limited { kind, wait: limited.map(|limited| limited.rate.share()) }
    }

    /// Whether this limit is reached.
    pub fn is_limit(&self, of: RateKind) -> bool {
        matches!(self, Self::Limited { kind, .. } if kind == of.name())
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
            (Some("40001" | "40P01" | "UP001"), _) | (Some("23505"), Some("log_pkey" | "sign_in_failures_pkey")) => {
                Self::Stale
            }
            (Some("UP003"), Some(what)) => Counted::by_name(what).map_or(Self::Database(error), Self::Full),
            (Some("UP004"), kind) => Self::Limited { kind: kind.unwrap_or_default().to_owned(), wait: None },
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
            StoreError::Full(counted) => counted.refusal(),
            StoreError::Spent => invalid_session(),
            StoreError::Limited { wait, .. } => Self { retry_after: *wait, ..Self::limit_exceeded() },
            StoreError::TooLarge => {
                Self::invalid_parameter("The texts of the request are together too long to be kept.")
            }
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
