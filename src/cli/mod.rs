//! The command line of `userpool`.

pub mod call;
pub mod config;
pub mod database;
pub mod dev;
pub mod keys;
pub mod log;
pub mod messages;
pub mod migrate;
pub mod relay;
pub mod serve;
pub mod server;
pub mod service_account;
pub mod shutdown;
pub mod telemetry;
pub mod trigger_bridge;
pub mod waiting;

use clap::{Parser, Subcommand};

/// A self-hosted user directory with the Amazon Cognito user-pools API.
#[derive(Debug, Parser)]
#[command(name = "userpool", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts everything on this machine for development, with its own database and broker.
    Dev(Box<dev::DevArguments>),
    /// Serves in production, with your database and brokers.
    Serve(Box<config::ConfigArguments>),
    /// Checks the configuration of a server.
    Config(config::command::ConfigCommand),
    /// Generates keys for the file of master keys.
    Keys(keys::KeysArguments),
    /// Updates the schema of a database to this release's version.
    Migrate(database::DatabaseArguments),
    /// Allows what servers of the release before can't read, after all of them were replaced.
    FinishUpgrade(database::DatabaseArguments),
    /// Reads and checks the event log.
    Log(log::LogArguments),
    /// Lists messages that were not delivered, and tries them again.
    Messages(messages::MessagesArguments),
    /// Lists events that can't be published to Kafka, and tries them again.
    Relay(relay::RelayArguments),
    /// Creates, lists and revokes the callers of developer operations, and binds certificates to them.
    ServiceAccount(service_account::ServiceAccountArguments),
    /// Calls functions over HTTP for the triggers of pools, as Lambda's API is called.
    TriggerBridge(Box<trigger_bridge::TriggerBridgeArguments>),
    /// Calls an operation by its name.
    Call(call::CallArguments),
}

/// Runs a command. The text of an error is one sentence for the person at the terminal.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Dev(arguments) => dev::run(*arguments).await,
        Command::Serve(arguments) => serve::run(*arguments).await,
        Command::Config(command) => config::command::run(command),
        Command::Keys(arguments) => {
            keys::run(arguments);
            Ok(())
        }
        Command::Migrate(arguments) => migrate::run(arguments).await,
        Command::FinishUpgrade(arguments) => migrate::finish(arguments).await,
        Command::Log(arguments) => log::run(arguments).await,
        Command::Messages(arguments) => messages::run(arguments).await,
        Command::Relay(arguments) => relay::run(arguments).await,
        Command::ServiceAccount(arguments) => service_account::run(arguments).await,
        Command::TriggerBridge(arguments) => trigger_bridge::run(*arguments).await,
        Command::Call(arguments) => call::run(arguments).await,
    }
}
