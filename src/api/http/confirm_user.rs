//! Confirmation by link: the page that a user's browser opens from an e-mail.
//!
//! Opening the page confirms nothing; its button does. Malware scanners open every link of an e-mail before its reader
//! sees it, and would confirm an address whose owner never asked for it.

use std::sync::LazyLock;

use askama::Template;
use aws_lc_rs::digest::{SHA256, digest};
use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, StatusCode, header};
use serde::Deserialize;

use crate::api::context::Context;
use crate::api::grpc::Doors;
use crate::api::listener::Peer;
use crate::api::observation::{Observation, System};
use crate::api::operation::Operation;
use crate::api::{authenticate, checks, pipeline, status};
use crate::app::attempts::settled;
use crate::app::sign_up::confirm_by_link::confirm_by_link;
use crate::domain::error::{Error, Exception};
use crate::domain::ids::UserPoolId;
use crate::pages::confirmation::Confirmation;
use crate::proto::v1::ConfirmSignUpRequest;

/// The parameters of a link, by Cognito's names.
#[derive(Deserialize)]
pub(super) struct Link {
    client_id: String,
    user_name: String,
    confirmation_code: String,
}

type LinkOrNot = Result<Query<Link>, QueryRejection>;

/// `GET /<user pool id>/confirmUser?client_id=…&user_name=…&confirmation_code=…`: asks for confirmation.
pub(super) async fn page(link: LinkOrNot) -> Response {
    match link {
        Ok(_) => shown(StatusCode::OK, &QUESTION),
        Err(_) => shown(StatusCode::BAD_REQUEST, &INVALID),
    }
}

/// `POST` to the same address: confirms.
pub(super) async fn confirm(
    State(doors): State<Doors>,
    Path(user_pool_id): Path<String>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    link: LinkOrNot,
) -> Response {
    let (Ok(Query(link)), Some(pool_id)) = (link, UserPoolId::parse(&user_pool_id)) else {
        return shown(StatusCode::BAD_REQUEST, &INVALID);
    };
    let peer = peer.map(|Extension(peer)| peer);
    let call = Observation::begin(System::Page, Operation::ConfirmSignUp, &headers, &doors.app.random);
    let caller = authenticate::anonymous(&call, &headers, peer, &doors.proxies);
    let request = ConfirmSignUpRequest {
        client_id: Some(link.client_id),
        username: Some(link.user_name),
        confirmation_code: Some(link.confirmation_code),
        ..Default::default()
    };
    let context = Context { operation: Operation::ConfirmSignUp, app: doors.app, caller };
    let confirmed = call.run(confirmed(&context, &pool_id, request)).await;
    call.ended(&confirmed);
    match confirmed {
        Ok(()) => shown(StatusCode::OK, &CONFIRMED),
        Err(error) => {
            pipeline::refused(&context.app, &error, &context.caller).await;
            shown(status::http_status(error.exception), refusal(&error))
        }
    }
}

async fn confirmed(context: &Context, pool_id: &UserPoolId, request: ConfirmSignUpRequest) -> Result<(), Error> {
    checks::check(&request, context.app.settings.in_development)?;
    // This is the work of the operation, so it counts to the same quota.
    pipeline::spend_quota(context, &request).await?;
    let (app, caller) = (&context.app, &context.caller);
    settled(Exception::TooManyRequestsException, || confirm_by_link(app, caller, pool_id, &request)).await
}

fn refusal(error: &Error) -> &'static Confirmation {
    match error.exception {
        Exception::NotAuthorizedException => &NOTHING_TO_CONFIRM,
        Exception::AliasExistsException => &ADDRESS_TAKEN,
        // If the limit ends after a while, the link stays valid.
        Exception::LimitExceededException if error.retry_after.is_some() => &TRY_AGAIN,
        Exception::LimitExceededException => &TOO_MANY_ATTEMPTS,
        Exception::TooManyRequestsException
        | Exception::InternalErrorException
        | Exception::ServiceUnavailableException => &TRY_AGAIN,
        // All of these read the same: the page doesn't tell whether there is such a user.
        _ => &INVALID,
    }
}

static QUESTION: Confirmation = Confirmation {
    title: "Confirm your e-mail address",
    text: "Press the button to confirm the address and to finish your registration.",
    button: Some("Confirm"),
};
static CONFIRMED: Confirmation = Confirmation {
    title: "Your registration is confirmed",
    text: "You can close this page and sign in.",
    button: None,
};
static INVALID: Confirmation = Confirmation {
    title: "This link is not valid",
    text: "It may be incomplete, too old, used already, or replaced by a newer one. You can ask for a new one where you \
           signed up.",
    button: None,
};
static NOTHING_TO_CONFIRM: Confirmation = Confirmation {
    title: "There is nothing to confirm",
    text: "This registration is confirmed already, or it can't be confirmed any more. Try to sign in.",
    button: None,
};
static ADDRESS_TAKEN: Confirmation = Confirmation {
    title: "This address belongs to another account",
    text: "An account with this e-mail address exists already. Try to sign in with the address.",
    button: None,
};
static TOO_MANY_ATTEMPTS: Confirmation = Confirmation {
    title: "Too many attempts",
    text: "This link can't be used any more. You can ask for a new one where you signed up.",
    button: None,
};
static TRY_AGAIN: Confirmation = Confirmation {
    title: "Please try again",
    text: "Your registration could not be confirmed just now. Wait a moment and press the button again.",
    button: Some("Try again"),
};

/// Allows the page's own style and form, and nothing else. No other page may show it in a frame, where users could
/// press the button without seeing it.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = STANDARD.encode(digest(&SHA256, Confirmation::STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
});

fn shown(status: StatusCode, page: &Confirmation) -> Response {
    let body = match page.render() {
        Ok(body) => body,
        Err(error) => {
            tracing::error!(%error, "a page can't be written");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY.as_str()),
        // The address of the page contains the code.
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("x-robots-tag"), "noindex"),
    ];
    (status, headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_temporary_limit_leaves_the_link_valid() {
        let forever = Error::new(Exception::LimitExceededException, "No more.");
        assert_eq!(refusal(&forever).title, TOO_MANY_ATTEMPTS.title);
        let for_a_while = Error { retry_after: Some(Duration::from_secs(60)), ..forever };
        assert_eq!(refusal(&for_a_while).title, TRY_AGAIN.title);
        assert_eq!(refusal(&Error::rate_exceeded(Duration::from_secs(1))).title, TRY_AGAIN.title);
    }
}
