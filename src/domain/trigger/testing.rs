//! What the tests of triggers have in common.

use serde_json::Value;

use crate::domain::trigger::{About, Question, Texts, event};

/// Texts by name.
pub fn texts(pairs: &[(&str, &str)]) -> Texts {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The event of a question about Jane.
pub fn event_of<Q: Question>(question: &Q) -> Value {
    let about = About {
        region: "eu-central-1",
        user_pool_id: "eu-central-1_aaaaaaaaa",
        user_name: "jane",
        client_id: Some("client"),
    };
    serde_json::from_slice(&event(about, question).unwrap()).unwrap()
}
