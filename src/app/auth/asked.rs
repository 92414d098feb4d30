//! What a caller asks for who begins a sign-in.

use std::collections::BTreeMap;

use crate::app::whence::Server;
use crate::domain::auth::AuthFlow;
use crate::domain::auth::first_factor::FirstFactor;
use crate::domain::auth::session::ChallengeSession;
use crate::domain::ids::{ClientId, DeviceId, UserPoolId};
use crate::domain::trigger::{NO_METADATA, Texts};
use crate::store::metadata::Origin;

/// A flow as the caller asked for it.
pub struct Asked<'a> {
    /// The flow that `AuthFlow` names.
    pub flow: AuthFlow,
    /// The pool that the client belongs to, or that the server names.
    pub pool_id: UserPoolId,
    /// The client that the request names.
    pub client_id: ClientId,
    /// The caller, for what the flow writes.
    pub origin: Origin,
    /// The trusted server that signs the person in; absent if the client does so itself.
    pub server: Option<Server<'a>>,
    /// The parameters of the flow, by the names of `AuthParameters`.
    pub parameters: &'a BTreeMap<String, String>,
    /// The `ClientMetadata` of the call, for triggers.
    pub client_metadata: &'a BTreeMap<String, String>,
    /// The session of ConfirmSignUp, unopened, with which USER_AUTH signs in. Other flows don't look at it.
    pub session: Option<&'a str>,
    /// The first factor of USER_AUTH with which the flow begins.
    pub chosen: Option<FirstFactor>,
    /// The challenge whose answer begins the flow with a chosen factor; absent if the flow begins the sign-in.
    pub continues: Option<ChallengeSession>,
}

impl Asked<'_> {
    /// What the triggers after the first one get of the metadata: nothing of a call that begins a sign-in, as in Cognito.
    pub fn metadata_after_begin(&self) -> &Texts {
        if self.continues.is_some() { self.client_metadata } else { &NO_METADATA }
    }

    /// The device that the caller names, or has named where the sign-in began; `None` as well if the key is none of this
    /// pool.
    pub fn device(&self) -> Option<DeviceId> {
        match self.parameters.get("DEVICE_KEY") {
            Some(key) => DeviceId::of_key(&self.pool_id, key),
            None => self.continues.as_ref().and_then(|session| session.device),
        }
    }
}
