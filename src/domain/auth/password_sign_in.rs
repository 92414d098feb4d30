//! USER_PASSWORD_AUTH: what follows once it is known whether the password is the user's.

use crate::domain::app_client::AppClient;
use crate::domain::auth::AuthFlow;
use crate::domain::auth::challenge::ChallengeName;
use crate::domain::auth::lockout::{self, Attempts, Hearing};
use crate::domain::auth::steps::{self, Next, Proved};
use crate::domain::error::{Error, Exception};
use crate::domain::time::Timestamp;
use crate::domain::user::{User, UserStatus};
use crate::domain::user_pool::UserPool;
use crate::proto::events::{SignInRefusal, UserSignInRefused, UserSignedIn};

/// What is known when the decision is made.
pub struct PasswordSignIn<'a> {
    /// The pool.
    pub pool: &'a UserPool,
    /// The client that is used.
    pub client: &'a AppClient,
    /// The flow.
    pub flow: AuthFlow,
    /// The user of that name, if there is one.
    pub user: Option<&'a User>,
    /// Whether the password is the user's.
    pub password_matches: bool,
    /// Earlier attempts at the user, or at whoever stands for the name, from such a source.
    pub attempts: Option<Attempts>,
    /// Those at the name, whoever has it. They decide nothing but what a caller is told who may not learn who exists.
    pub attempts_by_name: Option<Attempts>,
    /// The id of the session that begins if the sign-in succeeds.
    pub session_id: uuid::Uuid,
    /// The time.
    pub at: Timestamp,
}

/// The outcome of a sign-in.
#[derive(Debug)]
pub enum SignIn {
    /// The user is who it says; a session begins.
    Accepted(UserSignedIn),
    /// The password is right, and something more is asked for. Nothing is recorded yet.
    Challenged(ChallengeName),
    /// Refused.
    Refused {
        /// What is recorded.
        activity: UserSignInRefused,
        /// What counts.
        hearing: Hearing,
        /// What the caller reads.
        error: Error,
    },
}

/// The refusal of a password that need not be heard: the user is locked, and the caller may learn it. Asked before a password
/// is hashed.
///
/// Where the caller may not learn who exists, it is told so if there were as many attempts at this very name. At a user who
/// is locked by attempts at its other names the password is hashed as at anybody, and never right.
pub fn refuse_unheard(sign_in: &PasswordSignIn<'_>) -> Option<SignIn> {
    let told = if sign_in.client.hides_users() { sign_in.attempts_by_name } else { sign_in.attempts };
    lockout::is_locked(told.as_ref(), sign_in.at).then(|| {
        let error = Error::not_authorized("Password attempts exceeded");
        sign_in.refused(SignInRefusal::Locked, Hearing::Unheard, error)
    })
}

/// Decides a sign-in by password.
pub fn password_sign_in(sign_in: &PasswordSignIn<'_>) -> SignIn {
    if let Some(locked) = refuse_unheard(sign_in) {
        return locked;
    }
    let wrong = || Error::not_authorized("Incorrect username or password.");
    if let Some(attempts) = sign_in.attempts.filter(|attempts| lockout::is_locked(Some(attempts), sign_in.at)) {
        let unchanged = Hearing::Wrong { attempts, by_name: sign_in.one_more_by_name() };
        return sign_in.refused(SignInRefusal::Locked, unchanged, wrong());
    }
    let failed = || Hearing::Wrong {
        attempts: lockout::after_failure(sign_in.attempts.as_ref(), sign_in.at),
        by_name: sign_in.one_more_by_name(),
    };
    let Some(user) = sign_in.user else {
        let error = if sign_in.client.hides_users() { wrong() } else { Error::no_such_user() };
        return sign_in.refused(SignInRefusal::UnknownUser, failed(), error);
    };
    if !sign_in.password_matches {
        // It counts and is recorded as what it is, whatever is told.
        let error = sign_in.told_anyway(user).unwrap_or_else(wrong);
        return sign_in.refused(SignInRefusal::WrongPassword, failed(), error);
    }
    if let Err((reason, error)) = may_sign_in(sign_in.pool, user, sign_in.at) {
        return sign_in.refused(reason, Hearing::Right, error);
    }
    match steps::next(user, Proved::Password) {
        Next::Challenge(name) => SignIn::Challenged(name),
        Next::Tokens => SignIn::Accepted(UserSignedIn {
            client_id: sign_in.client.client_id.to_string(),
            auth_flow: sign_in.flow.name().to_owned(),
            session_id: sign_in.session_id.to_string(),
        }),
    }
}

