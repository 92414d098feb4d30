//! Whose authenticator app is set up: the user of an access token, or the user of a sign-in that asks for it.

use crate::app::auth::set_up::{self, SetUp};
use crate::app::caller::Caller;
use crate::app::user::signed_in::{SignedIn, signed_in};
use crate::app::{App, Failure};
use crate::domain::auth::session::Proofs;
use crate::domain::error::Error;
use crate::domain::time::Timestamp;
use crate::store::cache::PoolView;
use crate::store::commit::{Commit, OperationalRow};
use crate::store::loaded::LoadedUser;
use crate::store::metadata::Origin;

/// The user who sets up an authenticator app.
pub enum Whose {
    /// The user of an access token.
    SignedIn(Box<SignedIn>),
    /// The user of a sign-in.
    SigningIn(Box<SetUp>),
}

impl Whose {
    /// The user of a request, which has either an access token or a session.
    pub async fn of(
        app: &App,
        access_token: Option<&str>,
        session: Option<&str>,
        at: Timestamp,
    ) -> Result<Self, Failure> {
        match (access_token, session) {
            (Some(token), None) => Ok(Self::SignedIn(Box::new(signed_in(app, token).await?))),
            (None, Some(session)) => Ok(Self::SigningIn(Box::new(set_up::open(app, session, at).await?))),
            _ => Err(Error::invalid_parameter("Either AccessToken or Session is required.").into()),
        }
    }

    /// The user, with the pool that they are in.
    pub fn user(&self) -> (&PoolView, &LoadedUser) {
        match self {
            Self::SignedIn(signed_in) => (&signed_in.pool, &signed_in.user),
            Self::SigningIn(set_up) => (&set_up.pool, &set_up.user),
        }
    }

    /// Whether the app is set up during a sign-in.
    pub fn signs_in(&self) -> bool {
        matches!(self, Self::SigningIn(_))
    }

    /// An empty commit. During a sign-in it uses up the session, which the next one replaces.
    pub fn commit(&self, caller: &Caller, at: Timestamp) -> Commit {
        let origin = self.origin(caller);
        Commit::about(self.user().0, &origin, at).operational(self.spent())
    }

    /// The next session of a sign-in, with what it has proved.
    pub fn next_session(
        &self,
        app: &App,
        proofs: impl FnOnce(Proofs) -> Proofs,
        at: Timestamp,
    ) -> Result<Option<String>, Error> {
        match self {
            Self::SignedIn(_) => Ok(None),
            Self::SigningIn(set_up) => set_up.next(app, proofs(set_up.proofs()), at).map(Some),
        }
    }

    fn origin(&self, caller: &Caller) -> Origin {
        match self {
            Self::SignedIn(signed_in) => signed_in.origin(caller),
            Self::SigningIn(set_up) => set_up.origin(caller),
        }
    }

    fn spent(&self) -> Option<OperationalRow> {
        match self {
            Self::SignedIn(_) => None,
            Self::SigningIn(set_up) => Some(set_up.spent()),
        }
    }
}
