//! Messages on their way to people.

mod body;
pub mod settings;
mod sms;
mod smtp;
pub mod worker;

use std::sync::Arc;

use crate::delivery::settings::{EmailSettings, SettingsError, SmsSettings};
use crate::delivery::sms::Gateway;
use crate::delivery::smtp::Relay;
use crate::domain::message::Medium;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::outbox::Claimed;

/// By which way messages leave.
#[derive(Clone, Debug)]
pub enum Way {
    /// Into the development mailbox, a table.
    Mailbox,
    /// Over the network, by what is configured.
    Network(Network),
}

/// The ways over the network, each only if it is configured.
#[derive(Clone, Debug)]
pub struct Network {
    email: Option<Arc<Relay>>,
    sms: Option<Arc<Gateway>>,
}

impl Network {
    /// The media that have no way.
    pub fn missing(&self) -> Vec<Medium> {
        let email = self.email.is_none().then_some(Medium::Email);
        let sms = self.sms.is_none().then_some(Medium::Sms);
        email.into_iter().chain(sms).collect()
    }
}

impl Way {
    /// The ways of a production server. Reads the files that the settings name; connects to nothing yet.
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

    /// How many messages of a medium are under way at once.
    fn concurrency(&self, medium: Medium) -> usize {
        const WITHOUT_NETWORK: usize = 8;
        let configured = match (self, medium) {
            (Self::Mailbox, _) => None,
            (Self::Network(network), Medium::Email) => network.email.as_ref().map(|relay| relay.concurrency()),
            (Self::Network(network), Medium::Sms) => network.sms.as_ref().map(|gateway| gateway.concurrency()),
        };
        configured.unwrap_or(WITHOUT_NETWORK)
    }

    /// Delivers a message over the network. Whoever calls takes it out of the outbox.
    async fn send(network: &Network, claimed: &Claimed) -> Result<(), DeliveryError> {
        let message = &claimed.message;
        match message.medium {
            Medium::Email => match &network.email {
                Some(relay) => relay.send(claimed.id, message).await,
                None => Err(DeliveryError::refused("no mail relay is configured")),
            },
            Medium::Sms => match &network.sms {
                Some(gateway) => gateway.send(message).await,
                None => Err(DeliveryError::refused("no SMS gateway is configured")),
            },
        }
    }

    /// Delivers a message and takes it out of the outbox.
    async fn deliver(&self, store: &Store, claimed: &Claimed) -> Result<(), DeliveryError> {
        match self {
            // One statement takes it out of the outbox and puts it into the mailbox.
            Self::Mailbox => store.deliver_to_mailbox(claimed, store.clock.now()).await?,
            Self::Network(network) => {
                Self::send(network, claimed).await?;
                store.message_delivered(claimed).await?;
            }
        }
        Ok(())
    }
}

/// A message that did not leave. The texts say nothing of whom it was for: answers of mail servers do, and stay out.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The database could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another attempt can succeed.
    #[error("{0}")]
    Failed(String),
    /// No attempt will: the message itself, or its recipient, was refused.
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
