//! An app client: what an app may do in its pool, and how long its tokens live.

pub mod create_user_pool_client;
pub mod delete_user_pool_client;
mod oauth;
mod settings;
pub mod update_user_pool_client;

use serde::{Deserialize, Serialize};

use crate::domain::attributes::{Permitted, Writer};
use crate::domain::decision::Aggregate;
use crate::domain::ids::{ClientId, StreamId};
use crate::domain::personal::Sealed;
use crate::domain::time::Timestamp;
use crate::domain::user_pool::UserPool;
use crate::proto::events::AppClientSettings;
use crate::proto::events::app_client_event::Event;
use crate::proto::json;

/// The state of an app client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppClient {
    /// 26 characters of `[0-9a-z]`, unique across pools.
    pub client_id: ClientId,
    /// The settings that were chosen, with Cognito's defaults filled in.
    pub settings: AppClientSettings,
    /// Its secret, sealed under the pool's key.
    pub client_secret: Option<Sealed>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub modified_at: Timestamp,
}

impl Aggregate for AppClient {
    type Event = Event;
    const REVISION: i32 = 1;

    fn apply(state: Option<Self>, stream: &StreamId, event: &Event, at: Timestamp) -> Option<Self> {
        match event {
            Event::Created(created) => Some(Self {
                client_id: ClientId::new(stream.owner()),
                settings: created.settings.clone().unwrap_or_default(),
                client_secret: (!created.client_secret.is_empty()).then(|| Sealed(created.client_secret.clone())),
                created_at: at,
                modified_at: at,
            }),
            Event::SettingsChanged(changed) => state.map(|client| {
                let new = changed.settings.clone().unwrap_or_default();
                // `merged` can't fail here: the same message type wrote these members.
                let settings = json::merged(&client.settings, &changed.changed, &new).unwrap_or(new);
                Self { settings, modified_at: at, ..client }
            }),
            Event::Deleted(_) => None,
        }
    }
}

/// The context in which settings are checked.
struct Choice<'a> {
    pool: &'a UserPool,
    user_pool_id: &'a str,
    /// Whether the client has a secret.
    has_secret: bool,
    /// `creating` or `updating`, for the text of a refusal.
    act: &'static str,
}

/// Lifetimes of tokens, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Of access tokens: 5 minutes to 1 day.
    pub access: i64,
    /// Of ID tokens: 5 minutes to 1 day.
    pub id: i64,
    /// Of refresh tokens: 1 hour to 10 years.
    pub refresh: i64,
}

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

impl AppClient {
    /// How long its tokens live.
    pub fn lifetimes(&self) -> Lifetimes {
        lifetimes(&self.settings)
    }

    /// Whether a flow is allowed, by its name with or without the prefix `ALLOW_`, or by its older name.
    pub fn allows(&self, flow: &str) -> bool {
        let named = |allowed: &str| match allowed.trim_start_matches("ALLOW_") {
            "ADMIN_NO_SRP_AUTH" => flow == "ADMIN_USER_PASSWORD_AUTH",
            name => name == flow,
        };
        let flows = &self.settings.explicit_auth_flows;
        // The older names of flows offer no choice about refreshing: it is allowed.
        let older = !flows.is_empty() && flows.iter().all(|allowed| !allowed.starts_with("ALLOW_"));
        older && flow == "REFRESH_TOKEN_AUTH" || flows.iter().any(|allowed| named(allowed))
    }

    /// The attributes that an app may read through the client.
    pub fn readable(&self) -> Permitted<'_> {
        permitted(&self.settings.read_attributes, self.settings.reads_no_attributes)
    }

    /// The writer of attribute changes that come through the client.
    pub fn writer(&self) -> Writer<'_> {
        Writer::Client(permitted(&self.settings.write_attributes, self.settings.writes_no_attributes))
    }

    /// For how many seconds a replaced refresh token stays valid; `None` if the client does not rotate refresh tokens.
    pub fn rotation_grace(&self) -> Option<i64> {
        let rotation = self.settings.refresh_token_rotation.as_ref();
        let enabled = rotation.filter(|rotation| rotation.feature() == "ENABLED");
        enabled.map(|rotation| i64::from(rotation.retry_grace_period_seconds()))
    }

    /// Whether refusals must not reveal if a user exists.
    pub fn hides_users(&self) -> bool {
        self.settings.prevent_user_existence_errors.as_deref() == Some("ENABLED")
    }
}

