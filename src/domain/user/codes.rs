//! Codes that prove something: how long one is good, how often one may be guessed, how often one is sent.

use subtle::ConstantTimeEq;

use crate::domain::decision::Decision;
use crate::domain::error::{Error, Exception};
use crate::domain::message::Medium;
use crate::domain::source::{Source, Tally};
use crate::domain::time::Timestamp;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::events::{CodePurpose, UserCodeRefused, UserCodeSent};

/// So many wrong guesses of one source spend a code for it: ten at most are made at a code.
pub const MOST_GUESSES: i32 = 5;
/// So many codes go out to a user, for a purpose, in an hour, at the wish of one source.
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
    /// From which network it was asked for, by keyed hash.
    pub asked_from: Option<Vec<u8>>,
    /// Wrong guesses so far, those of that network apart.
    pub attempts: Tally,
    /// Until when it is good.
    pub expires_at: Timestamp,
    /// How many codes were sent in this hour, this one included: at the wish of familiar networks, and of others.
    pub sent: Tally,
    /// When the hour began.
    pub window_began: Timestamp,
}

/// Where somebody is who guesses at a code.
#[derive(Clone, Copy, Debug)]
pub struct Guesser<'a> {
    /// The network, by keyed hash.
    pub network: &'a [u8],
    /// Whether the user is known to be there.
    pub source: Source,
    /// Whether the user is known to be anywhere.
    pub is_known: bool,
}

impl SentCode {
    /// Where a guess comes from, as this code sees it. Of a user who is known somewhere, from there or not: whoever else asks
    /// for a code takes no guess of the user's by that. Of one who is known nowhere, from the network that asked for the code
    /// or not.
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

    /// The wrong guesses with one more from a guesser.
    pub fn attempts_with(&self, guesser: Guesser<'_>) -> Tally {
        self.attempts.and_one(self.source(guesser))
    }
}

/// A guess at a code.
#[derive(Clone, Debug)]
pub struct Guessed<'a> {
    /// The code that is kept for the user, if one is.
    pub sent: Option<&'a SentCode>,
    /// What is kept of the name through which is guessed, where the caller may not learn who exists: what a wrong guess
    /// reads follows from that alone, so that it is the same whether or not somebody has the name.
    pub by_name: Option<&'a SentCode>,
    /// Whether the caller may not learn who exists.
    pub hides_users: bool,
    /// The guess, hashed as the code was.
    pub hash: Vec<u8>,
    /// Where it comes from.
    pub guesser: Guesser<'a>,
    /// The time.
    pub at: Timestamp,
}

/// What becomes of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeOutcome {
    /// It stays as it is, and nothing is written.
    Kept,
    /// One more wrong guess.
    Guessed,
    /// It stays as it is, and the guesses that were seen are asserted.
    Asserted,
    /// It is used up; the guesses that were seen are asserted.
    Spent,
}

/// Why a code proves nothing, as the caller reads it.
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
    /// What becomes of what is kept of the name.
    pub by_name: CodeOutcome,
}

impl Guess {
    /// The code is right, and this follows.
    pub fn right(events: Vec<Event>) -> Self {
        Self { decision: Decision::events(events, ()), code: CodeOutcome::Spent, by_name: CodeOutcome::Kept }
    }

    /// A refusal that leaves the code as it is.
    pub fn refuse(error: Error) -> Self {
        Self { decision: Decision::refuse(error), code: CodeOutcome::Kept, by_name: CodeOutcome::Kept }
    }

    /// The refusal of a right code. That it was right is asserted like any proof.
    pub fn refuse_proved(error: Error) -> Self {
        Self { code: CodeOutcome::Asserted, ..Self::refuse(error) }
    }
}

/// The refusal of a guess that proves nothing: what is read, and what counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What the caller reads.
    pub shown: CodeFault,
    code: CodeOutcome,
    by_name: CodeOutcome,
}

impl Fault {
    fn of_user(shown: CodeFault) -> Self {
        let code = if matches!(shown, CodeFault::Wrong { .. }) { CodeOutcome::Guessed } else { CodeOutcome::Kept };
        Self { shown, code, by_name: CodeOutcome::Kept }
    }

