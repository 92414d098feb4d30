//! `userpool config`: checks a configuration without starting anything.

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
    /// Says whether `serve` accepts a configuration, and lists all problems. It connects to nothing.
    Check(Box<ConfigArguments>),
}

/// Checks the configuration and prints what is wrong.
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
