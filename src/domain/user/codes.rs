//! Codes that prove something: how long one is good, how often one may be guessed, how often one is sent.

use subtle::ConstantTimeEq;

use crate::domain::decision::Decision;
use crate::domain::error::{Error, Exception};
use crate::domain::message::Medium;
use crate::domain::time::Timestamp;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::events::{CodePurpose, UserCodeRefused, UserCodeSent};

/// So many wrong guesses spend a code.
pub const MOST_GUESSES: i32 = 5;
/// So many codes go out to a user, for a purpose, in an hour.
const MOST_SENT: i32 = 5;
const HOUR: i64 = 60 * 60;
/// So long after its end a code still says how many were sent in its hour: a code ends no sooner than its hour begins.
pub const COUNTS_SECONDS: i64 = HOUR;

/// Where a code goes: the medium and the address.
pub type Delivery = (Medium, String);

/// A code that was sent, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentCode {
    /// Keyed hash of the code, with the address that it proves.
    pub hash: Vec<u8>,
    /// The attribute that it proves.
    pub attribute: String,
    /// Wrong guesses so far.
    pub attempts: i32,
    /// Until when it is good.
    pub expires_at: Timestamp,
    /// How many codes were sent in this hour, this one included.
    pub sent: i32,
    /// When the hour began.
    pub window_began: Timestamp,
}

/// What becomes of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeOutcome {
    /// It stays as it is.
    Kept,
    /// One more wrong guess.
    Guessed,
    /// It is used up.
    Spent,
}

/// Why a code proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeFault {
    /// It is old, used, or was never sent.
    Expired,
    /// Too many wrong guesses came before.
    Exhausted,
    /// It is not the one that was sent; so many wrong guesses there are with this one.
    Wrong {
        /// The wrong guesses.
        attempts: i32,
    },
}

impl CodeFault {
    /// What becomes of the code.
    fn outcome(self) -> CodeOutcome {
        match self {
            Self::Expired | Self::Exhausted => CodeOutcome::Kept,
            Self::Wrong { .. } => CodeOutcome::Guessed,
        }
    }

    /// What is recorded: a wrong guess counts.
    fn fact(self, purpose: CodePurpose) -> Option<Activity> {
        match self {
            Self::Expired | Self::Exhausted => None,
            Self::Wrong { attempts } => {
                Some(Activity::CodeRefused(UserCodeRefused { purpose: purpose.into(), attempts }))
            }
        }
    }

    /// What the caller reads.
    fn error(self) -> Error {
        match self {
            Self::Expired => expired(),
            Self::Exhausted => Error::limit_exceeded(),
            Self::Wrong { .. } => mismatch(),
        }
    }
}

/// What a guess at a code comes to.
#[derive(Debug)]
pub struct Guess {
    /// About the user who guesses.
    pub decision: Decision<Event, Activity, ()>,
    /// What becomes of the code.
    pub code: CodeOutcome,
}

impl Guess {
    /// The code is right, and this follows.
    pub fn right(events: Vec<Event>) -> Self {
        Self { decision: Decision::events(events, ()), code: CodeOutcome::Spent }
    }

    /// A refusal that leaves the code as it is.
    pub fn refuse(error: Error) -> Self {
        Self { decision: Decision::refuse(error), code: CodeOutcome::Kept }
    }

    /// The refusal of a code that proves nothing.
    pub fn faulty(fault: CodeFault, purpose: CodePurpose) -> Self {
        let decision = Decision::refuse(fault.error()).with_activity(fault.fact(purpose));
        Self { decision, code: fault.outcome() }
    }
}

/// The refusal of a code that is old, was used or was never sent.
pub fn expired() -> Error {
    Error::new(Exception::ExpiredCodeException, "Invalid code provided, please request a code again.")
}

/// The refusal of a wrong code.
pub fn mismatch() -> Error {
    Error::new(Exception::CodeMismatchException, "Invalid verification code provided, please try again.")
}