/// Whether the state of an account lets in who knows its password.
fn may_sign_in(pool: &UserPool, user: &User, at: Timestamp) -> Result<(), (SignInRefusal, Error)> {
    if !user.enabled {
        return Err((SignInRefusal::Disabled, Error::not_authorized("User is disabled.")));
    }
    match user.status {
        UserStatus::Unconfirmed => {
            let error = Error::new(Exception::UserNotConfirmedException, "User is not confirmed.");
            Err((SignInRefusal::NotConfirmed, error))
        }
        UserStatus::ResetRequired => Err((SignInRefusal::ResetRequired, Error::password_reset_required())),
        // As in Cognito, a change of the user by an administrator gives it time anew.
        UserStatus::ForceChangePassword if at >= pool.temporary_password_ends(user.modified_at) => {
            let message = "Temporary password has expired and must be reset by an administrator.";
            Err((SignInRefusal::TemporaryPasswordExpired, Error::not_authorized(message)))
        }
        UserStatus::ForceChangePassword | UserStatus::Confirmed => Ok(()),
    }
}

impl PasswordSignIn<'_> {
    /// What is told of the name after one more wrong password, where that is what is told.
    fn one_more_by_name(&self) -> Option<Attempts> {
        let told = || lockout::after_failure(self.attempts_by_name.as_ref(), self.at);
        self.client.hides_users().then(told)
    }

    /// What a client that does not hide who exists tells of an account whatever the password: that a code is to be entered
    /// first, or another password to be chosen. So an app leads its user there who does not know a password of ours.
    fn told_anyway(&self, user: &User) -> Option<Error> {
        let is_told = user.enabled && !self.client.hides_users();
        let waits = matches!(user.status, UserStatus::Unconfirmed | UserStatus::ResetRequired);
        may_sign_in(self.pool, user, self.at).err().map(|(_, error)| error).filter(|_| is_told && waits)
    }

    fn refused(&self, reason: SignInRefusal, hearing: Hearing, error: Error) -> SignIn {
        let activity = UserSignInRefused {
            client_id: self.client.client_id.to_string(),
            auth_flow: self.flow.name().to_owned(),
            reason: reason.into(),
        };
        SignIn::Refused { activity, hearing, error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{at, client, confirmed, invited, pool, reset, signed_up, user};
    use crate::proto::v1::CreateUserPoolClientRequest;

    fn some_client(hides_users: bool) -> AppClient {
        let hides = if hides_users { "ENABLED" } else { "LEGACY" };
        let request =
            CreateUserPoolClientRequest { prevent_user_existence_errors: Some(hides.to_owned()), ..Default::default() };
        client(&pool(Default::default()), request)
    }

    fn attempt<'a>(client: &'a AppClient, user: Option<&'a User>) -> PasswordSignIn<'a> {
        static POOL: std::sync::LazyLock<UserPool> = std::sync::LazyLock::new(|| pool(Default::default()));
        PasswordSignIn {
            pool: &POOL,
            client,
            flow: AuthFlow::UserPassword,
            user,
            password_matches: true,
            attempts: Some(Attempts { failures: 3, last_at: at(90), locked_until: None }),
            attempts_by_name: Some(Attempts { failures: 3, last_at: at(90), locked_until: None }),
            session_id: uuid::Uuid::from_u128(7),
            at: at(100),
        }
    }

    /// Reason, attempts from now on and refusal.
    fn refusal(outcome: SignIn) -> (SignInRefusal, Option<Attempts>, Exception, String) {
        let SignIn::Refused { activity, hearing, error } = outcome else { panic!("{outcome:?}") };
        let attempts = if let Hearing::Wrong { attempts, .. } = hearing { Some(attempts) } else { None };
        assert_eq!((activity.client_id.as_str(), activity.auth_flow.as_str()), ("client", "USER_PASSWORD_AUTH"));
        (activity.reason(), attempts, error.exception, error.message.into_owned())
    }

    const WRONG: &str = "Incorrect username or password.";

    #[test]
    fn the_right_password_of_a_confirmed_user_begins_a_session() {
        let (client, user) = (some_client(false), user(&[signed_up("jane", &[]), confirmed(&[])]));
        let SignIn::Accepted(fact) = password_sign_in(&attempt(&client, Some(&user))) else { panic!("accepted") };
        let expected = UserSignedIn {
            client_id: "client".to_owned(),
            auth_flow: "USER_PASSWORD_AUTH".to_owned(),
            session_id: uuid::Uuid::from_u128(7).to_string(),
        };
        assert_eq!(fact, expected);
    }

    #[test]
    fn a_wrong_password_counts_whatever_the_user_is_and_tells_nothing_where_users_are_hidden() {
        let confirmed = user(&[signed_up("jane", &[]), confirmed(&[])]);
        let unconfirmed = user(&[signed_up("jane", &[])]);
        let reset = User { status: UserStatus::ResetRequired, ..confirmed.clone() };
        let temporary = user(&[invited("jane", &[])]);
        let disabled = |user: &User| User { enabled: false, ..user.clone() };
        let wrong = (Exception::NotAuthorizedException, WRONG.to_owned());
        let not_confirmed = (Exception::UserNotConfirmedException, "User is not confirmed.".to_owned());
        let to_be_reset =
            (Exception::PasswordResetRequiredException, "Password reset required for the user".to_owned());
        for (user, openly) in [
            (&confirmed, &wrong),
            (&temporary, &wrong),
            (&unconfirmed, &not_confirmed),
            (&reset, &to_be_reset),
            (&disabled(&confirmed), &wrong),
            (&disabled(&unconfirmed), &wrong),
            (&disabled(&reset), &wrong),
        ] {
            for (hides_users, told) in [(false, openly), (true, &wrong)] {
                let client = some_client(hides_users);
                let guess = PasswordSignIn { password_matches: false, ..attempt(&client, Some(user)) };
                let (reason, counted, exception, message) = refusal(password_sign_in(&guess));
                assert_eq!((&exception, &message), (&told.0, &told.1), "{:?} {hides_users}", user.status);
                assert_eq!(reason, SignInRefusal::WrongPassword);
                assert_eq!(counted, Some(Attempts { failures: 4, last_at: at(100), locked_until: None }));
            }
        }
    }

    #[test]
    fn nobody_counts_like_somebody_and_reads_the_same_where_users_are_hidden() {
        let counted = Some(Attempts { failures: 4, last_at: at(100), locked_until: None });
        let of = |hides_users| refusal(password_sign_in(&attempt(&some_client(hides_users), None)));
        let hidden = (SignInRefusal::UnknownUser, counted, Exception::NotAuthorizedException, WRONG.to_owned());
        assert_eq!(of(true), hidden);
        let message = "User does not exist.".to_owned();
        assert_eq!(of(false), (SignInRefusal::UnknownUser, counted, Exception::UserNotFoundException, message));
    }

    #[test]
    fn who_knows_the_password_learns_what_else_is_in_the_way_and_no_guess_is_counted() {
        let client = some_client(true);
        let unconfirmed = user(&[signed_up("jane", &[])]);
        let disabled = User { enabled: false, ..unconfirmed.clone() };
        let refused = |user: &User| refusal(password_sign_in(&attempt(&client, Some(user))));
        let message = "User is not confirmed.".to_owned();
        let expected = (SignInRefusal::NotConfirmed, None, Exception::UserNotConfirmedException, message);
        assert_eq!(refused(&unconfirmed), expected);
        let message = "User is disabled.".to_owned();
        assert_eq!(refused(&disabled), (SignInRefusal::Disabled, None, Exception::NotAuthorizedException, message));
        let message = "Password reset required for the user".to_owned();
        let expected = (SignInRefusal::ResetRequired, None, Exception::PasswordResetRequiredException, message);
        assert_eq!(refused(&user(&[signed_up("jane", &[]), confirmed(&[]), reset()])), expected);
    }

    #[test]
    fn a_temporary_password_leads_to_a_challenge_for_as_long_as_it_is_good() {
        let (client, invited) = (some_client(false), user(&[invited("jane", &[])]));
        const DAYS: i64 = 24 * 60 * 60;
        let on = |second| PasswordSignIn { at: at(second), attempts: None, ..attempt(&client, Some(&invited)) };
        for second in [0, 7 * DAYS - 1] {
            let outcome = password_sign_in(&on(second));
            assert!(matches!(outcome, SignIn::Challenged(ChallengeName::NewPasswordRequired)), "{outcome:?}");
        }
        let message = "Temporary password has expired and must be reset by an administrator.".to_owned();
        let expired = (SignInRefusal::TemporaryPasswordExpired, None, Exception::NotAuthorizedException, message);
        assert_eq!(refusal(password_sign_in(&on(7 * DAYS))), expired);
        let disabled = User { enabled: false, ..invited.clone() };
        let outcome = password_sign_in(&attempt(&client, Some(&disabled)));
        assert_eq!(refusal(outcome).0, SignInRefusal::Disabled);
        let wrong = PasswordSignIn { password_matches: false, ..on(8 * DAYS) };
        assert_eq!(refusal(password_sign_in(&wrong)).3, WRONG, "whoever guesses learns nothing");
    }

    fn locked(until: i64) -> Option<Attempts> {
        Some(Attempts { failures: 6, last_at: at(99), locked_until: Some(at(until)) })
    }

    #[test]
    fn who_is_locked_is_refused_before_anything_else_and_nothing_changes() {
        let user = user(&[signed_up("jane", &[]), confirmed(&[])]);
        for hides_users in [false, true] {
            let client = some_client(hides_users);
            let until = |until, user| {
                let (attempts, attempts_by_name) = (locked(until), locked(until));
                PasswordSignIn { attempts, attempts_by_name, ..attempt(&client, user) }
            };
            for user in [Some(&user), None] {
                let message = "Password attempts exceeded".to_owned();
                let expected = (SignInRefusal::Locked, None, Exception::NotAuthorizedException, message);
                assert_eq!(refusal(refuse_unheard(&until(101, user)).unwrap()), expected);
                assert_eq!(refusal(password_sign_in(&until(101, user))), expected);
            }
            assert!(refuse_unheard(&until(100, Some(&user))).is_none());
            assert!(matches!(password_sign_in(&until(100, Some(&user))), SignIn::Accepted(_)));
        }
    }

    #[test]
    fn where_users_are_hidden_a_lock_is_told_by_the_name_and_holds_for_the_user() {
        let (client, jane) = (some_client(true), user(&[signed_up("jane", &[]), confirmed(&[])]));
        // Guesses at another name of hers have locked her: the right password reads as a wrong one, at the first guess here.
        let elsewhere =
            PasswordSignIn { attempts: locked(101), attempts_by_name: None, ..attempt(&client, Some(&jane)) };
        assert!(refuse_unheard(&elsewhere).is_none(), "it takes a hash, as at anybody");
        let SignIn::Refused { activity, hearing, error } = password_sign_in(&elsewhere) else { panic!("refused") };
        assert_eq!((activity.reason(), &*error.message), (SignInRefusal::Locked, WRONG));
        let by_name = Some(Attempts { failures: 1, last_at: at(100), locked_until: None });
        assert_eq!(hearing, Hearing::Wrong { attempts: elsewhere.attempts.unwrap(), by_name });
        // Where they are not hidden, that she is locked is told.
        let open = some_client(false);
        let told = PasswordSignIn { attempts: locked(101), attempts_by_name: None, ..attempt(&open, Some(&jane)) };
        assert_eq!(refusal(password_sign_in(&told)).3, "Password attempts exceeded");
    }

    #[test]
    fn a_right_password_that_lets_nobody_in_is_asserted() {
        let (client, unconfirmed) = (some_client(true), user(&[signed_up("jane", &[])]));
        let SignIn::Refused { hearing, .. } = password_sign_in(&attempt(&client, Some(&unconfirmed))) else {
            panic!("refused")
        };
        assert_eq!(hearing, Hearing::Right);
    }
}
