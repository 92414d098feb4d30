//! Parts of pages that repeat declarations of the code are generated. `UPDATE_DOCUMENTS=1` rewrites them.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use clap::CommandFactory;
use prost_reflect::FileDescriptor;
use userpool::api::operation::{COMMON_EXCEPTIONS, Operation};
use userpool::api::status;
use userpool::cli::Cli;
use userpool::cli::config::Settings;
use userpool::proto::userpool::v1::Authorization;
use userpool::proto::{EVENT_TYPES, descriptor_pool};
use userpool::store::history::SCHEMA_VERSION;
use userpool::telemetry::metrics::{self, Definition};

use super::support::refusals::{Declared, built, declared};

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
fn the_shown_configuration_is_valid() {
    let (_, text) = page("docs/running.md");
    let (_, rest) = text.split_once("```toml\n").expect("a configuration is shown");
    let (shown, _) = rest.split_once("```").expect("it ends");
    let file = tempfile::NamedTempFile::new().expect("a file can be made");
    std::fs::write(file.path(), shown).expect("it is ours");
    let settings = Settings::read(file.path()).expect("every key is known");
    settings.email.expect("it is shown").check().expect("it is safe");
    settings.sms.expect("it is shown").check().expect("it is safe");
}

#[test]
fn the_compose_file_is_of_this_release_and_sets_what_serve_takes() {
    let (_, compose) = page("docker-compose.yml");
    let image = concat!("\n  image: userpool:", env!("CARGO_PKG_VERSION"), "\n");
    assert!(compose.contains(image), "the image has the version in Cargo.toml");
    let command = Cli::command();
    let serve = command.find_subcommand("serve").expect("there is a command `serve`");
    let known: Vec<_> = serve.get_arguments().filter_map(|argument| argument.get_env()?.to_str()).collect();
    let words = compose.split(|character: char| !character.is_ascii_uppercase() && character != '_');
    let set: Vec<_> = words.filter(|word| word.starts_with("USERPOOL_")).collect();
    assert!(set.len() > 5, "{set:?}");
    let unknown: Vec<_> = set.into_iter().filter(|variable| !known.contains(variable)).collect();
    assert_eq!(unknown, Vec::<&str>::new(), "no setting has these names");
    let (_, rest) = compose.split_once("<<'TOML'\n").expect("it writes a configuration");
    let (shown, _) = rest.split_once("TOML\n").expect("it ends");
    let file = tempfile::NamedTempFile::new().expect("a file can be made");
    std::fs::write(file.path(), shown).expect("it is ours");
    let settings = Settings::read(file.path()).expect("every key is known");
    settings.email.expect("it is there").check().expect("it is safe");
}

/// Key, flag, variable and meaning of an argument; `None` for `--config` and `--help`, which are no settings.
fn setting(argument: &clap::Arg) -> Option<[String; 4]> {
    const SECTIONS: [&str; 6] = ["connections", "database", "kafka", "limits", "password-hash", "tls"];
    let (flag, variable) = (argument.get_long()?, argument.get_env()?.to_str()?);
    if flag == "config" {
        return None;
    }
    let in_section = |section: &&str| Some(format!("{section}.{}", flag.strip_prefix(section)?.strip_prefix('-')?));
    let of_section = if flag == "tls-terminated-elsewhere" { None } else { SECTIONS.iter().find_map(in_section) };
    let key = match of_section.as_deref() {
        Some("kafka.property") => "kafka.properties".to_owned(),
        Some(key) if key.starts_with("limits.quotas-") => key.replacen('-', ".", 1),
        Some(key) => key.to_owned(),
        None => flag.to_owned(),
    };
    let what = argument.get_help().map(ToString::to_string).unwrap_or_default();
    assert!(!what.is_empty(), "--{flag} says nothing");
    Some([key, flag.to_owned(), variable.to_owned(), format!("{what}.")])
}

#[test]
fn the_tables_of_events_are_what_the_protos_declare() {
    let oneofs = descriptor_pool()
        .files()
        .filter(|file| file.package_name() == "userpool.events.v1")
        .flat_map(|file| file.messages().collect::<Vec<_>>())
        .flat_map(|message| message.oneofs().filter(|oneof| !oneof.is_synthetic()).collect::<Vec<_>>());
    let fields: Vec<_> = oneofs.flat_map(|oneof| oneof.fields().collect::<Vec<_>>()).collect();
    assert_eq!(fields.len(), EVENT_TYPES.len(), "both are in the order of the protos");
    // The name of a oneof says to which of the two logs its events belong.
    for (topic, oneof) in [("directory", "event"), ("activity", "activity")] {
        let mut table = String::from("| `ce_type` | What happened | Fields of the body |\n|---|---|---|\n");
        for (field, event) in fields.iter().zip(EVENT_TYPES) {
            assert!(event.name.ends_with(&format!(".{}", field.name())), "{} is not {}", event.name, field.name());
            if field.containing_oneof().is_some_and(|found| found.name() == oneof) {
                let body: Vec<_> = event.public.iter().map(|name| format!("`{name}`")).collect();
                let (what, body) = (comment(&field.parent_file(), field.path()), body.join(", "));
                let _ = writeln!(table, "| `userpool.{}.v{SCHEMA_VERSION}` | {what} | {body} |", event.name);
            }
        }
        assert_part_is("docs/events.md", topic, &table);
    }
}

