//! The one error type of the product: a Cognito exception with its message.

use std::borrow::Cow;
use std::time::Duration;

/// Declares the exceptions with their names, so that each is written once.
macro_rules! exceptions {
    ($($name:ident),* $(,)?) => {
        /// A Cognito exception, by its own name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "the names are Cognito's and mean what its reference says")]
        pub enum Exception { $($name),* }

        impl Exception {
            /// Every exception that an operation can answer with, in the order of declaration.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The name that clients match on.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }
        }
    };
}

exceptions! {
    AccessDeniedException, AliasExistsException, CodeDeliveryFailureException, CodeMismatchException,
    ConcurrentModificationException, DeviceKeyExistsException, DuplicateProviderException,
    EnableSoftwareTokenMFAException, ExpiredCodeException, FeatureUnavailableInTierException, ForbiddenException,
    GroupExistsException, IncompleteSignatureException, InternalErrorException, InvalidEmailRoleAccessPolicyException,
    InvalidLambdaResponseException, InvalidOAuthFlowException, InvalidParameterException, InvalidPasswordException,
    InvalidSignatureException, InvalidSmsRoleAccessPolicyException, InvalidSmsRoleTrustRelationshipException,
    InvalidUserPoolConfigurationException, LimitExceededException, MFAMethodNotFoundException,
    MissingAuthenticationTokenException, NotAuthorizedException, NotImplementedException, OperationNotEnabledException,
    PasswordHistoryPolicyViolationException, PasswordResetRequiredException, PreconditionNotMetException,
    RefreshTokenReuseException, ResourceNotFoundException, ScopeDoesNotExistException, SerializationException, ServiceUnavailableException,
    SoftwareTokenMFANotFoundException, TierChangeNotAllowedException, TooManyFailedAttemptsException,
    TooManyRequestsException, UnauthorizedException, UnexpectedLambdaException, UnsupportedTokenTypeException, UnknownOperationException, UnrecognizedClientException,
    UnsupportedIdentityProviderException, UnsupportedOperationException, UnsupportedUserStateException,
    UserImportInProgressException, UserLambdaValidationException, UserNotConfirmedException, UserNotFoundException,
    UserPoolAddOnNotEnabledException, UserPoolTaggingException, UsernameExistsException, WebAuthnChallengeNotFoundException,
    WebAuthnClientMismatchException, WebAuthnConfigurationMissingException, WebAuthnCredentialNotSupportedException,
    WebAuthnNotEnabledException, WebAuthnOriginNotAllowedException, WebAuthnRelyingPartyMismatchException,
}

/// A field of the request that violates its declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// Path of the field, made of its JSON names.
    pub field: String,
    /// Cognito's message about it.
    pub description: String,
}

/// A refusal: what the caller reads, and the cause for our own logs.
#[derive(Debug, thiserror::Error)]
#[error("{}: {message}", exception.name())]
pub struct Error {
    /// The exception's kind, which clients match on.
    pub exception: Exception,
    /// The message that the caller reads.
    pub message: Cow<'static, str>,
    /// The invalid fields, for `InvalidParameterException`.
    pub fields: Vec<FieldViolation>,
    /// How long the caller has to wait before another attempt, if that is known.
    pub retry_after: Option<Duration>,
    /// The limit that refuses, by the name that its metric has.
    pub limit: Option<&'static str>,
    /// The internal error; never shown to a caller.
    #[source]
    pub cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The message about a device that a user does not have.
const NO_SUCH_DEVICE: &str = "Device does not exist.";

impl Error {
    /// A refusal with a message.
    pub fn new(exception: Exception, message: impl Into<Cow<'static, str>>) -> Self {
        Self { exception, message: message.into(), fields: Vec::new(), retry_after: None, limit: None, cause: None }
    }

    /// The server's own fault.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let message = "An internal error occurred. Please try again later.";
        Self { cause: Some(cause.into()), ..Self::new(Exception::InternalErrorException, message) }
    }

