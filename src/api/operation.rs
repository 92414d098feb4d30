//! The table of operations, as the protos declare them.

use futures::future::BoxFuture;

use crate::app::App;
use crate::app::caller::Caller;
use crate::domain::error::{Error, Exception};
use crate::domain::ids::UserPoolArn;
use crate::proto::userpool::v1::{Authorization, QuotaCategory};

include!(concat!(env!("OUT_DIR"), "/operations.rs"));

/// What is declared of an operation.
#[derive(Debug)]
pub struct OperationInfo {
    /// The operation.
    pub operation: Operation,
    /// Its name, in proto, AWS door, application and tests alike.
    pub name: &'static str,
    /// Its service.
    pub service: &'static str,
    /// Its path over gRPC.
    pub path: &'static str,
    /// Who may call it.
    pub authorization: Authorization,
    /// The quota that it counts against.
    pub quota: QuotaCategory,
    /// The exceptions that it can answer beside the common ones.
    pub errors: &'static [Exception],
    /// Whether the AWS door answers an empty body.
    pub no_output: bool,
    /// Whether it changes nothing.
    pub read: bool,
    /// Whether it is built.
    pub built: bool,
    /// Full name of its request message.
    pub request: &'static str,
    /// Full name of its response message.
    pub response: &'static str,
}

impl OperationInfo {
    /// Whether its caller can name a call, so that it is done once.
    pub fn is_developer_command(&self) -> bool {
        !self.read && self.authorization == Authorization::Developer
    }
}

impl Operation {
    /// What is declared of it.
    pub fn info(self) -> &'static OperationInfo {
        // The table is generated in the order of the variants.
        &OPERATIONS[self as usize]
    }

    /// The operation of a name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.info().name == name)
    }
}

/// Exceptions that every operation can answer, whatever it lists.
pub const COMMON_EXCEPTIONS: &[Exception] = &[
    Exception::MissingAuthenticationTokenException,
    Exception::IncompleteSignatureException,
    Exception::UnrecognizedClientException,
    Exception::InvalidSignatureException,
    Exception::AccessDeniedException,
    Exception::SerializationException,
    Exception::InvalidParameterException,
    Exception::UnknownOperationException,
    Exception::NotImplementedException,
    Exception::TooManyRequestsException,
    Exception::InternalErrorException,
    Exception::ServiceUnavailableException,
];

/// A request message: which operation it asks for, and which pool it names.
pub trait Request: prost::Message + Default + Sized {
    /// The operation.
    const OPERATION: Operation;
    /// What it answers.
    type Response: prost::Message + Default;
    /// The pool that it names, by id or in an ARN.
    fn user_pool_id(&self) -> Option<&str>;
    /// The client that it names.
    fn client_id(&self) -> Option<&str>;
    /// The access token that it brings.
    fn access_token(&self) -> Option<&str>;
}

/// A request of an operation that is built.
pub trait UseCase: Request {
    /// Runs the use case, and again from its read while somebody else is first. Each has a future of its own on the heap: one
    /// of all operations together would take more of a stack than there is.
    fn run<'a>(&'a self, app: &'a App, caller: &'a Caller) -> BoxFuture<'a, Result<Self::Response, Error>>;
}

/// The pool in an ARN.
fn pool_of_arn(arn: &str) -> Option<&str> {
    UserPoolArn::parse(arn).map(|arn| arn.pool_id)
}