/// The code that was sent, if a guess, hashed as the code was, is that one.
pub fn check<'a>(sent: Option<&'a SentCode>, guess: &[u8], at: Timestamp) -> Result<&'a SentCode, CodeFault> {
    let sent = sent.filter(|sent| at < sent.expires_at).ok_or(CodeFault::Expired)?;
    compare(sent, guess)
}

/// The same where whoever guesses may not learn whether a code was sent: without one a guess is wrong and counts, and only
/// the very code that was sent is told to be old.
pub fn check_hidden<'a>(sent: Option<&'a SentCode>, guess: &[u8], at: Timestamp) -> Result<&'a SentCode, CodeFault> {
    let sent = compare(sent.ok_or(CodeFault::Wrong { attempts: 1 })?, guess)?;
    if at < sent.expires_at { Ok(sent) } else { Err(CodeFault::Expired) }
}

fn compare<'a>(sent: &'a SentCode, guess: &[u8]) -> Result<&'a SentCode, CodeFault> {
    if sent.attempts >= MOST_GUESSES {
        return Err(CodeFault::Exhausted);
    }
    if bool::from(sent.hash.ct_eq(guess)) { Ok(sent) } else { Err(CodeFault::Wrong { attempts: sent.attempts + 1 }) }
}

/// How long a code is good for.
pub fn lifetime_seconds(purpose: CodePurpose) -> i64 {
    match purpose {
        CodePurpose::SignUp | CodePurpose::VerifyEmail | CodePurpose::VerifyPhoneNumber => 24 * HOUR,
        CodePurpose::ForgotPassword | CodePurpose::Unspecified => HOUR,
    }
}

/// What a code is for that proves an address of a medium.
pub fn verification(medium: Medium) -> CodePurpose {
    match medium {
        Medium::Email => CodePurpose::VerifyEmail,
        Medium::Sms => CodePurpose::VerifyPhoneNumber,
    }
}

/// What is recorded of a code that is sent.
pub fn sent(purpose: CodePurpose, medium: Medium) -> Activity {
    Activity::CodeSent(UserCodeSent { purpose: purpose.into(), delivery_medium: medium.name().to_owned() })
}

/// Refuses another code where so many went out within the hour.
pub fn refuse_too_many(before: Option<&SentCode>, at: Timestamp) -> Result<(), Error> {
    let many = within_the_hour(before, at).is_some_and(|before| before.sent >= MOST_SENT);
    if many { Err(Error::limit_exceeded()) } else { Ok(()) }
}

fn within_the_hour(before: Option<&SentCode>, at: Timestamp) -> Option<&SentCode> {
    before.filter(|before| at < before.window_began.plus_seconds(HOUR))
}

/// What keeps the first wrong guess at a code that was never sent: no guess has its hash.
pub fn never_sent(purpose: CodePurpose, at: Timestamp) -> SentCode {
    SentCode {
        hash: Vec::new(),
        attribute: String::new(),
        attempts: 1,
        expires_at: at.plus_seconds(lifetime_seconds(purpose)),
        sent: 0,
        window_began: at,
    }
}

