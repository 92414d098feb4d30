//! What a caller asks for who begins a sign-in.

use std::collections::BTreeMap;

use crate::app::whence::Server;
use crate::domain::auth::AuthFlow;
use crate::domain::auth::session::ChallengeSession;
use crate::domain::ids::{ClientId, UserPoolId};
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
    /// The challenge whose answer begins the flow with a chosen factor; absent if the flow begins the sign-in.
    pub continues: Option<ChallengeSession>,
}
