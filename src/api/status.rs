//! Exceptions as gRPC statuses and HTTP codes: one table.

use std::time::Duration;

use http::StatusCode;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::domain::error::{Error, Exception};

/// The retry delay for errors that know none of their own.
const RETRY: Duration = Duration::from_secs(1);

/// The gRPC code of an exception.
pub fn code(exception: Exception) -> Code {
    use Exception::*;
    match exception {
        MissingAuthenticationTokenException
        | IncompleteSignatureException
        | UnrecognizedClientException
        | InvalidSignatureException
        | NotAuthorizedException
        | UnauthorizedException
        | RefreshTokenReuseException => Code::Unauthenticated,
        AccessDeniedException | ForbiddenException => Code::PermissionDenied,
        ResourceNotFoundException
        | UserNotFoundException
        | MFAMethodNotFoundException
        | SoftwareTokenMFANotFoundException
        | ScopeDoesNotExistException
        | WebAuthnChallengeNotFoundException => Code::NotFound,
        UsernameExistsException
        | AliasExistsException
        | GroupExistsException
        | DeviceKeyExistsException
        | DuplicateProviderException => Code::AlreadyExists,
        TooManyRequestsException | LimitExceededException | TooManyFailedAttemptsException => Code::ResourceExhausted,
        ConcurrentModificationException => Code::Aborted,
        UnknownOperationException | NotImplementedException => Code::Unimplemented,
        InternalErrorException => Code::Internal,
        ServiceUnavailableException => Code::Unavailable,
        CodeDeliveryFailureException | UnexpectedLambdaException | InvalidLambdaResponseException => Code::Unavailable,
        UserNotConfirmedException
        | PasswordResetRequiredException
        | OperationNotEnabledException
        | PreconditionNotMetException
        | UserImportInProgressException
        | UnsupportedUserStateException
        | UserPoolAddOnNotEnabledException
        | InvalidUserPoolConfigurationException
        | FeatureUnavailableInTierException
        | TierChangeNotAllowedException
        | UnsupportedOperationException
        | UserLambdaValidationException
        | EnableSoftwareTokenMFAException
        | ExpiredCodeException
        | CodeMismatchException
        | PasswordHistoryPolicyViolationException
        | WebAuthnConfigurationMissingException
        | WebAuthnNotEnabledException => Code::FailedPrecondition,
        InvalidParameterException
        | InvalidPasswordException
        | InvalidOAuthFlowException
        | SerializationException
        | InvalidEmailRoleAccessPolicyException
        | InvalidSmsRoleAccessPolicyException
        | InvalidSmsRoleTrustRelationshipException
        | UnsupportedIdentityProviderException
        | UserPoolTaggingException
        | UnsupportedTokenTypeException
        | WebAuthnClientMismatchException
        | WebAuthnCredentialNotSupportedException
        | WebAuthnOriginNotAllowedException
        | WebAuthnRelyingPartyMismatchException => Code::InvalidArgument,
    }
}

/// The HTTP code of an exception at the AWS door.
pub fn http_status(exception: Exception) -> StatusCode {
    match exception {
        Exception::MissingAuthenticationTokenException
        | Exception::IncompleteSignatureException
        | Exception::UnrecognizedClientException
        | Exception::InvalidSignatureException
        | Exception::AccessDeniedException => StatusCode::FORBIDDEN,
        Exception::InternalErrorException => StatusCode::INTERNAL_SERVER_ERROR,
        Exception::ServiceUnavailableException => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// The name of a code in gRPC's specification.
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// The exception's name as `ErrorInfo.reason`: `UsernameExistsException` → `USERNAME_EXISTS`.
pub fn reason(exception: Exception) -> String {
    let stem = exception.name().trim_end_matches("Exception");
    let characters: Vec<char> = stem.chars().collect();
    let mut reason = String::new();
    for (index, character) in characters.iter().enumerate() {
        let after_lower = index > 0 && characters[index - 1].is_lowercase();
        // The last letter of an abbreviation begins the next word.
        let begins_word = index > 0 && characters.get(index + 1).is_some_and(|next| next.is_lowercase());
        if character.is_uppercase() && (after_lower || begins_word) {
            reason.push('_');
        }
        reason.extend(character.to_uppercase());
    }
    reason
}

/// An error as a gRPC status with its details.
pub fn status(error: &Error, request_id: &str) -> Status {
    let exception = error.exception;
    let metadata: std::collections::HashMap<_, _> = [("exception".to_owned(), exception.name().to_owned())].into();
    let mut details = ErrorDetails::with_error_info(reason(exception), "userpool", metadata);
    details.set_request_info(request_id, "");
    for violation in &error.fields {
        details.add_bad_request_violation(violation.field.as_str(), violation.description.as_str());
    }
    let retry = (exception == Exception::TooManyRequestsException).then_some(RETRY);
    if let Some(retry) = error.retry_after.or(retry) {
        details.set_retry_info(Some(retry));
    }
    Status::with_error_details(code(exception), error.message.as_ref(), details)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_words_in_capitals() {
        assert_eq!(reason(Exception::UsernameExistsException), "USERNAME_EXISTS");
        assert_eq!(reason(Exception::NotAuthorizedException), "NOT_AUTHORIZED");
        assert_eq!(reason(Exception::MFAMethodNotFoundException), "MFA_METHOD_NOT_FOUND");
    }
}
