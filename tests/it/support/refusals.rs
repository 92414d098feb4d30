//! Refusals: those that the protos declare, and those that the scenarios met.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use prost_reflect::MethodDescriptor;
use regex::Regex;
use userpool::api::operation::{Operation, OperationInfo};
use userpool::domain::error::Exception;
use userpool::proto::descriptor_pool;

/// The module with which the build reads them.
#[path = "../../../build/refusals.rs"]
pub mod contract;

/// A refusal as an rpc declares it.
pub struct Declared {
    /// The exception that is answered.
    pub exception: Exception,
    /// The condition under which it is raised; begins with `never: ` if it can't be.
    pub when: String,
    /// Sentences between backticks, with remarks around them; `<name>` and `…` stand for values.
    pub message: String,
}

impl Declared {
    /// Whether the operation lists the exception but can't raise it.
    pub fn is_never(&self) -> bool {
        self.when.starts_with("never: ")
    }

    /// The declared sentences, each as a pattern for messages.
    pub fn sentences(&self) -> Vec<Regex> {
        self.message.split('`').skip(1).step_by(2).map(sentence).collect()
    }
}

fn sentence(text: &str) -> Regex {
    let places = Regex::new(r"<id>|<[^>]*>|…").expect("a pattern");
    let mut pattern = String::from("(?s)^");
    let mut end = 0;
    for place in places.find_iter(text) {
        pattern.push_str(&regex::escape(&text[end..place.start()]));
        // An id is one word, so that this pattern matches no longer sentence.
        pattern.push_str(if place.as_str() == "<id>" { r"\S+" } else { ".+" });
        end = place.end();
    }
    pattern.push_str(&regex::escape(&text[end..]));
    Regex::new(&format!("{pattern}$")).expect("a pattern")
}

/// The rpc of an operation.
pub fn method(info: &OperationInfo) -> MethodDescriptor {
    let service = descriptor_pool().get_service_by_name(&format!("userpool.v1.{}", info.service)).expect("a service");
    service.methods().find(|method| method.name() == info.name).expect("its method")
}

/// The refusals that an operation declares, in the order of its option.
pub fn declared(info: &OperationInfo) -> Vec<Declared> {
    let refusals = contract::of(&method(info)).unwrap_or_else(|error| panic!("{}: {error}", info.name));
    let declared = refusals.into_iter().map(|refusal| {
        let exception = Exception::ALL.iter().copied().find(|exception| exception.name() == refusal.exception);
        Declared {
            exception: exception.unwrap_or_else(|| panic!("{}: there is no {}", info.name, refusal.exception)),
            when: refusal.when,
            message: refusal.message,
        }
    });
    declared.collect()
}

/// Whether an operation declares this sentence of this exception.
pub fn is_declared(operation: Operation, exception: &str, message: &str) -> bool {
    let mut refusals = declared(operation.info()).into_iter().filter(|it| it.exception.name() == exception);
    refusals.any(|refusal| refusal.sentences().iter().any(|sentence| sentence.is_match(message)))
}

/// Every built operation, by name.
pub fn built() -> Vec<&'static OperationInfo> {
    let mut built: Vec<_> = Operation::ALL.into_iter().map(Operation::info).filter(|info| info.built).collect();
    built.sort_by_key(|info| info.name);
    built
}

/// Messages by operation and exception.
pub type Met = BTreeMap<(String, String), BTreeSet<String>>;

/// The file in which a run of the scenarios notes the refusals that it met. `scripts/test` removes it before the run.
fn file() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("refusals.jsonl")
}

/// Notes a refusal, once.
pub fn met(operation: &str, exception: &str, message: &str) {
    static NOTED: LazyLock<Mutex<BTreeSet<String>>> = LazyLock::new(Mutex::default);
    let line = serde_json::json!([operation, exception, message]).to_string();
    let mut noted = NOTED.lock().unwrap_or_else(PoisonError::into_inner);
    if noted.insert(line.clone()) {
        let mut file = OpenOptions::new().create(true).append(true).open(file()).expect("the directory is ours");
        file.write_all(format!("{line}\n").as_bytes()).expect("it can be written");
    }
}

/// The refusals that the last run met.
pub fn all_met() -> Met {
    let text = match fs::read_to_string(file()) {
        Err(error) if error.kind() == ErrorKind::NotFound => panic!("no scenario has run yet: run scripts/test"),
        text => text.expect("it can be read"),
    };
    let mut met = Met::new();
    for line in text.lines() {
        let (operation, exception, message) = serde_json::from_str(line).expect("a line that was noted");
        met.entry((operation, exception)).or_default().insert(message);
    }
    met
}

#[test]
fn sentences_are_read_with_their_places() {
    let declared = Declared {
        exception: Exception::InvalidParameterException,
        when: String::new(),
        message: "`An account with the <alias> exists.`, `Attributes: …` and the like".to_owned(),
    };
    let sentences = declared.sentences();
    let matching = |text: &str| sentences.iter().map(|sentence| sentence.is_match(text)).collect::<Vec<_>>();
    assert_eq!(matching("An account with the phone_number exists."), [true, false]);
    assert_eq!(matching("Attributes: a.\nb."), [false, true]);
    assert_eq!(matching("Attributes: "), [false, false]);
    assert_eq!(matching("email"), [false, false]);
}
