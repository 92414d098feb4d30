//! The whole body of a request: bounded in size and time at each door, and in memory over all doors.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::Extensions;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::api::listener::Allowance;
use crate::domain::error::{Error, Exception};
use crate::limits::shares::Taken;
use crate::telemetry::metrics;

/// A request larger than this is refused.
pub const LARGEST_BODY: usize = 1024 * 1024;

/// A body, with the memory that is counted for it until the call has ended.
#[derive(Debug)]
pub struct Whole {
    /// The body as it was sent, without decoding.
    pub bytes: Bytes,
    /// The body's share of the memory for all bodies.
    pub memory: Taken,
}

/// Reads a body. `frame` bytes are allowed on top of the largest request, for the framing.
pub async fn whole(body: Body, frame: usize, extensions: &Extensions) -> Result<Whole, Error> {
    let allowance = extensions.get::<Arc<Allowance>>().ok_or_else(|| Error::internal("no allowance for the body"))?;
    let longest = allowance.longest_body;
    let read = tokio::time::timeout(longest, collect(Limited::new(body, LARGEST_BODY + frame), allowance));
    read.await.unwrap_or_else(|_| Err(took_too_long(longest)))
}

/// Bytes are counted when they arrive: announcing a large body takes no memory.
async fn collect(mut body: Limited<Body>, allowance: &Allowance) -> Result<Whole, Error> {
    let mut memory = allowance.bodies.take(0).ok_or_else(refused)?;
    let (mut first, mut all) = (Bytes::new(), Vec::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken(&*error))?;
        // Trailers are ignored.
        let Ok(data) = frame.into_data() else { continue };
        if first.is_empty() && all.is_empty() {
            make_room(&mut memory, 0, data.len())?;
            first = data;
        } else {
            // A frame can keep a larger read buffer alive, so it is copied: then the count is the memory in use.
            let before = all.len() + first.len();
            let capacity = (before + data.len()).next_power_of_two();
            if capacity > all.capacity() {
                make_room(&mut memory, before.max(all.capacity()), capacity)?;
                all.reserve_exact(capacity - all.len());
            }
            all.extend_from_slice(&std::mem::take(&mut first));
            all.extend_from_slice(&data);
        }
    }
    Ok(Whole { bytes: if all.is_empty() { first } else { all.into() }, memory })
}

/// Counts `now` bytes in place of the `before` bytes that were counted.
fn make_room(memory: &mut Taken, before: usize, now: usize) -> Result<(), Error> {
    if memory.take(now.saturating_sub(before)) { Ok(()) } else { Err(refused()) }
}

fn refused() -> Error {
    metrics::BODIES_REFUSED.add(1, []);
    Error::too_many_requests()
}

fn broken(error: &(dyn std::error::Error + 'static)) -> Error {
    let message = if error.is::<LengthLimitError>() { too_large() } else { "The request's body broke off.".to_owned() };
    Error::new(Exception::SerializationException, message)
}

fn took_too_long(longest: Duration) -> Error {
    let message = format!("The request's body took longer than {} seconds.", longest.as_secs());
    Error::new(Exception::SerializationException, message)
}

/// The message for a request that is too large.
pub fn too_large() -> String {
    format!("The request is larger than {LARGEST_BODY} bytes.")
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::StreamExt;

    use super::*;
    use crate::limits::shares::Shares;

    fn extensions(shares: &Arc<Shares>) -> Extensions {
        let mut extensions = Extensions::new();
        let allowance = Allowance { bodies: shares.of_many(), longest_body: Duration::from_secs(10) };
        extensions.insert(Arc::new(allowance));
        extensions
    }

    fn pieces(pieces: &[&'static str]) -> Body {
        let pieces: Vec<_> =
            pieces.iter().map(|piece| Ok::<_, Infallible>(Bytes::from_static(piece.as_bytes()))).collect();
        Body::from_stream(futures::stream::iter(pieces))
    }

    #[tokio::test]
    async fn a_body_is_whole_in_any_number_of_pieces() {
        let shares = Shares::new(100, 100);
        for (came, expected) in
            [(&[][..], ""), (&["abc"], "abc"), (&["a", "", "bc"], "abc"), (&["", "abc", "def", "g"], "abcdefg")]
        {
            let whole = whole(pieces(came), 0, &extensions(&shares)).await.unwrap();
            assert_eq!(whole.bytes, expected);
        }
    }

    #[tokio::test]
    async fn bodies_count_from_their_arrival_to_the_end_of_their_calls() {
        let shares = Shares::new(10, 10);
        let extensions = extensions(&shares);
        let first = whole(pieces(&["1234", "5678"]), 0, &extensions).await.unwrap();
        let refused = whole(pieces(&["12", "3"]), 0, &extensions).await.unwrap_err();
        assert_eq!(refused.exception, Exception::TooManyRequestsException);
        // A body that is still arriving counts for its bytes so far.
        let open = Body::from_stream(
            futures::stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"12"))]).chain(futures::stream::pending()),
        );
        let mut open = Box::pin(whole(open, 0, &extensions));
        assert!(futures::poll!(&mut open).is_pending());
        whole(pieces(&["1"]), 0, &extensions).await.unwrap_err();
        drop(open);
        drop(whole(pieces(&["12"]), 0, &extensions).await.unwrap());
        drop(first);
        whole(pieces(&["1234567890"]), 0, &extensions).await.unwrap();
    }
}
