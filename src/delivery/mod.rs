//! Delivery of messages to people.

mod body;
mod measures;
mod plain_text;
pub mod settings;
mod sms;
mod smtp;
pub mod worker;

pub use plain_text::plain_text;

use std::sync::Arc;

use crate::delivery::settings::{EmailSettings, SettingsError, SmsSettings};
use crate::delivery::sms::Gateway;
use crate::delivery::smtp::Relay;
use crate::domain::message::Medium;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::outbox::Claimed;

/// How messages are delivered.
#[derive(Clone, Debug)]
pub enum Way {
    /// Into the development mailbox, a table.
    Mailbox,
    /// Over the network, as configured.
    Network(Network),
}

/// The mail relay and the SMS gateway, each only if it is configured.
#[derive(Clone, Debug)]
pub struct Network {
    email: Option<Arc<Relay>>,
    sms: Option<Arc<Gateway>>,
}

impl Network {
    /// The media that are not configured.
    pub fn missing(&self) -> Vec<Medium> {
        let email = self.email.is_none().then_some(Medium::Email);
        let sms = self.sms.is_none().then_some(Medium::Sms);
        email.into_iter().chain(sms).collect()
    }
}

impl Way {
    /// The delivery of a production server. Reads the files that the settings name, but connects to nothing yet.
    pub fn network(email: Option<&EmailSettings>, sms: Option<&SmsSettings>) -> Result<Self, SettingsError> {
        Ok(Self::Network(Network {
            email: email.map(Relay::new).transpose()?.map(Arc::new),
            sms: sms.map(Gateway::new).transpose()?.map(Arc::new),
        }))
    }

    /// Whether messages go to the development mailbox.
    pub fn is_mailbox(&self) -> bool {
        matches!(self, Self::Mailbox)
    }

    /// How many messages of a medium are sent at once.
    fn concurrency(&self, medium: Medium) -> usize {
        const WITHOUT_NETWORK: usize = 8;
        let configured = match (self, medium) {
            (Self::Mailbox, _) => None,
            (Self::Network(network), Medium::Email) => network.email.as_ref().map(|relay| relay.concurrency()),
            (Self::Network(network), Medium::Sms) => network.sms.as_ref().map(|gateway| gateway.concurrency()),
        };
        configured.unwrap_or(WITHOUT_NETWORK)
    }

    /// Delivers a message. The mailbox removes it from the outbox; otherwise it is still there afterwards.
    async fn deliver(&self, store: &Store, claimed: &Claimed) -> Result<(), DeliveryError> {
        match self {
            Self::Mailbox => Ok(store.deliver_to_mailbox(claimed, store.clock.now()).await?),
            Self::Network(network) => network.send(claimed).await,
        }
    }
}

impl Network {
    async fn send(&self, claimed: &Claimed) -> Result<(), DeliveryError> {
        match (claimed.message.medium, &self.email, &self.sms) {
            (Medium::Email, Some(relay), _) => relay.send(claimed.id, &claimed.message).await,
            (Medium::Sms, _, Some(gateway)) => gateway.send(&claimed.message).await,
            (Medium::Email, None, _) => Err(DeliveryError::refused("no mail relay is configured")),
            (Medium::Sms, _, None) => Err(DeliveryError::refused("no SMS gateway is configured")),
        }
    }
}

/// A message that was not delivered. The texts don't contain the recipient: answers of mail servers do, so they are
/// left out.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The database could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another attempt may succeed.
    #[error("{0}")]
    Failed(String),
    /// Every attempt would fail: the message itself, or its recipient, was refused.
    #[error("{0}")]
    Refused(String),
}

impl DeliveryError {
    fn failed(reason: impl Into<String>) -> Self {
        Self::Failed(reason.into())
    }

    fn refused(reason: impl Into<String>) -> Self {
        Self::Refused(reason.into())
    }
}
