//! The user of an access token, whose passkeys an operation is about.

use crate::app::user::signed_in::{SignedIn, signed_in_with, verified};
use crate::app::{App, Failure};
use crate::domain::error::{Error, Exception};
use crate::store::read::Wanted;
use crate::tokens::access_token::AccessToken;

/// An access token with a valid signature.
pub async fn token(app: &App, text: &str) -> Result<AccessToken, Failure> {
    verified(app, text).await.map_err(|failure| failure.map_refusal(as_listed))
}

/// The user of a token, with whatever else is wanted.
pub async fn owner_with(app: &App, token: &AccessToken, wanted: Wanted<'_>) -> Result<SignedIn, Failure> {
    signed_in_with(app, token, wanted).await.map_err(|failure| failure.map_refusal(as_listed))
}

/// The user of the token in a request.
pub async fn owner(app: &App, text: &str) -> Result<SignedIn, Failure> {
    owner_with(app, &token(app, text).await?, Wanted::default()).await
}

/// A refusal in Cognito's list for these operations: it has no exception for a user who is gone.
fn as_listed(error: Error) -> Error {
    error.unless(Exception::UserNotFoundException, |error| Error::not_authorized(error.message))
}
