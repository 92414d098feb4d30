//! The errors of the store.

use sqlx::postgres::{PgDatabaseError, PgSeverity};
use std::time::Duration;

use crate::domain::error::Error;
use crate::domain::ids::{ClientId, UserPoolId};
use crate::domain::rate::{Limited, RateKind};
use crate::domain::user::codes;
use crate::proto::UnreadableEvent;
use crate::store::history::HistoryError;
use crate::store::models::{self, Counted};
use crate::store::seal::Unsealable;

/// Why an attempt at an operation ended without an answer.
#[derive(Debug)]
pub enum Failure {
    /// The answer is a refusal.
    Refused(Error),
    /// The store failed, or another commit was first.
    Store(StoreError),
    /// What was prepared for the attempt depends on something that has changed since.
    Outdated,
}

impl Failure {
    /// The same failure, with another error if it is a refusal.
    pub fn map_refusal(self, change: impl FnOnce(Error) -> Error) -> Self {
        match self {
            Self::Refused(error) => Self::Refused(change(error)),
            failure => failure,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(_) => Self::Refused(error.into()),
            error => Self::Store(error),
        }
    }
}

/// The requested object does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum NotFound {
    #[error("there is no pool {0}")]
    Pool(UserPoolId),
    /// The client, or its pool if the request named only the client.
    #[error("there is no client {0}")]
    Client(ClientId),
}

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum StoreError {
    /// The requested object does not exist. Unless a use case chooses another exception, it is
    /// ResourceNotFoundException.
    #[error(transparent)]
    NotFound(#[from] NotFound),
    /// Another commit changed what the decision was made from: read again.
    #[error("the decision was made from a version that is no longer current")]
    Stale,
    /// A unique name or id is taken: read again, and the rules will name the conflict.
    #[error("a claim is taken ({constraint})")]
    Claimed { constraint: String },
    /// The same caller has already run a command with this idempotency key.
    #[error("another call with the same idempotency key has run the command")]
    Answered,
    /// An hourly limit by address, network or user is reached.
    #[error("a limit is reached ({kind})")]
    Limited {
        kind: String,
        /// When one more will be allowed, as far as that is known.
        wait: Option<Duration>,
    },
    /// The pool has the most objects of this kind that it may have.
    #[error("the pool has the most {0:?} that it may have")]
    Full(Counted),
    /// A challenge token was used before.
    #[error("a challenge token was spent before")]
    Spent,
    /// The code of an authenticator app was used before.
    #[error("a code of an authenticator app was used before")]
    CodeUsed,
    /// The counter of a passkey has not gone up.
    #[error("the counter of a passkey has not gone up")]
    PasskeyCopied,
    /// An event is larger than allowed.
    #[error("a {kind} of {bytes} bytes is larger than any event may be")]
    EventTooLarge {
        kind: &'static str,
        /// The size as JSON.
        bytes: usize,
        /// The most bytes that an event may have.
        most: usize,
    },
    /// Servers of the release before can't read an event, and the upgrade to this release is not finished.
    #[error("a {kind} of level {needed} can't be written: the database allows events up to {level}")]
    UpgradeUnfinished { kind: &'static str, needed: i32, level: i32 },
    /// Postgres refused, or is unavailable.
    #[error("the database: {0}")]
    Database(sqlx::Error),
    /// There is no connection to be had, so nothing was sent to the database.
    #[error("no connection to the database: {0}")]
    NoConnection(sqlx::Error),
    #[error("a migration: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A sealed value can't be opened.
    #[error(transparent)]
    Unsealable(#[from] Unsealable),
    /// The log has an event of a later release.
    #[error("the log: {0}")]
    Unreadable(#[from] UnreadableEvent),
    /// A row does not contain what this release writes.
    #[error("a row of {table} can't be read: {source}")]
    Row { table: &'static str, source: serde_json::Error },
    #[error("a value can't be written: {0}")]
    Unwritable(serde_json::Error),
    /// The task that ran the commit panicked or was cancelled.
    #[error("a commit ended without an answer: {0}")]
    Lost(#[from] tokio::task::JoinError),
}

/// What a database error means for the caller of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// Another transaction was first: read again and decide anew.
    Collision,
    /// The database is not reachable, or not ready yet.
    Absent,
    /// The connection is unusable; another one may work.
    Broken,
    /// The database can't do this at the moment. The connection is as good as before.
    Busy,
    /// The database refuses the login.
    Closed,
    /// A fault of ours, or a permanent one of the database.
    Fault,
}

/// The meaning of an SQLSTATE, by its beginning: the longest match counts. Everything that depends on an SQLSTATE
/// follows from this table. Values are checked before they reach the database, so it never refuses a value as such:
/// class 22 is our own fault.
const MEANINGS: &[(&str, Meaning)] = &[
    ("", Meaning::Fault),
    // Connections that can't be made, or that broke.
    ("08", Meaning::Absent),
    // The server does not understand us any more.
    ("08P01", Meaning::Broken),
    // Among our statements, only one whose plan is out of date after a migration.
    ("0A000", Meaning::Broken),
    // A transaction in another state than the connection should be in: read only, failed, or ended for its idleness. A
    // server that became a standby answers so for as long as the connection is used.
    ("25", Meaning::Broken),
    // A prepared statement or a portal is unknown to the server: a proxy between us shares connections.
    ("26", Meaning::Broken),
    ("34", Meaning::Broken),
    ("42P05", Meaning::Broken),
    ("28", Meaning::Closed),
    ("3D", Meaning::Closed),
    // Serialization failures and deadlocks.
    ("40", Meaning::Collision),
    // It is unknown whether the statement was executed.
    ("40003", Meaning::Broken),
    // No disk space or no memory.
    ("53", Meaning::Busy),
    ("53300", Meaning::Absent),
    // A lock that was not available in time, and objects in use.
    ("55P03", Meaning::Busy),
    ("55006", Meaning::Busy),
    // A statement that took too long.
    ("57", Meaning::Busy),
    // The server shuts down, crashed, starts, or ended the session.
    ("57P", Meaning::Absent),
    ("57P04", Meaning::Closed),
    // The server's files and disks.
    ("58", Meaning::Busy),
    // Our own code: a version is not the one that was read.
    ("UP001", Meaning::Collision),
];

fn meaning(code: &str) -> Meaning {
    let fitting = MEANINGS.iter().filter(|(beginning, _)| code.starts_with(beginning));
    // Every code begins with the empty text.
    fitting.max_by_key(|(beginning, _)| beginning.len()).map_or(Meaning::Fault, |(_, meaning)| *meaning)
}

impl Meaning {
    fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => {
                let meaning = error.code().as_deref().map_or(Self::Fault, meaning);
                let severity = error.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::severity);
                match (meaning, severity) {
                    // Whatever the error was, the connection has ended.
                    (Self::Fault | Self::Busy, Some(PgSeverity::Fatal | PgSeverity::Panic)) => Self::Broken,
                    (meaning, _) => meaning,
                }
            }
            sqlx::Error::Io(_) => Self::Absent,
            // If the driver did not understand an answer, the next answer may belong to this request.
            sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::BeginFailed => Self::Broken,
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => Self::Busy,
            _ => Self::Fault,
        }
    }
}

/// Whether a connection is unusable after an error, which also means that the outcome is unknown.
pub(super) fn ends_connection(error: &sqlx::Error) -> bool {
    matches!(Meaning::of(error), Meaning::Absent | Meaning::Broken)
}

impl StoreError {
    fn meaning(&self) -> Meaning {
        match self {
            Self::Stale | Self::Claimed { .. } => Meaning::Collision,
            Self::Database(error) | Self::NoConnection(error) => Meaning::of(error),
            _ => Meaning::Fault,
        }
    }

    /// Whether reading again and deciding anew can help.
    pub fn is_collision(&self) -> bool {
        self.meaning() == Meaning::Collision
    }

    /// The same error with the time to wait, if it is one of these limits: after that time one more is allowed.
    pub(crate) fn with_wait<'a>(self, limits: impl IntoIterator<Item = &'a Limited>) -> Self {
        let Self::Limited { kind, .. } = self else { return self };
        let limited = limits.into_iter().find(|limited| limited.kind.name() == kind);
        Self::Limited { kind, wait: limited.map(|limited| limited.rate.share()) }
    }

    /// Whether this limit is reached.
    pub fn is_limit(&self, of: RateKind) -> bool {
        matches!(self, Self::Limited { kind, .. } if kind == of.name())
    }

    /// Whether the database is not reachable or not ready yet, so that waiting can help.
    pub fn is_absence(&self) -> bool {
        self.meaning() == Meaning::Absent
    }

    /// Whether the connection broke, so that the outcome is unknown and the connection unusable.
    pub fn is_connection_lost(&self) -> bool {
        matches!(self, Self::Database(error) if ends_connection(error))
    }

    /// Whether the same request can succeed later or over another connection.
    pub fn is_unavailable(&self) -> bool {
        matches!(self.meaning(), Meaning::Absent | Meaning::Broken | Meaning::Busy | Meaning::Closed)
    }
}

impl From<HistoryError> for StoreError {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Unsealable(error) => Self::Unsealable(error),
            HistoryError::Event(error) => Self::Unreadable(error),
            HistoryError::Payload(source) => Self::Row { table: "log", source },
            HistoryError::State(error) => Self::Unwritable(error),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let Some(database) = error.as_database_error() else { return Self::Database(error) };
        match (database.code().as_deref(), database.constraint()) {
            (Some("UP003"), Some(what)) => Counted::by_name(what).map_or(Self::Database(error), Self::Full),
            (Some("UP004"), kind) => Self::Limited { kind: kind.unwrap_or_default().to_owned(), wait: None },
            (Some("23505"), Some("log_pkey")) => Self::Stale,
            (Some("23505"), Some("used_nonces_pkey")) => Self::Spent,
            (Some("23505"), Some(constraint)) if models::is_claim(constraint) => {
                Self::Claimed { constraint: constraint.to_owned() }
            }
            _ if Meaning::of(&error) == Meaning::Collision => Self::Stale,
            _ => Self::Database(error),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NotFound(NotFound::Pool(id)) => Self::no_such_pool(id),
            StoreError::NotFound(NotFound::Client(id)) => Self::no_such_client(id),
            StoreError::Answered => Self::too_many_requests(),
            StoreError::Full(counted) => counted.refusal(),
            StoreError::Spent => Self::used_session(),
            StoreError::CodeUsed => codes::expired(),
            // The use case records it first.
            StoreError::PasskeyCopied => Self::unverified_passkey(),
            StoreError::Limited { kind, wait } => {
                let limit = RateKind::by_name(kind).map(RateKind::name);
                Self { retry_after: *wait, limit, ..Self::limit_exceeded() }
            }
            StoreError::EventTooLarge { most, .. } => Self::invalid_parameter(format!(
                "The change is too large: what is recorded of it has more than {most} bytes."
            )),
            StoreError::UpgradeUnfinished { .. } => Self::upgrade_unfinished(),
            _ if error.is_collision() => Self::too_many_requests(),
            _ if error.is_unavailable() => Self::unavailable(error),
            _ => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::error::Error as StdError;

    use sqlx::error::{DatabaseError, ErrorKind};

    use super::*;
    use crate::domain::error::Exception;

    /// An error with a code, as Postgres reports it.
    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Reported(&'static str);

    impl DatabaseError for Reported {
        fn message(&self) -> &str {
            self.0
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.0.into())
        }

        fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    fn reported(code: &'static str) -> sqlx::Error {
        sqlx::Error::Database(Box::new(Reported(code)))
    }

    /// The exception for a code, whether the connection is unusable, and whether waiting can help.
    fn told(code: &'static str) -> (Exception, bool, bool) {
        let error = StoreError::from(reported(code));
        let (lost, absent) = (error.is_connection_lost(), error.is_absence());
        (Error::from(error).exception, lost, absent)
    }

    /// Every class of SQLSTATEs in Postgres, with the codes that mean something else than their class.
    #[test]
    fn every_class_of_errors_has_a_meaning() {
        use Exception::{InternalErrorException, ServiceUnavailableException, TooManyRequestsException};
        let (collision, fault) = ((TooManyRequestsException, false, false), (InternalErrorException, false, false));
        let busy = (ServiceUnavailableException, false, false);
        let broken = (ServiceUnavailableException, true, false);
        let absent = (ServiceUnavailableException, true, true);
        for (expected, codes) in [
            (collision, &["40000", "40001", "40002", "40P01", "UP001"][..]),
            (
                absent,
                &["08000", "08001", "08003", "08004", "08006", "08007", "53300", "57P01", "57P02", "57P03", "57P05"],
            ),
            (
                broken,
                &[
                    "08P01", "0A000", "25000", "25001", "25006", "25007", "25P01", "25P02", "25P03", "25P04", "26000",
                    "34000", "40003", "42P05",
                ],
            ),
            (
                busy,
                &["53000", "53100", "53200", "53400", "55006", "55P03", "57000", "57014", "58000", "58030", "58P01"],
            ),
            (busy, &["28000", "28P01", "3D000", "57P04"]),
            (
                fault,
                &[
                    "00000", "01000", "02000", "03000", "09000", "0B000", "0F000", "0L000", "0P000", "0Z000", "10608",
                    "20000", "21000", "22000", "22003", "22021", "22P05", "23000", "23502", "23503", "23505", "23514",
                    "24000", "27000", "2B000", "2D000", "2F000", "38000", "39000", "3B000", "3F000", "42000", "42501",
                    "42601", "42703", "42P01", "44000", "54000", "54001", "55000", "55P02", "55P04", "72000", "F0000",
                    "HV000", "P0001", "XX000", "XX001", "", "?????",
                ],
            ),
        ] {
            for code in codes {
                assert_eq!(told(code), expected, "{code}");
            }
        }
    }

    #[test]
    fn the_longest_beginning_counts_and_each_is_listed_once() {
        for (index, (beginning, told)) in MEANINGS.iter().enumerate() {
            assert_eq!(meaning(beginning), *told, "{beginning}");
            assert!(MEANINGS[..index].iter().all(|(other, _)| other != beginning), "{beginning}");
        }
    }

    #[test]
    fn an_answer_that_the_driver_does_not_understand_ends_the_connection() {
        for error in [
            sqlx::Error::Protocol("execute: unexpected message: NotificationResponse".to_owned()),
            sqlx::Error::BeginFailed,
            sqlx::Error::Tls("no".into()),
            sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()),
        ] {
            let error = StoreError::from(error);
            assert!(error.is_connection_lost(), "{error}");
            assert_eq!(Error::from(error).exception, Exception::ServiceUnavailableException);
        }
    }

    #[test]
    fn without_a_connection_nothing_happened() {
        for error in [sqlx::Error::PoolTimedOut, reported("57P03"), reported("28P01")] {
            let error = StoreError::NoConnection(error);
            assert!(!error.is_connection_lost(), "{error}");
            assert_eq!(Error::from(error).exception, Exception::ServiceUnavailableException);
        }
        assert!(StoreError::NoConnection(reported("57P03")).is_absence());
        assert!(!StoreError::NoConnection(reported("28P01")).is_absence(), "no waiting helps");
    }
}
