//! ConfirmSignUp: the rules.

use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::user::codes::{Guess, Guessed, SentCode};
use crate::domain::user::{User, UserStatus, name_exists};
use crate::domain::user_pool::NameRules;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::proto::events::{CodePurpose, ConfirmedBy, UserAliasReleased, UserConfirmed};

/// The decisions about both users whom a confirmation can change.
pub struct Confirmation {
    /// The decision about the user who confirms.
    pub decision: Decision<Event, Activity, ()>,
    /// The events of the user who had the alias.
    pub alias_owner_events: Vec<Event>,
}

/// Checks the code that confirms a user.
///
/// A caller who may not learn which users exist is told about the code alone: the answer for an unknown name is the
/// same as for a name with a code. The state of the account is told only to a caller who shows the right code.
pub fn prove<'a>(user: Option<&User>, guessed: &Guessed<'a>) -> Result<&'a SentCode, Box<Guess>> {
    let standing = standing(user);
    let checked = || guessed.check().map_err(|fault| Box::new(fault.guess(CodePurpose::SignUp)));
    if guessed.hides_users {
        let sent = checked()?;
        standing.map(|()| sent).map_err(|error| Box::new(Guess::refuse_proved(error)))
    } else {
        standing.map_err(|error| Box::new(Guess::refuse(error)))?;
        checked()
    }
}

/// Checks that the state of the account allows the confirmation.
fn standing(user: Option<&User>) -> Result<(), Error> {
    let user = user.ok_or_else(Error::no_such_user)?;
    if user.status != UserStatus::Unconfirmed {
        let message = format!("User cannot be confirmed. Current status is {}", user.status.name());
        return Err(Error::not_authorized(message));
    }
    if user.enabled { Ok(()) } else { Err(Error::not_authorized("User is disabled.")) }
}

/// A right code, with everything that it can change.
pub struct Proved<'a> {
    /// The user who has entered it.
    pub user: &'a User,
    /// The stored code, which names the proved attribute.
    pub sent: &'a SentCode,
    /// Another user who has the proved address as an alias.
    pub alias_owner: Option<&'a User>,
    /// Whether the alias is taken from that user.
    pub force_alias_creation: bool,
}

