//! The binary: parses the command line and runs it.

use std::process::ExitCode;

use clap::Parser;
use userpool::cli::{self, Cli};

#[tokio::main]
async fn main() -> ExitCode {
    match cli::run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("userpool: {error:#}");
            ExitCode::FAILURE
        }
    }
}
