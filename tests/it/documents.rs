//! Pages that say what the code declares are made from it. `UPDATE_DOCUMENTS=1` writes them anew.

use std::fmt::Write;
use std::path::Path;

use clap::CommandFactory;
use userpool::api::operation::{COMMON_EXCEPTIONS, Operation};
use userpool::cli::Cli;
use userpool::cli::config::Settings;
use userpool::proto::userpool::v1::Authorization;

fn page(name: &str) -> (std::path::PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    (path, text)
}

fn who(authorization: Authorization) -> &'static str {
    match authorization {
        Authorization::Developer => "a service account",
        Authorization::Public => "anybody, through an app client",
        Authorization::AccessToken => "a user with an access token",
        Authorization::Session => "anybody in a challenge",
        Authorization::AccessTokenOrSession => "a user with an access token, or anybody in a challenge",
        Authorization::FeedbackToken => "whoever has a feedback token",
        Authorization::Unspecified => unreachable!("build.rs refuses an operation without authorization"),
    }
}

#[test]
fn the_table_of_operations_in_the_readme_is_what_is_built() {
    let mut table = String::from("| Service | Operation | Who may call | State |\n|---|---|---|---|\n");
    for operation in Operation::ALL {
        let info = operation.info();
        let state = if info.built { "built" } else { "not yet" };
        let _ = writeln!(table, "| {} | {} | {} | {state} |", info.service, info.name, who(info.authorization));
    }
    assert_part_is("README.md", "operations", &table);
}

#[test]
fn the_table_of_settings_is_what_serve_takes() {
    let mut table = String::from("| in the file | flag | variable | what |\n|---|---|---|---|\n");
    let command = Cli::command();
    let serve = command.find_subcommand("serve").expect("there is a command `serve`");
    let mut rows: Vec<_> = serve.get_arguments().filter_map(setting).collect();
    // Top level first, then section by section, as in a file.
    rows.sort_by_key(|row| row[0].split_once('.').map(|(section, _)| section.to_owned()));
    for [key, flag, variable, what] in rows {
        let _ = writeln!(table, "| `{key}` | `--{flag}` | `{variable}` | {what} |");
    }
    assert_part_is("docs/running.md", "settings", &table);
}

#[test]
fn the_configuration_that_is_shown_is_one() {
    let (_, text) = page("docs/running.md");
    let (_, rest) = text.split_once("```toml\n").expect("a configuration is shown");
    let (shown, _) = rest.split_once("```").expect("it ends");
    let file = tempfile::NamedTempFile::new().expect("a file can be made");
    std::fs::write(file.path(), shown).expect("it is ours");
    let settings = Settings::read(file.path()).expect("every key is known");
    settings.email.expect("it is shown").check().expect("it is safe");
    settings.sms.expect("it is shown").check().expect("it is safe");
}

/// Key, flag, variable and meaning of an argument; the file itself and the help are no settings.
fn setting(argument: &clap::Arg) -> Option<[String; 4]> {
    const SECTIONS: [&str; 4] = ["database", "kafka", "password-hash", "tls"];
    let (flag, variable) = (argument.get_long()?, argument.get_env()?.to_str()?);
    if flag == "config" {
        return None;
    }
    let in_section = |section: &&str| Some(format!("{section}.{}", flag.strip_prefix(section)?.strip_prefix('-')?));
    let of_section = if flag == "tls-terminated-elsewhere" { None } else { SECTIONS.iter().find_map(in_section) };
    let key = match of_section.as_deref() {
        Some("kafka.property") => "kafka.properties".to_owned(),
        Some(key) => key.to_owned(),
        None => flag.to_owned(),
    };
    let what = argument.get_help().map(ToString::to_string).unwrap_or_default();
    Some([key, flag.to_owned(), variable.to_owned(), format!("{what}.")])
}

/// The part of a page between two markers is what it should be, or is made so.
fn assert_part_is(name: &str, part: &str, expected: &str) {
    let (path, text) = page(name);
    let (begin, end) = (format!("<!-- {part}:begin -->\n"), format!("<!-- {part}:end -->"));
    let (before, rest) = text.split_once(&begin).expect("the marker where the part begins");
    let (current, after) = rest.split_once(&end).expect("the marker where the part ends");
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        std::fs::write(path, format!("{before}{begin}{expected}{end}{after}")).expect("the page is written");
        return;
    }
    assert!(current == expected, "run the tests with UPDATE_DOCUMENTS=1 to write this part of {name} anew");
}

#[test]
fn every_exception_that_a_built_operation_lists_is_explained() {
    let (_, text) = page("docs/errors.md");
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
    let explained = |operation: &str, exception: &str| {
        rows.iter().any(|row| {
            let mut cells = row.split('|').map(str::trim).skip(1);
            cells.next() == Some(operation) && cells.next() == Some(exception)
        })
    };
    let common = |name: &str| COMMON_EXCEPTIONS.iter().any(|exception| exception.name() == name);
    let missing: Vec<_> = Operation::ALL
        .into_iter()
        .map(Operation::info)
        .filter(|info| info.built)
        .flat_map(|info| info.errors.iter().map(move |exception| (info.name, exception.name())))
        .filter(|(operation, exception)| !common(exception) && !explained(operation, exception))
        .collect();
    assert_eq!(missing, [], "each listed exception of a built operation has a row in docs/errors.md");
}
