//! Codes that prove something: how long a code is valid, how often it may be guessed, how often one is sent.

use subtle::ConstantTimeEq;

use crate::domain::decision::Decision;
use crate::domain::error::{Error, Exception};
use crate::domain::message::Medium;
use crate::domain::source::{Source, Tally};
use crate::domain::time::Timestamp;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::events::{CodePurpose, UserCodeRefused, UserCodeSent};

/// This many wrong guesses from one source spend a code for that source. So a code gets at most ten guesses.
pub const MOST_GUESSES: i32 = 5;
const HOUR: i64 = 60 * 60;
/// How many seconds an expired code is kept, because it says how many codes were sent in its hour. The hour began no
/// later than the code expired.
pub const COUNTS_SECONDS: i64 = HOUR;

/// Where a code goes: the medium and the address.
pub type Delivery = (Medium, String);

/// A code that was sent, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentCode {
    /// A keyed hash of the code and the address that it proves.
    pub hash: Vec<u8>,
    /// The attribute that the code proves.
    pub attribute: String,
    /// A keyed hash of the network that requested the code.
    pub asked_from: Option<Vec<u8>>,
    /// Wrong guesses so far, from familiar and from other networks.
    pub attempts: Tally,
    /// When the code expires.
    pub expires_at: Timestamp,
    /// How many codes were sent in this hour, including this one, at the request of familiar and of other networks.
    pub sent: Tally,
    /// When the hour of `sent` began.
    pub window_began: Timestamp,
}

/// The network from which a code is guessed.
#[derive(Clone, Copy, Debug)]
pub struct Guesser<'a> {
    /// A keyed hash of the network.
    pub network: &'a [u8],
    /// Whether the user has signed in lately from this network.
    pub source: Source,
    /// Whether the user has signed in lately from any network.
    pub is_known: bool,
}

impl SentCode {
    /// The source of a guess at this code. If the user is known on some network, the source says whether the guess
    /// comes from there: so a stranger who requests a code uses up none of the user's guesses. If the user is known
    /// nowhere, the network that requested the code is the familiar one.
    fn source(&self, guesser: Guesser<'_>) -> Source {
        let has_asked = || self.asked_from.as_deref() == Some(guesser.network);
        if guesser.source == Source::Strange && !guesser.is_known && has_asked() {
            Source::Familiar
        } else {
            guesser.source
        }
    }

    fn is_exhausted(&self, guesser: Guesser<'_>) -> bool {
        self.attempts.of(self.source(guesser)) >= MOST_GUESSES
    }

    /// The wrong guesses after one more by this guesser.
    pub fn attempts_with(&self, guesser: Guesser<'_>) -> Tally {
        self.attempts.and_one(self.source(guesser))
    }
}

/// A guess at a code.
#[derive(Clone, Debug)]
pub struct Guessed<'a> {
    /// The code that is stored for the user, if any.
    pub sent: Option<&'a SentCode>,
    /// The code that is stored for the name, where the caller may not learn which users exist. The answer to a wrong
    /// guess follows from it alone, so it is the same whether or not a user has the name.
    pub by_name: Option<&'a SentCode>,
    /// Whether the answer must not reveal which users exist.
    pub hides_users: bool,
    /// The guess, hashed like the code.
    pub hash: Vec<u8>,
    /// The network that the guess comes from.
    pub guesser: Guesser<'a>,
    /// When the guess is made.
    pub at: Timestamp,
}

/// How a guess changes a stored code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeOutcome {
    /// The code stays as it is, and nothing is written.
    Kept,
    /// The code gets one more wrong guess.
    Guessed,
    /// The code stays as it is; the commit asserts the number of guesses.
    Asserted,
    /// The code is used up; the commit asserts the number of guesses.
    Spent,
}

/// Why a code proves nothing, as the caller is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeFault {
    /// The code has expired, was used, or was never sent.
    Expired,
    /// Too many wrong guesses were made before.
    Exhausted,
    /// The guess is not the code that was sent.
    Wrong {
        /// How many wrong guesses were made, including this one.
        attempts: i32,
    },
}

impl CodeFault {
    /// The fact to be recorded, for a wrong guess.
    fn fact(self, purpose: CodePurpose) -> Option<Activity> {
        match self {
            Self::Expired | Self::Exhausted => None,
            Self::Wrong { attempts } => {
                Some(Activity::CodeRefused(UserCodeRefused { purpose: purpose.into(), attempts }))
            }
        }
    }

