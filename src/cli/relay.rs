//! `userpool relay`: events that could not be published. Works on the database and needs no server.

use anyhow::bail;
use clap::{Args, Subcommand};

use crate::cli::database::DatabaseArguments;
use crate::cli::messages::shown;
use crate::kafka::relay;
use crate::store::parked::Parked;

/// What to do with the relay.
#[derive(Debug, Args)]
pub struct RelayArguments {
    #[command(flatten)]
    database: DatabaseArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists events that could not be published, and events that wait behind them under the same key, in order, with
    /// the reason.
    Parked {
        /// Lists only events with this key, `<user pool id>/<owner>`.
        #[arg(long)]
        key: Option<String>,
        /// Most events to list.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..))]
        limit: i64,
    },
    /// Marks events to be tried again in order, after their cause was fixed. The server that relays tries them.
    #[command(group(clap::ArgGroup::new("which").required(true)))]
    Retry {
        /// Tries only events with this key, `<user pool id>/<owner>`.
        #[arg(long, group = "which")]
        key: Option<String>,
        /// Tries the events of all keys.
        #[arg(long, group = "which")]
        all: bool,
    },
    /// Forgets what was published and what is parked, for when events are no longer to go to Kafka: then no deletion
    /// waits for the relay. A relay that starts later publishes both logs from their start.
    Forget,
}

/// Runs the chosen subcommand.
pub async fn run(arguments: RelayArguments) -> anyhow::Result<()> {
    let store = arguments.database.store_without_keys().await?;
    match arguments.command {
        Command::Parked { key, limit } => {
            for event in store.list_parked(key.as_deref(), limit).await? {
                println!("{}", line(&event));
            }
        }
        Command::Retry { key, all: _ } => {
            let marked = store.retry_parked(key.as_deref()).await?;
            if let Some(key) = key.filter(|_| marked == 0) {
                bail!("nothing is parked under the key {key}");
            }
            println!("{marked} to be tried again.");
        }
        Command::Forget => {
            if !relay::forget(&store).await? {
                bail!("a server relays: take its Kafka brokers away first");
            }
            println!("Nothing waits for the relay any more.");
        }
    }
    Ok(())
}

fn line(event: &Parked) -> String {
    let Parked { event_id, log, key, kind, .. } = event;
    let (at, since) = (shown(event.at), shown(event.parked_at));
    let again = if event.retry { ", to be tried again" } else { "" };
    let why = event.why.as_deref().unwrap_or("it follows another of its key");
    format!("{event_id}  {log}  {key}  {kind}  {at}  parked {since}{again}: {why}")
}
