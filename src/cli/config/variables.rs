//! Variables that look like settings but aren't: otherwise a typing error would be noticed only in production.

use std::collections::BTreeSet;

use clap::CommandFactory;

use crate::cli::Cli;

const PREFIX: &str = "USERPOOL_";
/// Variables that Kubernetes sets in every container for a service with the name `userpool`.
const OF_KUBERNETES: [&str; 2] = ["USERPOOL_SERVICE_", "USERPOOL_PORT"];

/// Variables of this process with our prefix that no command knows.
pub fn unknown_variables() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    unknown(names, &known_variables(&Cli::command()))
}

fn unknown(names: impl Iterator<Item = String>, known: &BTreeSet<String>) -> Vec<String> {
    let ours = |name: &String| name.starts_with(PREFIX) && !OF_KUBERNETES.iter().any(|other| name.starts_with(other));
    names.filter(ours).filter(|name| !known.contains(name)).collect()
}

fn known_variables(command: &clap::Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(|argument| Some(argument.get_env()?.to_str()?.to_owned()));
    own.chain(command.get_subcommands().flat_map(known_variables)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_variable_is_named() {
        let names = ["USERPOOL_PUBLIC_ULR", "USERPOOL_PUBLIC_URL", "USERPOOL_TOKEN", "USERPOOL_PORT_80_TCP", "PATH"];
        let names = names.into_iter().map(str::to_owned);
        assert_eq!(unknown(names, &known_variables(&Cli::command())), ["USERPOOL_PUBLIC_ULR"]);
    }
}
