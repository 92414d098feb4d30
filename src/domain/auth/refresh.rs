//! Refreshing: whether a refresh token is still valid, and which one replaces it if the client rotates refresh tokens.
//!
//! ```text
//!   token n of the session         counter = n              counter = n + 1, within grace     later
//!   ───────────────────────▶  Rotated: counter n + 1  ─────▶  Repeated: token n + 1  ─────▶  Reused: the session ends
//! ```

use crate::domain::app_client::AppClient;
use crate::domain::auth::AuthFlow;
use crate::domain::error::Error;
use crate::domain::ids::DeviceId;
use crate::domain::time::Timestamp;
use crate::domain::user::{User, UserStatus};

/// The parts of a session that refreshing depends on.
#[derive(Clone, Copy, Debug)]
pub struct RefreshableSession {
    /// The user's token generation when the session began.
    pub token_generation: i64,
    /// When the session's refresh tokens expire.
    pub expires_at: Timestamp,
    /// Which of its refresh tokens is valid: 0 at first, one more with each rotation.
    pub counter: i32,
    /// When the token before it was replaced; the grace period starts then.
    pub replaced_at: Option<Timestamp>,
    /// The device that it is bound to.
    pub device: Option<DeviceId>,
    /// Whether it can be refreshed at all.
    pub is_refreshable: bool,
}

/// What is presented in order to refresh.
#[derive(Clone, Copy, Debug)]
pub struct Presented {
    /// The number of the refresh token in its session.
    pub counter: i32,
    /// The device that the caller names.
    pub device: Option<DeviceId>,
}

/// The result of presenting a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// New tokens; the refresh token stays.
    Kept,
    /// New tokens and the next refresh token.
    Rotated,
    /// The token was replaced within the grace period: new tokens and the refresh token that replaced it.
    Repeated,
    /// The token was replaced before that: it may have been copied, so the session ends.
    Reused,
}

/// Whether a client allows refreshing by the flow REFRESH_TOKEN_AUTH or by rotation. A client that rotates must not
/// list the flow.
pub fn is_permitted(client: &AppClient) -> bool {
    client.rotation_grace().is_some() || client.allows(AuthFlow::RefreshToken.name())
}

/// The refusal of a text that is no refresh token of the client, or of a token without its device.
pub fn invalid() -> Error {
    Error::not_authorized("Invalid Refresh Token")
}