/// A client's list of attributes. An empty list means all attributes, unless it was left empty on purpose.
fn permitted(listed: &[String], none: bool) -> Permitted<'_> {
    if listed.is_empty() && !none { Permitted::All } else { Permitted::Only(listed) }
}

/// The lifetimes that settings give to tokens, with defaults for absent ones.
fn lifetimes(settings: &AppClientSettings) -> Lifetimes {
    let units = settings.token_validity_units.clone().unwrap_or_default();
    let seconds = |value: Option<i32>, unit: Option<&str>, default_unit: i64, default: i64| match value {
        Some(value) if value > 0 => i64::from(value) * unit.map_or(default_unit, unit_seconds),
        Some(_) | None => default,
    };
    Lifetimes {
        access: seconds(settings.access_token_validity, units.access_token.as_deref(), HOUR, HOUR),
        id: seconds(settings.id_token_validity, units.id_token.as_deref(), HOUR, HOUR),
        refresh: seconds(Some(settings.refresh_token_validity), units.refresh_token.as_deref(), DAY, 30 * DAY),
    }
}

fn unit_seconds(unit: &str) -> i64 {
    match unit {
        "seconds" => 1,
        "minutes" => MINUTE,
        "hours" => HOUR,
        _ => DAY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{at, given, texts};
    use crate::proto::events::{AppClientCreated, AppClientDeleted, AppClientSettingsChanged};
    use crate::proto::v1;

    fn created(client_secret: &[u8]) -> Event {
        let settings = AppClientSettings {
            client_name: "app".to_owned(),
            enable_token_revocation: true,
            callback_urls: texts(&["https://app.example.com"]),
            ..Default::default()
        };
        Event::Created(AppClientCreated { settings: Some(settings), client_secret: client_secret.to_vec() })
    }

    fn yields(events: &[Event]) -> Option<AppClient> {
        given(&StreamId::new("clients/abc"), events)
    }

    #[test]
    fn only_creation_makes_a_client_and_deletion_ends_it() {
        let changed = || Event::SettingsChanged(AppClientSettingsChanged::default());
        let deleted = || Event::Deleted(AppClientDeleted {});
        assert!(yields(&[changed()]).is_none());
        let client = yields(&[created(b"")]).unwrap();
        assert_eq!((client.client_id.as_str(), client.client_secret), ("abc", None));
        assert_eq!(yields(&[created(b"blob")]).unwrap().client_secret, Some(Sealed(b"blob".to_vec())));
        assert!(yields(&[created(b""), deleted()]).is_none());
        assert!(yields(&[created(b""), deleted(), changed()]).is_none());
    }

    #[test]
    fn changed_settings_replace_old_ones_and_absent_ones_are_removed() {
        let changed = Event::SettingsChanged(AppClientSettingsChanged {
            changed: texts(&["callback_urls", "enable_token_revocation", "refresh_token_validity"]),
            settings: Some(AppClientSettings { refresh_token_validity: 9, ..Default::default() }),
        });
        let client = yields(&[created(b"blob"), changed]).unwrap();
        let expected =
            AppClientSettings { client_name: "app".to_owned(), refresh_token_validity: 9, ..Default::default() };
        assert_eq!(client.settings, expected);
        assert_eq!((client.created_at, client.modified_at), (at(0), at(1)));
        assert_eq!(client.client_secret, Some(Sealed(b"blob".to_vec())));
    }

    #[test]
    fn lives_of_tokens_have_units() {
        let lives = |settings: AppClientSettings| lifetimes(&settings);
        let expected = Lifetimes { access: 3_600, id: 3_600, refresh: 30 * 86_400 };
        assert_eq!(lives(AppClientSettings::default()), expected);
        let without_units = AppClientSettings {
            access_token_validity: Some(2),
            id_token_validity: Some(3),
            refresh_token_validity: 4,
            ..Default::default()
        };
        let expected = Lifetimes { access: 2 * 3_600, id: 3 * 3_600, refresh: 4 * 86_400 };
        assert_eq!(lives(without_units.clone()), expected);
        let token_validity_units = Some(v1::TokenValidityUnitsType {
            access_token: Some("seconds".to_owned()),
            id_token: Some("minutes".to_owned()),
            refresh_token: Some("hours".to_owned()),
        });
        let expected = Lifetimes { access: 2, id: 3 * 60, refresh: 4 * 3_600 };
        assert_eq!(lives(AppClientSettings { token_validity_units, ..without_units }), expected);
    }
}
