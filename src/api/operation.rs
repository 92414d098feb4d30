//! The table of operations, as the protos declare them.

use futures::future::BoxFuture;

use crate::app::App;
use crate::app::caller::Caller;
use crate::domain::error::{Error, Exception};
use crate::domain::ids::UserPoolArn;
use crate::proto::userpool::v1::{Authorization, QuotaCategory};

include!(concat!(env!("OUT_DIR"), "/operations.rs"));

/// The declarations of an operation in its proto.
#[derive(Debug)]
pub struct OperationInfo {
    /// The operation, as the enum that the build generates.
    pub operation: Operation,
    /// The name in protos, at the AWS door, in the application and in tests alike.
    pub name: &'static str,
    /// Full name of the proto service that has the method.
    pub service: &'static str,
    /// The path over gRPC: `/<service>/<name>`.
    pub path: &'static str,
    /// The kind of caller that is required.
    pub authorization: Authorization,
    /// The quota that each call counts against.
    pub quota: QuotaCategory,
    /// The exceptions that it can answer besides the common ones.
    pub errors: &'static [Exception],
    /// Whether the AWS door answers with an empty body.
    pub no_output: bool,
    /// Whether it changes nothing.
    pub read: bool,
    /// Whether it is implemented; other operations are refused.
    pub built: bool,
    /// Full name of its request message.
    pub request: &'static str,
    /// Full name of its response message.
    pub response: &'static str,
}

impl OperationInfo {
    /// Whether callers can send an idempotency key, so that the command runs once.
    pub fn is_developer_command(&self) -> bool {
        !self.read && self.authorization == Authorization::Developer
    }
}

impl Operation {
    /// The declarations of the operation.
    pub fn info(self) -> &'static OperationInfo {
        // The table is generated in the order of the variants.
        &OPERATIONS[self as usize]
    }

    /// The operation with a name, compared byte by byte.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.info().name == name)
    }
}

/// Exceptions that every operation can answer, listed by it or not.
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
    /// The operation that the message is the request of.
    const OPERATION: Operation;
    /// The message that the operation answers.
    type Response: prost::Message + Default;
    /// The id of the pool that the request names, by id or in an ARN.
    fn user_pool_id(&self) -> Option<&str>;
    /// The id of the client that the request names.
    fn client_id(&self) -> Option<&str>;
    /// The access token in the request, unchecked.
    fn access_token(&self) -> Option<&str>;
}

/// A request of an operation that is implemented.
pub trait UseCase: Request {
    /// Runs the use case, and again from its read if a concurrent commit wins. Each operation has its own future on the
    /// heap: one future of all operations together would overflow the stack.
    fn run<'a>(&'a self, app: &'a App, caller: &'a Caller) -> BoxFuture<'a, Result<Self::Response, Error>>;
}

/// The pool's id in an ARN.
fn pool_of_arn(arn: &str) -> Option<&str> {
    UserPoolArn::parse(arn).map(|arn| arn.pool_id)
}
