//! Messages on their way to people.

pub mod worker;

use crate::store::error::StoreError;

/// By which way messages leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Into the development mailbox, a table.
    Mailbox,
}

/// A message that did not leave.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The mailbox could not be written.
    #[error(transparent)]
    Mailbox(#[from] StoreError),
}
