//! USER_PASSWORD_AUTH: what follows once it is known whether the password is the user's.

use crate::domain::app_client::AppClient;
use crate::domain::auth::AuthFlow;
use crate::domain::auth::challenge::ChallengeName;
use crate::domain::auth::lockout::{self, Attempts};
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
    /// Earlier attempts at the name.
    pub attempts: Option<Attempts>,
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
    /// Refused. The attempts are those to keep, where they changed.
    Refused {
        /// What is recorded.
        activity: UserSignInRefused,
        /// The attempts from now on.
        attempts: Option<Attempts>,
        /// What the caller reads.
        error: Error,
    },
}

/// Whether the name is locked: asked before a password is hashed.
pub fn refuse_locked(sign_in: &PasswordSignIn<'_>) -> Option<SignIn> {
    lockout::is_locked(sign_in.attempts.as_ref(), sign_in.at)
        .then(|| sign_in.refused(SignInRefusal::Locked, None, Error::not_authorized("Password attempts exceeded")))
}

/// Decides a sign-in by password.
pub fn password_sign_in(sign_in: &PasswordSignIn<'_>) -> SignIn {
    if let Some(locked) = refuse_locked(sign_in) {
        return locked;
    }
    let failed = || Some(lockout::after_failure(sign_in.attempts.as_ref(), sign_in.at));
    let wrong = || Error::not_authorized("Incorrect username or password.");
    let Some(user) = sign_in.user else {
        let error = if sign_in.client.hides_users() { wrong() } else { Error::no_such_user() };
        return sign_in.refused(SignInRefusal::UnknownUser, failed(), error);
    };
    if !sign_in.password_matches {
        return sign_in.refused(SignInRefusal::WrongPassword, failed(), wrong());
    }
    if let Err((reason, error)) = may_sign_in(sign_in.pool, user, sign_in.at) {
        return sign_in.refused(reason, None, error);
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
    fn refused(&self, reason: SignInRefusal, attempts: Option<Attempts>, error: Error) -> SignIn {
        let activity = UserSignInRefused {
            client_id: self.client.client_id.to_string(),
            auth_flow: self.flow.name().to_owned(),
            reason: reason.into(),
        };
        SignIn::Refused { activity, attempts, error }
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
            session_id: uuid::Uuid::from_u128(7),
            at: at(100),
        }
    }

    /// Reason, attempts from now on and refusal.
    fn refusal(outcome: SignIn) -> (SignInRefusal, Option<Attempts>, Exception, String) {
        let SignIn::Refused { activity, attempts, error } = outcome else { panic!("{outcome:?}") };
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
    fn a_wrong_password_counts_whatever_the_user_is() {
        let client = some_client(false);
        let confirmed = user(&[signed_up("jane", &[]), confirmed(&[])]);
        let unconfirmed = user(&[signed_up("jane", &[])]);
        let disabled = User { enabled: false, ..confirmed.clone() };
        let counted = Some(Attempts { failures: 4, last_at: at(100), locked_until: None });
        for user in [&confirmed, &unconfirmed, &disabled] {
            let wrong = PasswordSignIn { password_matches: false, ..attempt(&client, Some(user)) };
            let expected = (SignInRefusal::WrongPassword, counted, Exception::NotAuthorizedException, WRONG.to_owned());
            assert_eq!(refusal(password_sign_in(&wrong)), expected);
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

    #[test]
    fn a_locked_name_is_refused_before_anything_else_and_nothing_changes() {
        let (client, user) = (some_client(false), user(&[signed_up("jane", &[]), confirmed(&[])]));
        let attempts = |until| Some(Attempts { failures: 6, last_at: at(99), locked_until: Some(at(until)) });
        for user in [Some(&user), None] {
            let locked = PasswordSignIn { attempts: attempts(101), ..attempt(&client, user) };
            let message = "Password attempts exceeded".to_owned();
            let expected = (SignInRefusal::Locked, None, Exception::NotAuthorizedException, message);
            assert_eq!(refusal(refuse_locked(&locked).unwrap()), expected);
            assert_eq!(refusal(password_sign_in(&locked)), expected);
        }
        let over = PasswordSignIn { attempts: attempts(100), ..attempt(&client, Some(&user)) };
        assert!(refuse_locked(&over).is_none());
        assert!(matches!(password_sign_in(&over), SignIn::Accepted(_)));
    }
}
