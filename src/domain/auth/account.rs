//! The account that signs in, and whether its state allows a sign-in.

use crate::domain::app_client::AppClient;
use crate::domain::device::{Device, Tracking};
use crate::domain::error::{Error, Exception};
use crate::domain::time::Timestamp;
use crate::domain::user::{User, UserStatus};
use crate::domain::user_pool::UserPool;
use crate::domain::web_authn::RelyingParty;
use crate::proto::events::SignInRefusal;

/// A user who signs in, with their pool, the client that they use, and the device of theirs that they name.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Account<'a> {
    pub pool: &'a UserPool,
    pub client: &'a AppClient,
    pub user: &'a User,
    pub device: Option<&'a Device>,
}

impl<'a> Account<'a> {
    /// Whether a passkey that has verified the user stands for a second factor too: by the pool's setting or their own.
    pub fn passkeys_count_twice(&self) -> bool {
        self.user.mfa.passkeys || RelyingParty::of(self.pool).is_some_and(|party| party.counts_twice)
    }

    /// The device that proves itself at this sign-in, in place of a second factor.
    pub fn proving_device(&self) -> Option<&'a Device> {
        let asks = Tracking::of(self.pool).is_some_and(|tracking| tracking.proves_itself);
        self.device.filter(|device| asks && device.can_prove_itself())
    }
}

/// Whether the account's state allows a sign-in, once the user has proved who they are.
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
        // As in Cognito, any change of the user by an administrator restarts the time.
        UserStatus::ForceChangePassword if at >= pool.temporary_password_ends(user.modified_at) => {
            let message = "Temporary password has expired and must be reset by an administrator.";
            Err((SignInRefusal::TemporaryPasswordExpired, Error::not_authorized(message)))
        }
        UserStatus::ForceChangePassword | UserStatus::Confirmed => Ok(()),
    }
}
