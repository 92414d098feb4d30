//! How often codes are sent: at most five to a user, for a purpose, in an hour.

use crate::domain::error::{Error, Exception};
use crate::domain::time::Timestamp;
use crate::domain::user::confirm_sign_up::SentCode;

const MOST_SENT: i32 = 5;
const WINDOW_SECONDS: i64 = 60 * 60;

/// The count and the beginning of the hour once another code is sent. Refused when there were too many.
pub fn one_more(before: Option<&SentCode>, at: Timestamp) -> Result<(i32, Timestamp), Error> {
    let within = before.filter(|before| at < before.window_began.plus_seconds(WINDOW_SECONDS));
    match within {
        Some(before) if before.sent >= MOST_SENT => {
            let message = "Attempt limit exceeded, please try after some time.";
            Err(Error::new(Exception::LimitExceededException, message))
        }
        Some(before) => Ok((before.sent + 1, before.window_began)),
        None => Ok((1, at)),
    }
}