/// Decides what the right code changes, under the pool's rules for names.
pub fn confirm_sign_up(rules: &NameRules, proved: &Proved<'_>) -> Confirmation {
    let Proved { user, sent: SentCode { attribute, .. }, alias_owner, force_alias_creation } = *proved;
    let name = user.attribute(attribute).map(|value| rules.normalise(value)).unwrap_or_default();
    // A name that the other user holds without a proof can't be taken, because taking it means removing its proof.
    let movable = |owner: &User| force_alias_creation && owner.has_by_proof(rules, attribute, &name);
    if alias_owner.is_some_and(|owner| !movable(owner)) {
        let decision = Decision::refuse(name_exists(rules, attribute));
        return Confirmation { decision, alias_owner_events: Vec::new() };
    }
    let confirmed = UserConfirmed { by: ConfirmedBy::Code.into(), verified_attributes: vec![attribute.clone()] };
    let released = alias_owner.map(|_| Event::AliasReleased(UserAliasReleased { attribute: attribute.clone() }));
    Confirmation {
        decision: Decision::events(vec![Event::Confirmed(confirmed)], ()),
        alias_owner_events: released.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::error::Exception;
    use crate::domain::source::Tally;
    use crate::domain::testing::{HERE, at, confirmed, pool, refused, sent_code, signed_up, texts, user};
    use crate::domain::user::codes::CodeOutcome;
    use crate::proto::events::UserCodeRefused;
    use crate::proto::v1::CreateUserPoolRequest;

    /// The outcome after Jane has entered the right code.
    fn shown(alias_owner: Option<&User>, force_alias_creation: bool) -> Confirmation {
        let alias_attributes = texts(&["email", "preferred_username"]);
        let pool = pool(CreateUserPoolRequest { alias_attributes, ..Default::default() });
        let proved = Proved { user: &jane(), sent: &sent(), alias_owner, force_alias_creation };
        confirm_sign_up(&pool.name_rules(), &proved)
    }

    fn jane() -> User {
        user(&[signed_up("jane", &[("email", "jane@example.com")])])
    }

    fn sent() -> SentCode {
        sent_code()
    }

    fn used(familiar: i32) -> SentCode {
        SentCode { attempts: Tally { familiar, strange: 0 }, ..sent() }
    }

    /// A guess from the network that requested the code. Where users are hidden, the name has an equal code.
    fn command<'a>(sent: Option<&'a SentCode>, hash: &[u8], hides_users: bool) -> Guessed<'a> {
        Guessed { sent, by_name: sent, hides_users, hash: hash.to_vec(), guesser: HERE, at: at(99) }
    }

    /// A guess that proves nothing: how the code changes, and the refusal.
    fn wrong(user: Option<&User>, command: &Guessed<'_>) -> (CodeOutcome, Exception, String) {
        let guess = prove(user, command).unwrap_err();
        let counts = [guess.code, guess.by_name].contains(&CodeOutcome::Guessed);
        assert_eq!((guess.decision.events.len(), guess.decision.activity.len()), (0, usize::from(counts)));
        let error = guess.decision.answer.unwrap_err();
        (guess.code, error.exception, error.message.to_string())
    }

    fn kept(exception: Exception, message: &str) -> (CodeOutcome, Exception, String) {
        (CodeOutcome::Kept, exception, message.to_owned())
    }

    const MISMATCH: &str = "Invalid verification code provided, please try again.";

    fn counted() -> (CodeOutcome, Exception, String) {
        (CodeOutcome::Guessed, Exception::CodeMismatchException, MISMATCH.to_owned())
    }

    #[test]
    fn the_right_code_confirms_and_proves_the_address() {
        let sent = sent();
        for hides_users in [true, false] {
            assert_eq!(prove(Some(&jane()), &command(Some(&sent), b"right", hides_users)).unwrap(), &sent);
        }
        let confirmation = shown(None, false);
        confirmation.decision.answer.unwrap();
        assert_eq!(confirmation.decision.events, [confirmed(&["email"])]);
        assert_eq!(confirmation.alias_owner_events, []);
    }

    #[test]
    fn a_wrong_code_counts_for_an_unknown_name_as_for_a_user() {
        let jane = jane();
        for (user, hides_users) in [(Some(&jane), false), (Some(&jane), true), (None, true)] {
            let code = used(3);
            let guess = prove(user, &command(Some(&code), b"wrong", hides_users)).unwrap_err();
            assert_eq!(guess.code, CodeOutcome::Guessed);
            let counted = UserCodeRefused { purpose: CodePurpose::SignUp.into(), attempts: 4 };
            assert_eq!(guess.decision.activity, [Activity::CodeRefused(counted)]);
            assert_eq!(guess.decision.answer.unwrap_err().exception, Exception::CodeMismatchException);
        }
    }

    #[test]
    fn after_five_wrong_guesses_even_the_right_code_is_refused() {
        let (jane, fourth, fifth) = (jane(), used(4), used(5));
        let limit = kept(Exception::LimitExceededException, "Attempt limit exceeded, please try after some time.");
        let hidden = (CodeOutcome::Asserted, limit.1, limit.2.clone());
        for (hides_users, limit) in [(true, &hidden), (false, &limit)] {
            assert!(
                prove(Some(&jane), &command(Some(&fourth), b"right", hides_users)).is_ok(),
                "the fifth may be right"
            );
            assert_eq!(wrong(Some(&jane), &command(Some(&fifth), b"right", hides_users)), *limit);
        }
        assert_eq!(wrong(None, &command(Some(&fifth), b"right", true)), hidden);
    }

    #[test]
    fn an_expired_code_and_a_missing_one_read_the_same() {
        let expired = kept(Exception::ExpiredCodeException, "Invalid code provided, please request a code again.");
        let (jane, sent) = (jane(), sent());
        assert_eq!(wrong(Some(&jane), &command(None, b"right", false)), expired);
        for guess in [b"right", b"wrong"] {
            let at_its_end = Guessed { at: at(100), ..command(Some(&sent), guess, false) };
            assert_eq!(wrong(Some(&jane), &at_its_end), expired);
        }
        // With hidden users, an expired or missing code reads like a wrong guess, except to a caller who has the code.
        for user in [Some(&jane), None] {
            assert_eq!(wrong(user, &command(None, b"right", true)), counted());
            let wrong_and_old = Guessed { at: at(100), ..command(Some(&sent), b"wrong", true) };
            assert_eq!(wrong(user, &wrong_and_old), counted());
        }
        let at_its_end = Guessed { at: at(100), ..command(Some(&sent), b"right", true) };
        assert_eq!(wrong(Some(&jane), &at_its_end), (CodeOutcome::Asserted, expired.1, expired.2));
    }

    #[test]
    fn an_alias_is_taken_from_its_owner_only_by_force() {
        let owner = user(&[signed_up("joan", &[("email", "jane@example.com")]), confirmed(&["email"])]);
        let unforced = shown(Some(&owner), false);
        assert_eq!(unforced.alias_owner_events, []);
        let message = "An account with the email already exists.".to_owned();
        assert_eq!(refused(unforced.decision), (Exception::AliasExistsException, message));

        let forced = shown(Some(&owner), true);
        assert_eq!(forced.decision.events, [confirmed(&["email"])]);
        let released = UserAliasReleased { attribute: "email".to_owned() };
        assert_eq!(forced.alias_owner_events, [Event::AliasReleased(released)]);
    }

    #[test]
    fn a_name_that_another_user_holds_without_a_proof_is_not_taken() {
        let held = [("email", "jane@example.com"), ("preferred_username", "jane@example.com")];
        for (attributes, proved) in [(&held[1..], &[][..]), (&held[..], &["email"])] {
            let owner = user(&[signed_up("joan", attributes), confirmed(proved)]);
            assert_eq!(refused(shown(Some(&owner), true).decision).0, Exception::AliasExistsException);
        }
    }

    #[test]
    fn force_without_an_owner_takes_nothing() {
        let confirmation = shown(None, true);
        assert!(confirmation.decision.answer.is_ok() && confirmation.alias_owner_events.is_empty());
    }

    #[test]
    fn where_users_are_hidden_the_state_of_an_account_is_told_only_with_the_code() {
        let unknown = kept(Exception::UserNotFoundException, "User does not exist.");
        assert_eq!(wrong(None, &command(None, b"wrong", false)), unknown);
        let disabled = User { enabled: false, ..jane() };
        let twice = user(&[signed_up("jane", &[]), confirmed(&[])]);
        let sent = sent();
        for (user, message) in
            [(disabled, "User is disabled."), (twice, "User cannot be confirmed. Current status is CONFIRMED")]
        {
            let told = kept(Exception::NotAuthorizedException, message);
            for code in [Some(&sent), None] {
                assert_eq!(wrong(Some(&user), &command(code, b"wrong", false)), told);
                assert_eq!(wrong(Some(&user), &command(code, b"wrong", true)), counted());
            }
            assert_eq!(wrong(Some(&user), &command(Some(&sent), b"right", false)), told);
            let proved = (CodeOutcome::Asserted, told.1, told.2);
            assert_eq!(wrong(Some(&user), &command(Some(&sent), b"right", true)), proved);
        }
    }
}
