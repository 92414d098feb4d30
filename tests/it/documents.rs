//! Pages that say what the code declares are made from it. `UPDATE_DOCUMENTS=1` writes them anew.

use std::fmt::Write;
use std::path::Path;

use userpool::api::operation::{COMMON_EXCEPTIONS, Operation};
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
    let (path, text) = page("README.md");
    let (begin, end) = ("<!-- operations:begin -->\n", "<!-- operations:end -->");
    let (before, rest) = text.split_once(begin).expect("the marker where the table begins");
    let (current, after) = rest.split_once(end).expect("the marker where the table ends");
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        std::fs::write(path, format!("{before}{begin}{table}{end}{after}")).expect("the page is written");
        return;
    }
    assert!(current == table, "run the tests with UPDATE_DOCUMENTS=1 to write the table anew");
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