    /// The error for the caller.
    pub fn error(self) -> Error {
        match self {
            Self::Expired => expired(),
            Self::Exhausted => Error::limit_exceeded(),
            Self::Wrong { .. } => mismatch(),
        }
    }
}

/// The outcome of a guess at a code.
#[derive(Debug)]
pub struct Guess {
    /// The decision about the user who guesses.
    pub decision: Decision<Event, Activity, ()>,
    /// How the guess changes the user's code.
    pub code: CodeOutcome,
    /// How the guess changes the code that is stored for the name.
    pub by_name: CodeOutcome,
}

impl Guess {
    /// A right code, with the events that follow.
    pub fn right(events: Vec<Event>) -> Self {
        Self { decision: Decision::events(events, ()), code: CodeOutcome::Spent, by_name: CodeOutcome::Kept }
    }

    /// A refusal that leaves both codes as they are.
    pub fn refuse(error: Error) -> Self {
        Self { decision: Decision::refuse(error), code: CodeOutcome::Kept, by_name: CodeOutcome::Kept }
    }

    /// A refusal despite a right code. The commit asserts that the code was right, as for any proof.
    pub fn refuse_proved(error: Error) -> Self {
        Self { code: CodeOutcome::Asserted, ..Self::refuse(error) }
    }
}

/// The refusal of a guess that proves nothing: the error, and how it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The error that the caller is told.
    pub shown: CodeFault,
    code: CodeOutcome,
    by_name: CodeOutcome,
}

impl Fault {
    fn of_user(shown: CodeFault) -> Self {
        let code = if matches!(shown, CodeFault::Wrong { .. }) { CodeOutcome::Guessed } else { CodeOutcome::Kept };
        Self { shown, code, by_name: CodeOutcome::Kept }
    }

    /// How the guess changes the user's code.
    pub fn code(self) -> CodeOutcome {
        self.code
    }

    /// How the guess changes the code that is stored for the name.
    pub fn by_name(self) -> CodeOutcome {
        self.by_name
    }

    /// The outcome of the guess.
    pub fn guess(self, purpose: CodePurpose) -> Guess {
        let decision = Decision::refuse(self.shown.error()).with_activity(self.shown.fact(purpose));
        Guess { decision, code: self.code, by_name: self.by_name }
    }
}

/// The refusal of a code that has expired, was used or was never sent.
pub fn expired() -> Error {
    Error::new(Exception::ExpiredCodeException, "Invalid code provided, please request a code again.")
}

/// The refusal of a wrong code.
pub fn mismatch() -> Error {
    Error::new(Exception::CodeMismatchException, "Invalid verification code provided, please try again.")
}

impl<'a> Guessed<'a> {
    /// Returns the code that was sent, if the guess matches it in time and within the limit of guesses.
    ///
    /// Where the caller may not learn which users exist, only a guess that matches the code reveals that a code was
    /// sent, or has expired. The answer to any other guess depends on the guesses through this name, and the guess
    /// counts for the user as well.
    pub fn check(&self) -> Result<&'a SentCode, Fault> {
        if self.hides_users { self.check_hidden() } else { self.check_openly().map_err(Fault::of_user) }
    }

    fn check_openly(&self) -> Result<&'a SentCode, CodeFault> {
        let sent = self.sent.filter(|sent| self.at < sent.expires_at).ok_or(CodeFault::Expired)?;
        self.compare(sent)
    }

    fn check_hidden(&self) -> Result<&'a SentCode, Fault> {
        let compared = self.sent.map(|sent| self.compare(sent));
        match compared {
            Some(Ok(sent)) if self.at < sent.expires_at => return Ok(sent),
            // The guess matches, so the caller has the code and may learn that it has expired.
            Some(Ok(_)) => {
                return Err(Fault { code: CodeOutcome::Asserted, ..Fault::of_user(CodeFault::Expired) });
            }
            _ => {}
        }
        // If no code is stored, the guess is counted anyway; if the code is used up, its count is asserted. So all
        // guesses write the same amount.
        let is_used_up = matches!(compared, Some(Err(CodeFault::Exhausted)));
        let code = if is_used_up { CodeOutcome::Asserted } else { CodeOutcome::Guessed };
        let exhausted = self.by_name.is_some_and(|kept| kept.is_exhausted(self.guesser));
        let (shown, by_name) = if exhausted {
            (CodeFault::Exhausted, CodeOutcome::Kept)
        } else {
            let before = self.by_name.map_or(0, |kept| kept.attempts.sum());
            (CodeFault::Wrong { attempts: before + 1 }, CodeOutcome::Guessed)
        };
        Err(Fault { shown, code, by_name })
    }

    fn compare(&self, sent: &'a SentCode) -> Result<&'a SentCode, CodeFault> {
        if sent.is_exhausted(self.guesser) {
            return Err(CodeFault::Exhausted);
        }
        let is_right = bool::from(sent.hash.ct_eq(&self.hash));
        if is_right { Ok(sent) } else { Err(CodeFault::Wrong { attempts: sent.attempts.sum() + 1 }) }
    }
}