/// A code that is sent now, by its hash. Refused when there were too many in the hour.
pub fn one_more(
    before: Option<&SentCode>,
    purpose: CodePurpose,
    medium: Medium,
    hash: Vec<u8>,
    at: Timestamp,
) -> Result<SentCode, Error> {
    refuse_too_many(before, at)?;
    let (sent, window_began) = match within_the_hour(before, at) {
        Some(before) => (before.sent + 1, before.window_began),
        None => (1, at),
    };
    Ok(SentCode {
        hash,
        attribute: medium.attribute().to_owned(),
        attempts: 0,
        expires_at: at.plus_seconds(lifetime_seconds(purpose)),
        sent,
        window_began,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{at, refusal};

    fn before(sent: i32) -> SentCode {
        SentCode {
            hash: b"right".to_vec(),
            attribute: "email".to_owned(),
            attempts: 0,
            expires_at: at(1_000),
            sent,
            window_began: at(100),
        }
    }

    #[test]
    fn five_codes_go_out_in_an_hour_and_then_a_new_hour_begins() {
        let next = |before: Option<&SentCode>, now| {
            one_more(before, CodePurpose::SignUp, Medium::Email, Vec::new(), now)
                .map(|code| (code.sent, code.window_began))
        };
        assert_eq!(next(None, at(7)).unwrap(), (1, at(7)));
        assert_eq!(next(Some(&before(1)), at(101)).unwrap(), (2, at(100)));
        assert_eq!(next(Some(&before(4)), at(3_699)).unwrap(), (5, at(100)));
        let message = "Attempt limit exceeded, please try after some time.".to_owned();
        let limit = (Exception::LimitExceededException, message);
        assert_eq!(refusal(next(Some(&before(5)), at(3_699))), limit);
        assert_eq!(next(Some(&before(5)), at(3_700)).unwrap(), (1, at(3_700)));
    }

    #[test]
    fn a_code_for_a_forgotten_password_lives_an_hour_and_others_a_day() {
        let lives = |purpose| one_more(None, purpose, Medium::Sms, Vec::new(), at(0)).unwrap().expires_at;
        assert_eq!(lives(CodePurpose::ForgotPassword), at(3_600));
        for purpose in [CodePurpose::SignUp, verification(Medium::Email), verification(Medium::Sms)] {
            assert_eq!(lives(purpose), at(86_400));
        }
    }

    #[test]
    fn a_code_is_right_wrong_exhausted_or_expired() {
        let after =
            |attempts, guess: &[u8], now| check(Some(&SentCode { attempts, ..before(1) }), guess, at(now)).map(drop);
        assert_eq!(after(4, b"right", 999), Ok(()), "the fifth guess may be right");
        assert_eq!(after(4, b"wrong", 999), Err(CodeFault::Wrong { attempts: 5 }));
        assert_eq!(after(5, b"right", 999), Err(CodeFault::Exhausted));
        assert_eq!(after(0, b"right", 1_000), Err(CodeFault::Expired));
        assert_eq!(after(0, b"wrong", 1_000), Err(CodeFault::Expired));
        assert_eq!(check(None, b"right", at(0)), Err(CodeFault::Expired));
    }

    #[test]
    fn where_it_is_hidden_only_the_very_code_tells_that_one_was_sent() {
        let after = |attempts, guess: &[u8], now| {
            check_hidden(Some(&SentCode { attempts, ..before(1) }), guess, at(now)).map(drop)
        };
        assert_eq!(after(4, b"right", 999), Ok(()));
        assert_eq!(after(4, b"right", 1_000), Err(CodeFault::Expired));
        for now in [999, 1_000] {
            assert_eq!(after(0, b"wrong", now), Err(CodeFault::Wrong { attempts: 1 }));
            assert_eq!(after(5, b"right", now), Err(CodeFault::Exhausted));
        }
        assert_eq!(check_hidden(None, b"right", at(0)), Err(CodeFault::Wrong { attempts: 1 }));
        let kept = never_sent(CodePurpose::SignUp, at(7));
        assert_eq!(check_hidden(Some(&kept), b"right", at(8)), Err(CodeFault::Wrong { attempts: 2 }));
        let first = one_more(Some(&kept), CodePurpose::SignUp, Medium::Email, b"right".to_vec(), at(9)).unwrap();
        assert_eq!((first.sent, first.attempts), (1, 0), "a guess is no code that was sent");
    }

    #[test]
    fn only_a_wrong_guess_counts() {
        let wrong = CodeFault::Wrong { attempts: 3 };
        assert_eq!(wrong.outcome(), CodeOutcome::Guessed);
        let counted = UserCodeRefused { purpose: CodePurpose::SignUp.into(), attempts: 3 };
        assert_eq!(wrong.fact(CodePurpose::SignUp), Some(Activity::CodeRefused(counted)));
        for fault in [CodeFault::Expired, CodeFault::Exhausted] {
            assert_eq!((fault.outcome(), fault.fact(CodePurpose::SignUp)), (CodeOutcome::Kept, None));
        }
        let exhausted = CodeFault::Exhausted.error();
        assert_eq!(exhausted.exception, Exception::LimitExceededException);
        assert_eq!(exhausted.message, "Attempt limit exceeded, please try after some time.");
    }
}