    /// A part that the server depends on is unavailable.
    pub fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let message = "The service is temporarily unavailable. Please try again.";
        Self { cause: Some(cause.into()), ..Self::new(Exception::ServiceUnavailableException, message) }
    }

    /// What the command would record can't be read by servers of the release before, which may still run. It has no cause
    /// for the log, which says so once.
    pub fn upgrade_unfinished() -> Self {
        let message = "The upgrade of the service is not finished: this can be done after `userpool finish-upgrade`. Please try again later.";
        Self::new(Exception::ServiceUnavailableException, message)
    }

    /// A parameter value that the rules refuse.
    pub fn invalid_parameter(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Exception::InvalidParameterException, message)
    }

    /// The caller may not do this, or is not who they claim to be.
    pub fn not_authorized(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Exception::NotAuthorizedException, message)
    }

    /// The operation exists but is not built yet.
    pub fn not_implemented(operation: &str) -> Self {
        Self::new(Exception::NotImplementedException, format!("{operation} is not implemented yet."))
    }

    /// A developer operation was called without a credential.
    pub fn no_credential() -> Self {
        Self::new(Exception::MissingAuthenticationTokenException, "Missing Authentication Token")
    }

    /// The pool does not exist.
    pub fn no_such_pool(id: impl std::fmt::Display) -> Self {
        Self::new(Exception::ResourceNotFoundException, format!("User pool {id} does not exist."))
    }

    /// The app client does not exist, or it belongs to another pool.
    pub fn no_such_client(id: impl std::fmt::Display) -> Self {
        Self::new(Exception::ResourceNotFoundException, format!("User pool client {id} does not exist."))
    }

    /// Turns a missing pool into a missing client, for calls that name only a client: its clients ended with the pool,
    /// and the pool is none of the caller's business. A missing device of a user is another matter.
    pub fn of_client(self, id: impl std::fmt::Display) -> Self {
        self.unless(Exception::ResourceNotFoundException, |error| {
            if error.message == NO_SUCH_DEVICE { error } else { Self::no_such_client(id) }
        })
    }

    /// Replaces one exception by another refusal, for an operation that does not declare that exception.
    pub fn unless(self, exception: Exception, other: impl FnOnce(Self) -> Self) -> Self {
        if self.exception == exception { other(self) } else { self }
    }

    /// An administrator has reset the password, and the user must choose a new one.
    pub fn password_reset_required() -> Self {
        Self::new(Exception::PasswordResetRequiredException, "Password reset required for the user")
    }

    /// More attempts or codes than are allowed, for one user or name.
    pub fn limit_exceeded() -> Self {
        let message = "Attempt limit exceeded, please try after some time.";
        Self { limit: Some("by_user"), ..Self::new(Exception::LimitExceededException, message) }
    }

    /// The same for a limit with a name of its own, with the time until the next one is allowed. An operation that does
    /// not declare the exception answers `TooManyRequestsException` instead.
    pub fn limit_exceeded_for(wait: Duration, limit: &'static str) -> Self {
        Self { retry_after: Some(wait), limit: Some(limit), ..Self::limit_exceeded() }
    }

    /// More calls of a category than its quota allows.
    pub fn rate_exceeded(wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..Self::new(Exception::TooManyRequestsException, "Rate exceeded") }
    }

    /// The user does not exist, said openly.
    pub fn no_such_user() -> Self {
        Self::new(Exception::UserNotFoundException, "User does not exist.")
    }

    /// Turns a missing user into a missing resource, for operations that have no exception of its own for it.
    pub fn of_missing_user(self) -> Self {
        self.unless(Exception::UserNotFoundException, |error| {
            Self::new(Exception::ResourceNotFoundException, error.message)
        })
    }

    /// A text that is no challenge token, or not one of this client, user and challenge.
    pub fn invalid_session() -> Self {
        Self::not_authorized("Invalid session for the user.")
    }

    /// A challenge token that was already used by an answer.
    pub fn used_session() -> Self {
        Self::not_authorized("Invalid session for the user, session can only be used once.")
    }

    /// A session whose time is over.
    pub fn expired_session() -> Self {
        Self::not_authorized("Invalid session for the user, session is expired.")
    }

    /// The group does not exist in the pool.
    pub fn no_such_group() -> Self {
        Self::new(Exception::ResourceNotFoundException, "Group not found.")
    }

    /// The user has no such device, or no longer has it.
    pub fn no_such_device() -> Self {
        Self::new(Exception::ResourceNotFoundException, NO_SUCH_DEVICE)
    }

    /// What was given as the proof of a passkey proves nothing. It is the same for all reasons.
    pub fn unverified_passkey() -> Self {
        Self::not_authorized("The passkey could not be verified.")
    }

    /// The capacity for such requests is used up.
    pub fn too_many_requests() -> Self {
        Self::new(Exception::TooManyRequestsException, "Too many requests")
    }
}
