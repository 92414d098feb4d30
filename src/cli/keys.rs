//! `userpool keys`: generates master keys.

use clap::{Args, Subcommand};

use crate::environment::Random;
use crate::store::keys::MasterKeys;

/// What to do with master keys.
#[derive(Debug, Args)]
pub struct KeysArguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints a line with a new key for the file of master keys.
    Generate {
        /// The key's name, which the file must not have yet.
        #[arg(long, value_parser = word)]
        id: String,
    },
}

fn word(id: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_word = !id.is_empty() && id.bytes().all(allowed);
    is_word.then(|| id.to_owned()).ok_or_else(|| "an id is made of letters, digits, `-`, `_` and `.`".to_owned())
}

/// Prints a new key.
pub fn run(arguments: KeysArguments) {
    match arguments.command {
        Command::Generate { id } => print!("{}", MasterKeys::generate_line(&id, &Random::default())),
    }
}