    /// The guess with what it comes to.
    pub fn guess(self, purpose: CodePurpose) -> Guess {
        let decision = Decision::refuse(self.shown.error()).with_activity(self.shown.fact(purpose));
        Guess { decision, code: self.code, by_name: self.by_name }
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

impl<'a> Guessed<'a> {
    /// The code that was sent, if the guess is that one, in time and in number.
    ///
    /// Where the caller may not learn who exists, only who shows the very code learns that one was sent, and when it is old.
    /// Any other guess reads as the guesses through this name say, and counts for the user as well.
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
            // Somebody has it, so it may be told that it is old.
            Some(Ok(_)) => {
                return Err(Fault { code: CodeOutcome::Asserted, ..Fault::of_user(CodeFault::Expired) });
            }
            _ => {}
        }
        // Where no code is kept one more guess at it is counted all the same, and where it is used up nothing changes: so all
        // guesses write as much.
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

/// Refuses another code where so many went out within the hour at the wish of the same source.
pub fn refuse_too_many(before: Option<&SentCode>, source: Source, at: Timestamp) -> Result<(), Error> {
    let many = within_the_hour(before, at).is_some_and(|before| before.sent.of(source) >= MOST_SENT);
    if many { Err(Error::limit_exceeded()) } else { Ok(()) }
}

fn within_the_hour(before: Option<&SentCode>, at: Timestamp) -> Option<&SentCode> {
    before.filter(|before| at < before.window_began.plus_seconds(HOUR))
}

/// What keeps the first wrong guess at a code that was never sent: no guess has its hash.
pub fn never_sent(network: Option<&[u8]>, at: Timestamp) -> SentCode {
    SentCode {
        hash: Vec::new(),
        attribute: String::new(),
        asked_from: network.map(<[u8]>::to_vec),
        attempts: Tally::default().and_one(Source::Familiar),
        // As long as guesses are remembered at which no code was ever sent.
        expires_at: at.plus_seconds(HOUR),
        sent: Tally::default(),
        window_began: at,
    }
}

/// Who wishes a code.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// Whether the user is known to be there.
    pub source: Source,
    /// The network of the caller, by keyed hash.
    pub network: Option<&'a [u8]>,
    /// The time.
    pub at: Timestamp,
}

/// A code that is sent now, by its hash. Refused when there were too many in the hour.
pub fn one_more(
    before: Option<&SentCode>,
    purpose: CodePurpose,
    medium: Medium,
    hash: Vec<u8>,
    wish: Wish<'_>,
) -> Result<SentCode, Error> {
    let Wish { source, network, at } = wish;
    refuse_too_many(before, source, at)?;
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
    fn five_codes_go_out_in_an_hour_at_the_wish_of_a_source_and_then_a_new_hour_begins() {
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
    fn who_asked_for_a_code_guesses_apart_from_everybody_else_and_ten_guesses_are_all() {
        let after = |familiar, strange, guesser| {
            let sent = SentCode { attempts: Tally { familiar, strange }, ..sent_code() };
            guessed(Some(&sent), b"right", guesser, 0).check().map(drop).map_err(|fault| fault.shown)
        };
        assert_eq!(after(4, 5, HERE), Ok(()), "strangers used up their own");
        assert_eq!(after(5, 4, ELSEWHERE), Ok(()));
        for (familiar, strange, guesser) in [(5, 0, HERE), (0, 5, ELSEWHERE), (5, 5, HERE), (5, 5, ELSEWHERE)] {
            assert_eq!(after(familiar, strange, guesser), Err(CodeFault::Exhausted), "{familiar} {strange}");
        }
        // Of a user who is known elsewhere, who asks for a code is a stranger; the user is at home, whoever asked.
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

    /// What a guess comes to that is hidden: what is read, what becomes of the code and of what is kept of the name.
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
    fn where_it_is_hidden_only_the_very_code_tells_that_one_was_sent() {
        use CodeOutcome::{Asserted, Guessed, Kept};
        let counted = |familiar| SentCode { attempts: Tally { familiar, strange: 0 }, ..sent_code() };
        assert_eq!(hidden(Some(&counted(4)), None, b"right", 99), Ok(()));
        assert_eq!(hidden(Some(&counted(4)), Some(&counted(5)), b"right", 99), Ok(()), "who has it may show it");
        assert_eq!(hidden(Some(&counted(4)), None, b"right", 100), Err((CodeFault::Expired, Asserted, Kept)));
        let by_name = never_sent(Some(HERE.network), at(7));
        let second = CodeFault::Wrong { attempts: 2 };
        // A user's code, old or not, used up or not, and nobody's read alike.
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
