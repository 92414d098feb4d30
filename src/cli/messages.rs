//! `userpool messages`: messages that wait in the outbox or were given up. Works on the database and needs no server.

use anyhow::bail;
use clap::{Args, Subcommand};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::cli::database::DatabaseArguments;
use crate::domain::time::Timestamp;
use crate::environment::Clock;
use crate::store::outbox::{Selection, Waiting};

/// What to do with messages.
#[derive(Debug, Args)]
pub struct MessagesArguments {
    #[command(flatten)]
    database: DatabaseArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists messages that wait or were given up, the oldest first, with the reason of the last failure.
    List {
        /// Lists only messages of this pool.
        #[arg(long)]
        pool: Option<String>,
        /// Lists only messages that were given up.
        #[arg(long)]
        dead: bool,
        /// Most messages to list.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..))]
        limit: i64,
    },
    /// Tries messages again that were given up, after their cause was fixed.
    Retry {
        /// The message to try again; without an id, all of them.
        id: Option<Uuid>,
        /// Tries only messages of this pool.
        #[arg(long)]
        pool: Option<String>,
    },
}

/// Runs the chosen subcommand.
pub async fn run(arguments: MessagesArguments) -> anyhow::Result<()> {
    let store = arguments.database.store_without_keys().await?;
    match arguments.command {
        Command::List { pool, dead, limit } => {
            let which = Selection { user_pool_id: pool.as_deref(), id: None, dead };
            for message in store.list_messages(which, limit).await? {
                println!("{}", line(&message));
            }
        }
        Command::Retry { id, pool } => {
            let which = Selection { user_pool_id: pool.as_deref(), id, dead: true };
            let retried = store.retry_messages(which, Clock.now()).await?;
            if let Some(id) = id.filter(|_| retried == 0) {
                bail!("there is no message {id} that was given up");
            }
            println!("{retried} to be tried again.");
        }
    }
    Ok(())
}

fn line(message: &Waiting) -> String {
    let state = match message.dead {
        true => "given up".to_owned(),
        false => format!("next at {}", shown(message.next_at)),
    };
    let medium = message.medium.as_deref().unwrap_or("-");
    let reason = message.reason.as_deref().unwrap_or("not tried yet");
    let Waiting { id, user_pool_id, owner, attempts, .. } = message;
    format!("{id}  {user_pool_id}  users/{owner}  {medium:5}  {state}  after {attempts} attempts: {reason}")
}

/// A time in RFC 3339, for people.
pub(super) fn shown(at: Timestamp) -> String {
    let at = OffsetDateTime::from_unix_timestamp(at.seconds()).ok();
    at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}
