//! Personal values that can be erased, and secrets that exist only in sealed form.

use serde::{Deserialize, Serialize};

/// A personal value: known, or erased by destroying its key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Personal<T> {
    /// The value, readable as long as its key exists.
    Known(T),
    /// The value's key was destroyed.
    Erased,
}

impl<T> std::fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Self::Known(_)) { "Known" } else { "Erased" })
    }
}

impl<T> Personal<T> {
    /// The value, if it is still known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Erased => None,
        }
    }
}

impl<T> From<Option<T>> for Personal<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Erased, Self::Known)
    }
}

/// A sealed blob: key id, its own id, nonce and ciphertext. State and events carry it byte for byte.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(#[serde(with = "crate::proto::json::base64")] pub Vec<u8>);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealed")
    }
}
