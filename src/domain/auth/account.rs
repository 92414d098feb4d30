//! Who signs in, and whether the state of the account lets them.

use crate::domain::app_client::AppClient;
use crate::domain::error::{Error, Exception};
use crate::domain::time::Timestamp;
use crate::domain::user::{User, UserStatus};
use crate::domain::user_pool::UserPool;
use crate::proto::events::SignInRefusal;

/// Who signs in, where, and through what.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// The user's pool.
    pub pool: &'a UserPool,
    /// The client that is used.
    pub client: &'a AppClient,
    /// The user.
    pub user: &'a User,
}

/// Whether the state of a user lets in who has proved to be them.
pub fn may_sign_in(pool: &UserPool, user: &User, at: Timestamp) -> Result<(), (SignInRefusal, Error)> {
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