/// How long a code is valid, in seconds.
pub fn lifetime_seconds(purpose: CodePurpose) -> i64 {
    match purpose {
        CodePurpose::SignUp | CodePurpose::VerifyEmail | CodePurpose::VerifyPhoneNumber => 24 * HOUR,
        CodePurpose::ForgotPassword | CodePurpose::Unspecified => HOUR,
        CodePurpose::SignInByEmail | CodePurpose::SignInBySms => 3 * 60,
    }
}

/// The most codes per user and hour that one source can request. Codes of sign-ins follow a first proof, and people
/// sign in more often than they forget passwords.
fn most_sent(purpose: CodePurpose) -> i32 {
    match purpose {
        CodePurpose::SignInByEmail | CodePurpose::SignInBySms => 20,
        _ => 5,
    }
}

/// The purpose of a code that proves an address of this medium.
pub fn verification(medium: Medium) -> CodePurpose {
    match medium {
        Medium::Email => CodePurpose::VerifyEmail,
        Medium::Sms => CodePurpose::VerifyPhoneNumber,
    }
}

/// The purpose of a code that signs in by this medium.
pub fn sign_in(medium: Medium) -> CodePurpose {
    match medium {
        Medium::Email => CodePurpose::SignInByEmail,
        Medium::Sms => CodePurpose::SignInBySms,
    }
}

/// The fact that records a sent code.
pub fn sent(purpose: CodePurpose, medium: Medium) -> Activity {
    Activity::CodeSent(UserCodeSent { purpose: purpose.into(), delivery_medium: medium.name().to_owned() })
}

/// Refuses another code if this source has already requested the most codes of the hour.
pub fn refuse_too_many(
    before: Option<&SentCode>,
    purpose: CodePurpose,
    source: Source,
    at: Timestamp,
) -> Result<(), Error> {
    let many = within_the_hour(before, at).is_some_and(|before| before.sent.of(source) >= most_sent(purpose));
    if many { Err(Error::limit_exceeded()) } else { Ok(()) }
}

fn within_the_hour(before: Option<&SentCode>, at: Timestamp) -> Option<&SentCode> {
    before.filter(|before| at < before.window_began.plus_seconds(HOUR))
}

/// The record for the first wrong guess at a code that was never sent. Its hash matches no guess.
pub fn never_sent(network: Option<&[u8]>, at: Timestamp) -> SentCode {
    SentCode {
        hash: Vec::new(),
        attribute: String::new(),
        asked_from: network.map(<[u8]>::to_vec),
        attempts: Tally::default().and_one(Source::Familiar),
        // How long guesses are remembered if no code was ever sent.
        expires_at: at.plus_seconds(HOUR),
        sent: Tally::default(),
        window_began: at,
    }
}

/// A request for a code.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// Whether the user is known on the network of the caller.
    pub source: Source,
    /// A keyed hash of the caller's network.
    pub network: Option<&'a [u8]>,
    /// When the code is requested.
    pub at: Timestamp,
}

