//! `userpool log`: shows the history in readable form, and checks that log and read models agree.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cli::database::DatabaseArguments;
use crate::domain::ids::UserPoolId;
use crate::proto::EventType;
use crate::store::Store;
use crate::store::feed::{Cursor, FeedRow, Log};

const BATCH: i64 = 500;
/// A field longer than this is shown shortened.
const LONGEST_SHOWN: usize = 100;
const POLL: Duration = Duration::from_millis(200);

/// What to do with the log.
#[derive(Debug, Args)]
pub struct LogArguments {
    #[command(flatten)]
    database: DatabaseArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints events, oldest first: time, pool, stream, version, type, fields and actor.
    Tail {
        /// Keeps printing new events as they happen.
        #[arg(long, short)]
        follow: bool,
        /// Also shows activity, such as sign-ins.
        #[arg(long)]
        activity: bool,
        /// Shows only events of this pool.
        #[arg(long)]
        pool: Option<String>,
        /// Shows long fields in full.
        #[arg(long)]
        full: bool,
    },
    /// Replays the log and compares the result with the read models.
    Verify {
        /// Verifies only this pool.
        #[arg(long)]
        pool: Option<String>,
    },
    /// Computes the read models again from the log while servers run; only the swap at the end locks their tables.
    Rebuild,
    /// After a restore into another cluster: settles the contents of the log and begins a new epoch.
    NewEpoch,
}

/// Runs the chosen subcommand.
pub async fn run(arguments: LogArguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Tail { follow, activity, pool, full } => {
            let store = arguments.database.store_without_keys().await?;
            let longest = if full { usize::MAX } else { LONGEST_SHOWN };
            tail(&store, follow, activity, pool.as_deref(), longest).await
        }
        Command::Verify { pool } => verify(&arguments.database.store().await?, pool).await,
        Command::Rebuild => {
            let rebuilt = arguments.database.store().await?.rebuild().await?;
            println!(
                "The read models are computed anew from {} streams; {} went on meanwhile.",
                rebuilt.streams, rebuilt.caught_up
            );
            Ok(())
        }
        Command::NewEpoch => {
            let epoch = arguments.database.store_without_keys().await?.new_epoch().await?;
            println!("The log is in epoch {epoch}.");
            Ok(())
        }
    }
}

async fn verify(store: &Store, pool: Option<String>) -> anyhow::Result<()> {
    let report = store.verify(pool.map(UserPoolId::new).as_ref()).await?;
    for difference in &report.differences {
        println!("{difference}");
    }
    let counted = format!("{} events of {} streams", report.events, report.streams);
    if !report.differences.is_empty() {
        bail!("{} differences between log and read models in {counted}", report.differences.len());
    }
    println!("Log and read models agree: {counted}.");
    Ok(())
}

async fn tail(store: &Store, follow: bool, activity: bool, pool: Option<&str>, longest: usize) -> anyhow::Result<()> {
    let logs = if activity { &Log::ALL[..] } else { &Log::ALL[..1] };
    let mut cursors: Vec<_> = logs.iter().map(|log| (*log, Cursor::start())).collect();
    loop {
        let mut rows = Vec::new();
        for (log, cursor) in &mut cursors {
            let next = store.feed(*log, cursor, BATCH).await.context("the log can't be read")?;
            if let Some(last) = next.last() {
                *cursor = last.cursor.clone();
            }
            rows.extend(next);
        }
        rows.sort_by_key(|row| row.at);
        for row in rows.iter().filter(|row| pool.is_none_or(|pool| row.user_pool_id == pool)) {
            if writeln!(std::io::stdout(), "{}", line(row, longest)).is_err() {
                // The reader has gone, as `head` does.
                return Ok(());
            }
        }
        if rows.is_empty() && !follow {
            return Ok(());
        }
        if rows.is_empty() {
            tokio::time::sleep(POLL).await;
        }
    }
}

/// One event as a line of text, without its sealed fields.
fn line(row: &FeedRow, longest: usize) -> String {
    let at = OffsetDateTime::from_unix_timestamp(row.at.seconds())
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_default();
    let version = row.stream_version.map(|version| format!(" v{version}")).unwrap_or_default();
    let text = |pointer: &str| row.metadata.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (kind, id) = (text("/actor/kind"), text("/actor/id"));
    let actor = if id.is_empty() { kind.to_owned() } else { format!("{kind} {id}") };
    format!(
        "{at}  {}  {}{version}  {}  {}  by {actor} through {}",
        row.user_pool_id,
        row.stream_id,
        row.kind,
        shortened(public_payload(row), longest),
        text("/operation"),
    )
}

/// The payload on one line; a field that is too long is shown as `…`.
fn shortened(mut payload: Value, longest: usize) -> Value {
    for value in payload.as_object_mut().into_iter().flat_map(|members| members.values_mut()) {
        if value.to_string().len() > longest {
            *value = Value::from("…");
        }
    }
    payload
}

fn public_payload(row: &FeedRow) -> Value {
    let private = EventType::by_name(&row.kind).map_or(&[][..], |kind| kind.private);
    let mut payload = row.payload.clone();
    if let Some(members) = payload.as_object_mut() {
        members.retain(|name, _| name != "sealed" && !private.contains(&name.as_str()));
    }
    payload
}
