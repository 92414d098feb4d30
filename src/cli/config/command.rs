//! `userpool config`: looks at a configuration without starting anything.

use clap::{Args, Subcommand};

use crate::cli::config::{ConfigArguments, unknown_variables};

/// What to do with a configuration.
#[derive(Debug, Args)]
pub struct ConfigCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Says whether `serve` would take a configuration, and all that is wrong with it. Nothing is connected to.
    Check(Box<ConfigArguments>),
}

/// Does it.
pub fn run(command: ConfigCommand) -> anyhow::Result<()> {
    match command.command {
        Command::Check(arguments) => {
            let config = arguments.server()?;
            for name in unknown_variables() {
                println!("{name} is set, but no setting has that name");
            }
            for caution in config.cautions {
                println!("{caution}");
            }
            println!("The configuration is complete and safe.");
            Ok(())
        }
    }
}