/// The record of a code that is sent now. Refused if too many codes were sent in this hour.
pub fn one_more(
    before: Option<&SentCode>,
    purpose: CodePurpose,
    medium: Medium,
    hash: Vec<u8>,
    wish: Wish<'_>,
) -> Result<SentCode, Error> {
    let Wish { source, network, at } = wish;
    refuse_too_many(before, purpose, source, at)?;
    let (sent, window_began) = match within_the_hour(before, at) {
        Some(before) => (before.sent, before.window_began),
        None => (Tally::default(), at),
    };
    Ok(SentCode {
        hash,
        attribute: medium.attribute().to_owned(),
        asked_from: network.map(<[u8]>::to_vec),
        attempts: Tally::default(),
        expires_at: at.plus_seconds(lifetime_seconds(purpose)),
        sent: sent.and_one(source),
        window_began,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{at, refusal, sent_code};

    const HERE: Guesser<'_> = Guesser { network: b"here", source: Source::Strange, is_known: false };
    const ELSEWHERE: Guesser<'_> = Guesser { network: b"elsewhere", ..HERE };

    fn wish(source: Source, now: i64) -> Wish<'static> {
        Wish { source, network: Some(HERE.network), at: at(now) }
    }

    fn before(familiar: i32, strange: i32) -> SentCode {
        SentCode { sent: Tally { familiar, strange }, ..sent_code() }
    }

    #[test]
    fn each_source_can_request_five_codes_in_an_hour() {
        let next = |before: Option<&SentCode>, source, now| {
            let code = one_more(before, CodePurpose::SignUp, Medium::Email, Vec::new(), wish(source, now))?;
            Ok::<_, Error>((code.sent.familiar, code.sent.strange, code.window_began))
        };
        let (familiar, strange) = (Source::Familiar, Source::Strange);
        assert_eq!(next(None, familiar, 7).unwrap(), (1, 0, at(7)));
        assert_eq!(next(Some(&before(1, 0)), familiar, 101).unwrap(), (2, 0, at(0)));
        assert_eq!(next(Some(&before(4, 5)), familiar, 3_599).unwrap(), (5, 5, at(0)), "strangers used up their own");
        assert_eq!(next(Some(&before(5, 4)), strange, 3_599).unwrap(), (5, 5, at(0)));
        let message = "Attempt limit exceeded, please try after some time.".to_owned();
        let limit = (Exception::LimitExceededException, message);
        assert_eq!(refusal(next(Some(&before(5, 0)), familiar, 3_599)), limit);
        assert_eq!(refusal(next(Some(&before(0, 5)), strange, 3_599)), limit);
        assert_eq!(next(Some(&before(5, 5)), familiar, 3_600).unwrap(), (1, 0, at(3_600)));
    }

    #[test]
    fn a_code_for_a_forgotten_password_lives_an_hour_and_others_a_day() {
        let wish = wish(Source::Familiar, 0);
        let lives = |purpose| one_more(None, purpose, Medium::Sms, Vec::new(), wish).unwrap().expires_at;
        assert_eq!(lives(CodePurpose::ForgotPassword), at(3_600));
        for purpose in [CodePurpose::SignUp, verification(Medium::Email), verification(Medium::Sms)] {
            assert_eq!(lives(purpose), at(86_400));
        }
        assert_eq!(Medium::ALL.map(sign_in).map(lives), [at(180); 2], "a sign-in does not take long");
    }

    #[test]
    fn twenty_codes_of_sign_ins_are_sent_in_an_hour() {
        let wish = wish(Source::Familiar, 9);
        let more = |sent, purpose| one_more(Some(&before(sent, 0)), purpose, Medium::Sms, Vec::new(), wish).is_ok();
        assert!(Medium::ALL.map(sign_in).iter().all(|purpose| more(19, *purpose) && !more(20, *purpose)));
        assert!(!more(5, CodePurpose::ForgotPassword));
    }

    fn guessed<'a>(sent: Option<&'a SentCode>, hash: &[u8], guesser: Guesser<'a>, now: i64) -> Guessed<'a> {
        Guessed { sent, by_name: None, hides_users: false, hash: hash.to_vec(), guesser, at: at(now) }
    }

    #[test]
    fn a_code_is_right_wrong_exhausted_or_expired() {
        let after = |familiar, guess: &[u8], now| {
            let sent = SentCode { attempts: Tally { familiar, strange: 0 }, ..sent_code() };
            let checked = guessed(Some(&sent), guess, HERE, now).check();
            checked.map(drop).map_err(|fault| (fault.shown, fault.code))
        };
        let kept = |shown| Err((shown, CodeOutcome::Kept));
        assert_eq!(after(4, b"right", 99), Ok(()), "the fifth guess may be right");
        assert_eq!(after(4, b"wrong", 99), Err((CodeFault::Wrong { attempts: 5 }, CodeOutcome::Guessed)));
        assert_eq!(after(5, b"right", 99), kept(CodeFault::Exhausted));
        assert_eq!(after(0, b"right", 100), kept(CodeFault::Expired));
        assert_eq!(after(0, b"wrong", 100), kept(CodeFault::Expired));
        assert_eq!(guessed(None, b"right", HERE, 0).check().unwrap_err().shown, CodeFault::Expired);
    }

    #[test]
    fn the_requester_of_a_code_has_guesses_of_their_own_and_ten_are_the_most() {
        let after = |familiar, strange, guesser| {
            let sent = SentCode { attempts: Tally { familiar, strange }, ..sent_code() };
            guessed(Some(&sent), b"right", guesser, 0).check().map(drop).map_err(|fault| fault.shown)
        };
        assert_eq!(after(4, 5, HERE), Ok(()), "strangers used up their own");
        assert_eq!(after(5, 4, ELSEWHERE), Ok(()));
        for (familiar, strange, guesser) in [(5, 0, HERE), (0, 5, ELSEWHERE), (5, 5, HERE), (5, 5, ELSEWHERE)] {
            assert_eq!(after(familiar, strange, guesser), Err(CodeFault::Exhausted), "{familiar} {strange}");
        }
        // If the user is known elsewhere, the network that requested the code is a stranger's, and the user at home is
        // familiar.
        let (home, asker) =
            (Guesser { source: Source::Familiar, is_known: true, ..ELSEWHERE }, Guesser { is_known: true, ..HERE });
        for sent in [sent_code(), SentCode { asked_from: None, ..sent_code() }] {
            assert_eq!(sent.attempts_with(home), Tally { familiar: 1, strange: 0 });
            assert_eq!(sent.attempts_with(asker), Tally { familiar: 0, strange: 1 });
        }
        let sent = sent_code();
        assert_eq!(sent.attempts_with(HERE), Tally { familiar: 1, strange: 0 });
        assert_eq!(sent.attempts_with(ELSEWHERE), Tally { familiar: 0, strange: 1 });
    }

    /// The outcome of a guess with hidden users: the error, and how both codes change.
    fn hidden(
        sent: Option<&SentCode>,
        by_name: Option<&SentCode>,
        hash: &[u8],
        now: i64,
    ) -> Result<(), (CodeFault, CodeOutcome, CodeOutcome)> {
        let guessed = Guessed { by_name, hides_users: true, ..guessed(sent, hash, HERE, now) };
        guessed.check().map(drop).map_err(|fault| (fault.shown, fault.code, fault.by_name))
    }

    #[test]
    fn where_users_are_hidden_only_the_right_code_reveals_that_one_was_sent() {
        use CodeOutcome::{Asserted, Guessed, Kept};
        let counted = |familiar| SentCode { attempts: Tally { familiar, strange: 0 }, ..sent_code() };
        assert_eq!(hidden(Some(&counted(4)), None, b"right", 99), Ok(()));
        assert_eq!(hidden(Some(&counted(4)), Some(&counted(5)), b"right", 99), Ok(()), "who has it may show it");
        assert_eq!(hidden(Some(&counted(4)), None, b"right", 100), Err((CodeFault::Expired, Asserted, Kept)));
        let by_name = never_sent(Some(HERE.network), at(7));
        let second = CodeFault::Wrong { attempts: 2 };
        // The answers about codes of users, in any state, and about codes of unknown names are the same.
        for (sent, code) in [(Some(&counted(0)), Guessed), (Some(&counted(5)), Asserted), (None, Guessed)] {
            for now in [99, 100] {
                assert_eq!(hidden(sent, Some(&by_name), b"wrong", now), Err((second, code, Guessed)));
                assert_eq!(hidden(sent, None, b"wrong", now), Err((CodeFault::Wrong { attempts: 1 }, code, Guessed)));
                assert_eq!(hidden(sent, Some(&counted(5)), b"wrong", now), Err((CodeFault::Exhausted, code, Kept)));
            }
        }
        assert_eq!(hidden(Some(&counted(5)), Some(&by_name), b"right", 99), Err((second, Asserted, Guessed)));
        let wish = wish(Source::Familiar, 9);
        let first = one_more(Some(&by_name), CodePurpose::SignUp, Medium::Email, b"right".to_vec(), wish).unwrap();
        assert_eq!((first.sent.sum(), first.attempts.sum()), (1, 0), "a guess is no code that was sent");
    }

    #[test]
    fn only_a_wrong_guess_is_recorded() {
        let counted = UserCodeRefused { purpose: CodePurpose::SignUp.into(), attempts: 3 };
        let fact = CodeFault::Wrong { attempts: 3 }.fact(CodePurpose::SignUp);
        assert_eq!(fact, Some(Activity::CodeRefused(counted)));
        for fault in [CodeFault::Expired, CodeFault::Exhausted] {
            assert_eq!(fault.fact(CodePurpose::SignUp), None);
        }
        let exhausted = CodeFault::Exhausted.error();
        assert_eq!(exhausted.exception, Exception::LimitExceededException);
        assert_eq!(exhausted.message, "Attempt limit exceeded, please try after some time.");
    }
}