/// The comment of the protos on a declaration, in one line.
pub fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let information = file.file_descriptor_proto().source_code_info.as_ref().expect("descriptors have comments");
    let location = information.location.iter().find(|location| location.path == path);
    let text = location.and_then(|location| location.leading_comments.as_deref()).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Asserts that the part of a page between two markers is up to date, or rewrites it.
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
fn the_table_of_errors_is_what_the_protos_declare() {
    let mut table = String::from("| Operation | Exception | When | gRPC code | Message |\n|---|---|---|---|---|\n");
    let cell = |text: &str| text.replace('|', "\\|");
    for info in built() {
        for refusal in declared(info) {
            let code = if refusal.is_never() {
                String::new()
            } else {
                status::code_name(status::code(refusal.exception)).to_owned()
            };
            let (name, exception) = (info.name, refusal.exception.name());
            let (when, message) = (cell(&refusal.when), cell(&refusal.message));
            let _ = writeln!(table, "| {name} | {exception} | {when} | {code} | {message} |");
        }
    }
    assert_part_is("docs/errors.md", "built", &table);
}

#[test]
fn every_exception_that_a_built_operation_lists_is_explained_and_no_other() {
    let mut wrong = Vec::new();
    for info in built() {
        let refusals = declared(info);
        for exception in info.errors {
            let explained = refusals.iter().any(|refusal| refusal.exception == *exception);
            if !explained && !COMMON_EXCEPTIONS.contains(exception) {
                wrong.push(format!("{} lists {} and does not say when", info.name, exception.name()));
            }
        }
        for refusal in &refusals {
            let Declared { exception, when, message } = refusal;
            let name = exception.name();
            if !info.errors.contains(exception) && !COMMON_EXCEPTIONS.contains(exception) {
                wrong.push(format!("{} explains {name} and does not list it", info.name));
            }
            if when.is_empty() || refusal.is_never() && !message.is_empty() {
                wrong.push(format!("{} says nothing of {name}, or what it never says", info.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_table_of_metrics_is_what_the_server_declares() {
    let mut table = String::from("| Prometheus | OpenTelemetry | kind | by | what |\n|---|---|---|---|---|\n");
    for metric in metrics::ALL {
        let Definition { name, attributes, description, .. } = metric.definition();
        let (prometheus, kind) = (metrics::prometheus_name(*metric), metric.kind());
        let labels: Vec<_> = attributes.iter().map(|name| format!("`{}`", name.replace('.', "_"))).collect();
        let _ = writeln!(table, "| `{prometheus}` | `{name}` | {kind} | {} | {description} |", labels.join(", "));
    }
    assert_part_is("docs/observability.md", "metrics", &table);
}

/// Rules and panels name only metrics that there are, and each metric has a panel.
#[test]
fn alerts_and_dashboard_name_metrics_of_the_server() {
    let (_, alerts) = page("helm/userpool/monitoring/alerts.yaml");
    let (_, dashboard) = page("helm/userpool/monitoring/dashboard.json");
    let declared: BTreeSet<_> = metrics::ALL.iter().map(|metric| metrics::prometheus_name(*metric)).collect();
    let name = regex::Regex::new(r"\b(?:userpool|rpc|db)_[a-z_]+").expect("a pattern");
    let labels: BTreeSet<_> = metrics::ALL.iter().flat_map(|metric| metric.definition().attributes).collect();
    let labels: BTreeSet<_> = labels.into_iter().map(|label| label.replace('.', "_")).collect();
    let named = |text: &str| -> BTreeSet<String> {
        let found = name.find_iter(text).map(|found| found.as_str());
        let of_histogram = |name: &str| {
            let base = ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end));
            base.filter(|base| declared.contains(*base)).unwrap_or(name).to_owned()
        };
        found.map(of_histogram).filter(|name| !labels.contains(name)).collect()
    };
    assert_eq!(named(&alerts).difference(&declared).collect::<Vec<_>>(), [""; 0]);
    assert_eq!(named(&dashboard), declared);
    let (_, observability) = page("docs/observability.md");
    for alert in alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(observability.contains(&format!("| `{alert}` | ")), "{alert} says what to do");
    }
}
