//! The body of a request, read as a whole: bounded in size and in time, at every door.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::domain::error::{Error, Exception};

/// A request larger than this is refused.
pub const LARGEST_BODY: usize = 1024 * 1024;
/// How long a body may take to arrive as a whole.
const LONGEST_BODY: Duration = Duration::from_secs(10);

/// Reads a body; what frames the request in it comes on top of the largest request.
pub async fn whole(body: Body, frame: usize) -> Result<Bytes, Error> {
    let refusal = |message: String| Err(Error::new(Exception::SerializationException, message));
    match tokio::time::timeout(LONGEST_BODY, Limited::new(body, LARGEST_BODY + frame).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => refusal(too_large()),
        Ok(Err(_)) => refusal("The request's body broke off.".to_owned()),
        Err(_) => refusal(format!("The request's body took longer than {} seconds.", LONGEST_BODY.as_secs())),
    }
}

/// What is told of a request that is too large.
pub fn too_large() -> String {
    format!("The request is larger than {LARGEST_BODY} bytes.")
}
