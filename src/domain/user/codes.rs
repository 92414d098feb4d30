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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{at, refusal};

    fn before(sent: i32) -> SentCode {
        SentCode {
            hash: Vec::new(),
            attribute: "email".to_owned(),
            attempts: 0,
            expires_at: at(0),
            sent,
            window_began: at(100),
        }
    }

    #[test]
    fn five_codes_go_out_in_an_hour_and_then_a_new_hour_begins() {
        assert_eq!(one_more(None, at(7)).unwrap(), (1, at(7)));
        assert_eq!(one_more(Some(&before(1)), at(101)).unwrap(), (2, at(100)));
        assert_eq!(one_more(Some(&before(4)), at(3_699)).unwrap(), (5, at(100)));
        let message = "Attempt limit exceeded, please try after some time.".to_owned();
        let limit = (Exception::LimitExceededException, message);
        assert_eq!(refusal(one_more(Some(&before(5)), at(3_699))), limit);
        assert_eq!(one_more(Some(&before(5)), at(3_700)).unwrap(), (1, at(3_700)));
    }
}