/// Decides the result of presenting a refresh token of a session.
pub fn refresh(
    client: &AppClient,
    user: &User,
    session: &RefreshableSession,
    presented: Presented,
    at: Timestamp,
) -> Result<Refresh, Error> {
    // Whoever has only copied the token does not get as far as to end the session.
    if !session.is_refreshable || session.device.is_some() && session.device != presented.device {
        return Err(invalid());
    }
    if at >= session.expires_at {
        return Err(Error::not_authorized("Refresh Token has expired"));
    }
    // Disabling a user ends their sessions as well; the message about the user says more.
    if !user.enabled {
        return Err(Error::not_authorized("User is disabled."));
    }
    // So does an administrator's reset of the password.
    if user.status == UserStatus::ResetRequired {
        return Err(Error::password_reset_required());
    }
    if session.token_generation != user.token_generation {
        return Err(Error::not_authorized("Refresh Token has been revoked"));
    }
    let grace = client.rotation_grace();
    let presented = presented.counter;
    if presented == session.counter {
        return Ok(if grace.is_some() { Refresh::Rotated } else { Refresh::Kept });
    }
    let ends = session.replaced_at.map(|replaced_at| replaced_at.plus_seconds(grace.unwrap_or(0)));
    let within_grace = presented == session.counter - 1 && ends.is_some_and(|ends| at <= ends);
    Ok(if within_grace { Refresh::Repeated } else { Refresh::Reused })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{ClientId, StreamId};
    use crate::domain::testing::texts;
    use crate::proto::events::{AppClientSettings, UserPersonal, UserSignedUp, user_event};
    use crate::proto::v1::RefreshTokenRotationType;

    fn client(grace: Option<i32>) -> AppClient {
        let rotation = grace.map(|seconds| RefreshTokenRotationType {
            feature: Some("ENABLED".to_owned()),
            retry_grace_period_seconds: Some(seconds),
        });
        AppClient {
            client_id: ClientId::new("client"),
            settings: AppClientSettings { refresh_token_rotation: rotation, ..Default::default() },
            client_secret: None,
            created_at: Timestamp(0),
            modified_at: Timestamp(0),
        }
    }

    fn user() -> User {
        let event =
            user_event::Event::SignedUp(UserSignedUp { personal: Some(UserPersonal::default()), ..Default::default() });
        let stream = StreamId::new("users/00000000-0000-4000-8000-000000000000");
        crate::domain::decision::replay(None, &stream, [(&event, Timestamp(0))]).unwrap()
    }

    fn session(counter: i32, replaced_at: Option<i64>) -> RefreshableSession {
        RefreshableSession {
            token_generation: 1,
            expires_at: Timestamp(0).plus_seconds(1_000),
            counter,
            replaced_at: replaced_at.map(|seconds| Timestamp(0).plus_seconds(seconds)),
            device: None,
            is_refreshable: true,
        }
    }

    #[test]
    fn a_token_is_kept_rotated_repeated_within_the_grace_period_or_ends_its_session() {
        let at = |seconds| Timestamp(0).plus_seconds(seconds);
        let outcome = |client: &AppClient, session: RefreshableSession, presented, seconds| {
            let presented = Presented { counter: presented, device: None };
            refresh(client, &user(), &session, presented, at(seconds)).unwrap()
        };
        assert_eq!(outcome(&client(None), session(0, None), 0, 10), Refresh::Kept);
        assert_eq!(outcome(&client(Some(10)), session(0, None), 0, 10), Refresh::Rotated);
        assert_eq!(outcome(&client(Some(10)), session(1, Some(100)), 0, 110), Refresh::Repeated);
        assert_eq!(outcome(&client(Some(10)), session(1, Some(100)), 0, 111), Refresh::Reused);
        assert_eq!(outcome(&client(Some(0)), session(1, Some(100)), 0, 101), Refresh::Reused);
        assert_eq!(outcome(&client(Some(60)), session(2, Some(100)), 0, 101), Refresh::Reused);
    }

    #[test]
    fn a_session_with_a_device_is_refreshed_with_it_alone() {
        let [own, other] = [1, 2].map(|id| DeviceId(uuid::Uuid::from_u128(id)));
        let refreshed = |session: RefreshableSession, counter, device| {
            let presented = Presented { counter, device };
            refresh(&client(Some(0)), &user(), &session, presented, Timestamp(0).plus_seconds(101))
        };
        let bound = RefreshableSession { device: Some(own), ..session(1, Some(100)) };
        assert_eq!(refreshed(bound, 1, Some(own)).unwrap(), Refresh::Rotated);
        assert_eq!(refreshed(bound, 0, Some(own)).unwrap(), Refresh::Reused);
        for (counter, device) in [(1, None), (1, Some(other)), (0, None), (0, Some(other))] {
            assert_eq!(refreshed(bound, counter, device).unwrap_err().message, "Invalid Refresh Token");
        }
        // A session without a device asks for none.
        for device in [None, Some(other)] {
            assert_eq!(refreshed(session(1, Some(100)), 1, device).unwrap(), Refresh::Rotated);
        }
        let by_server = RefreshableSession { is_refreshable: false, ..session(1, Some(100)) };
        for device in [None, Some(own)] {
            assert_eq!(refreshed(by_server, 1, device).unwrap_err().message, "Invalid Refresh Token");
        }
    }

    #[test]
    fn a_client_allows_refreshing_by_the_flow_or_by_rotation() {
        let with = |flows: &[&str], grace| {
            let mut client = client(grace);
            client.settings.explicit_auth_flows = texts(flows);
            is_permitted(&client)
        };
        assert!(!with(&["ALLOW_USER_SRP_AUTH"], None));
        assert!(!with(&[], None));
        assert!(with(&["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"], None));
        assert!(with(&["USER_PASSWORD_AUTH"], None), "the older names leave no choice");
        assert!(with(&["ALLOW_USER_SRP_AUTH"], Some(0)));
    }

    #[test]
    fn expired_and_revoked_tokens_and_disabled_users_are_refused() {
        let message = |user: &User, session: &RefreshableSession, seconds| {
            let presented = Presented { counter: 0, device: None };
            refresh(&client(None), user, session, presented, Timestamp(0).plus_seconds(seconds)).unwrap_err().message
        };
        assert_eq!(message(&user(), &session(0, None), 1_000), "Refresh Token has expired");
        let signed_out = User { token_generation: 2, ..user() };
        assert_eq!(message(&signed_out, &session(0, None), 1), "Refresh Token has been revoked");
        let disabled = User { enabled: false, token_generation: 2, ..user() };
        assert_eq!(message(&disabled, &session(0, None), 1), "User is disabled.");
        let reset = User { status: UserStatus::ResetRequired, token_generation: 2, ..user() };
        assert_eq!(message(&reset, &session(0, None), 1), "Password reset required for the user");
    }
}
