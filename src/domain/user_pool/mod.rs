//! A user pool: its settings, the schema of its users' attributes, its signing keys.

pub mod add_custom_attributes;
pub mod create_user_pool;
pub mod delete_user_pool;
mod first_factors;
pub mod second_factors;
pub mod set_user_pool_mfa_config;
pub mod settings;
pub mod tag_resource;
pub mod untag_resource;
pub mod update_user_pool;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::addresses;
use crate::domain::decision::Aggregate;
use crate::domain::ids::{StreamId, UserPoolId};
use crate::domain::message::Medium;
use crate::domain::personal::Sealed;
use crate::domain::time::Timestamp;
use crate::proto::events::user_pool_event::Event;
use crate::proto::events::{SigningKeyUse, UserPoolSettings};
use crate::proto::{json, v1};

/// The state of a user pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserPool {
    /// The pool's display name; it need not be unique.
    pub name: String,
    /// The region that the pool's id starts with.
    pub region: String,
    /// The account in the pool's ARN.
    pub account_id: String,
    /// The `iss` of its tokens.
    pub issuer: String,
    /// The settings that were chosen, with Cognito's defaults filled in.
    pub settings: UserPoolSettings,
    /// All attributes that users of the pool can have.
    pub schema: Vec<v1::SchemaAttributeType>,
    /// The keys that sign the pool's tokens, retired ones included.
    pub signing_keys: Vec<SigningKey>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub modified_at: Timestamp,
}

/// A key that signs tokens for some time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SigningKey {
    /// The `kid` in the header of its tokens.
    pub kid: String,
    /// The kind of tokens that the key signs.
    pub purpose: TokenUse,
    /// The RSA modulus, base64url.
    pub n: String,
    /// The RSA exponent, base64url.
    pub e: String,
    /// The private key as PKCS #8, sealed under the pool's key.
    pub private_key: Sealed,
    /// When the key starts to sign.
    pub active_from: Timestamp,
    /// When the key stops to sign: the `active_from` of its successor.
    pub retired_at: Option<Timestamp>,
}

/// The kind of a token: its claim `token_use`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum TokenUse {
    Id,
    Access,
}

impl TokenUse {
    /// The value of the claim `token_use`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Access => "access",
        }
    }
}

impl Aggregate for UserPool {
    type Event = Event;
    const REVISION: i32 = 1;

    fn apply(state: Option<Self>, _: &StreamId, event: &Event, at: Timestamp) -> Option<Self> {
        match event {
            Event::Created(created) => Some(Self {
                name: created.name.clone(),
                region: created.region.clone(),
                account_id: created.account_id.clone(),
                issuer: created.issuer.clone(),
                settings: created.settings.clone().unwrap_or_default(),
                schema: created.schema.clone(),
                signing_keys: Vec::new(),
                created_at: at,
                modified_at: at,
            }),
            Event::SettingsChanged(changed) => state.map(|pool| {
                let new = changed.settings.clone().unwrap_or_default();
                // `merged` can't fail here: the same message type wrote these members.
                let settings = json::merged(&pool.settings, &changed.changed, &new).unwrap_or(new);
                let name = changed.name.clone().unwrap_or(pool.name);
                Self { settings, name, modified_at: at, ..pool }
            }),
            Event::Deleted(_) => None,
            Event::SigningKeyAdded(added) => state.map(|mut pool| {
                let purpose = match added.r#use() {
                    SigningKeyUse::Access => TokenUse::Access,
                    SigningKeyUse::Id | SigningKeyUse::Unspecified => TokenUse::Id,
                };
                let active_from = Timestamp(added.active_from_millis);
                let current = pool.signing_keys.iter_mut().filter(|key| key.purpose == purpose);
                current.filter(|key| key.retired_at.is_none()).for_each(|key| key.retired_at = Some(active_from));
                pool.signing_keys.push(SigningKey {
                    kid: added.kid.clone(),
                    purpose,
                    n: added.n.clone(),
                    e: added.e.clone(),
                    private_key: Sealed(added.private_key.clone()),
                    active_from,
                    retired_at: None,
                });
                pool
            }),
            Event::CustomAttributesAdded(added) => state.map(|mut pool| {
                pool.schema.extend(added.attributes.iter().cloned());
                Self { modified_at: at, ..pool }
            }),
            Event::Tagged(tagged) => state.map(|mut pool| {
                let tags = tagged.tags.iter().map(|(key, value)| (key.clone(), value.clone()));
                pool.settings.user_pool_tags.extend(tags);
                Self { modified_at: at, ..pool }
            }),
            Event::Untagged(untagged) => state.map(|mut pool| {
                pool.settings.user_pool_tags.retain(|key, _| !untagged.tag_keys.contains(key));
                Self { modified_at: at, ..pool }
            }),
        }
    }
}

impl UserPool {
    /// The ARN of the pool, made of region, account and id.
    pub fn arn(&self, id: &UserPoolId) -> String {
        format!("arn:aws:cognito-idp:{}:{}:userpool/{id}", self.region, self.account_id)
    }

    /// Whether the pool verifies this attribute by the code of a sign-up.
    pub fn verifies(&self, attribute: &str) -> bool {
        self.settings.auto_verified_attributes.iter().any(|verified| verified == attribute)
    }

    /// Whether a sign-up by e-mail is confirmed by a link instead of a code.
    pub fn confirms_with_link(&self) -> bool {
        let template = self.settings.verification_message_template.as_ref();
        template.is_some_and(|it| it.default_email_option() == "CONFIRM_WITH_LINK")
    }

    /// The key that signs tokens of a kind at this time.
    pub fn signing_key(&self, purpose: TokenUse, at: Timestamp) -> Option<&SigningKey> {
        let mut keys = self.signing_keys.iter().filter(|key| key.purpose == purpose);
        keys.rfind(|key| key.active_from <= at && key.retired_at.is_none_or(|retired| at < retired))
    }

    /// How user names are compared, and which attributes serve as names. Fixed at creation.
    pub fn name_rules(&self) -> NameRules {
        let set = |names: &[String]| names.iter().cloned().collect();
        NameRules {
            case_sensitive: self.settings.username_configuration.as_ref().is_none_or(|it| it.case_sensitive()),
            alias_attributes: set(&self.settings.alias_attributes),
            username_attributes: set(&self.settings.username_attributes),
        }
    }

    /// How a user can replace a forgotten password.
    pub fn recovery(&self) -> Recovery {
        let setting = self.settings.account_recovery_setting.as_ref();
        let mut mechanisms = setting.map(|it| it.recovery_mechanisms.clone()).unwrap_or_default();
        mechanisms.sort_by_key(v1::RecoveryOptionType::priority);
        if mechanisms.iter().any(|mechanism| mechanism.name() == "admin_only") {
            return Recovery::ByAdministrator;
        }
        let way = |mechanism: &v1::RecoveryOptionType| match mechanism.name() {
            "verified_phone_number" => Medium::Sms,
            _ => Medium::Email,
        };
        let ways: Vec<_> = mechanisms.iter().map(way).collect();
        Recovery::ByUser(if ways.is_empty() { vec![Medium::Sms, Medium::Email] } else { ways })
    }

    /// The password policy of the pool.
    pub fn password_policy(&self) -> v1::PasswordPolicyType {
        self.settings.policies.as_ref().and_then(|policies| policies.password_policy).unwrap_or_default()
    }

    /// When a temporary password expires. `set_at` is when it was set, or when its user was changed last.
    pub fn temporary_password_ends(&self, set_at: Timestamp) -> Timestamp {
        // 0 counts as absent; pools of earlier releases may store it.
        let given = |days: &i32| *days > 0;
        let older = self.settings.admin_create_user_config.as_ref().and_then(|it| it.unused_account_validity_days);
        let newer = self.password_policy().temporary_password_validity_days;
        let days = newer.filter(given).or(older.filter(given)).unwrap_or(7);
        set_at.plus_seconds(i64::from(days) * 24 * 60 * 60)
    }
}

/// How a forgotten password is replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// The user is sent a code, by the first of these media whose address is verified.
    ByUser(Vec<Medium>),
    /// Only an administrator can reset the password.
    ByAdministrator,
}

/// How user names of a pool are compared, and which attributes serve as names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameRules {
    /// Whether user names differ by case.
    pub case_sensitive: bool,
    /// Attributes that serve as names once they are verified (`preferred_username` at once).
    pub alias_attributes: BTreeSet<String>,
    /// Attributes of which one is the user name.
    pub username_attributes: BTreeSet<String>,
}

impl NameRules {
    /// The form in which a name is compared. Where addresses are names, all spellings of a mailbox have the same form.
    pub fn normalise(&self, name: &str) -> String {
        let addresses = self.alias_attributes.contains("email") || self.username_attributes.contains("email");
        let mailbox = if addresses { addresses::mailbox(name) } else { None };
        match mailbox.map(|mailbox| self.folded(&mailbox)) {
            // Lower-case letters can be composed in other ways than upper-case ones.
            Some(folded) => addresses::mailbox(&folded).unwrap_or(folded),
            None => self.folded(name),
        }
    }

    /// A name without its case, if the pool ignores case. Earlier releases compared this form.
    pub fn folded(&self, name: &str) -> String {
        if self.case_sensitive { name.to_owned() } else { name.to_lowercase() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::testing::{at, given, pool, texts};
    use crate::proto::events::{SigningKeyAdded, UserPoolCreated, UserPoolDeleted, UserPoolSettingsChanged};

    fn created() -> Event {
        Event::Created(UserPoolCreated { name: "people".to_owned(), region: "r".to_owned(), ..Default::default() })
    }

    fn key(kid: &str, purpose: SigningKeyUse, from: i64) -> Event {
        Event::SigningKeyAdded(SigningKeyAdded {
            kid: kid.to_owned(),
            r#use: purpose.into(),
            active_from_millis: at(from).0,
            ..Default::default()
        })
    }

    fn yields(events: &[Event]) -> Option<UserPool> {
        given(&StreamId::pool(), events)
    }

    #[test]
    fn only_creation_makes_a_pool_and_deletion_ends_it() {
        let deleted = || Event::Deleted(UserPoolDeleted {});
        let changed = || Event::SettingsChanged(UserPoolSettingsChanged::default());
        assert!(yields(&[key("one", SigningKeyUse::Id, 0), changed()]).is_none());
        assert_eq!(yields(&[created()]).unwrap().name, "people");
        assert!(yields(&[created(), deleted()]).is_none());
        assert!(yields(&[created(), deleted(), changed()]).is_none());
    }

    #[test]
    fn changed_settings_replace_old_ones_and_absent_ones_are_removed() {
        let settings = |text: Option<&str>, subject: Option<&str>| UserPoolSettings {
            sms_verification_message: text.map(str::to_owned),
            email_verification_subject: subject.map(str::to_owned),
            ..Default::default()
        };
        let created = Event::Created(UserPoolCreated {
            settings: Some(settings(Some("old"), Some("subject"))),
            ..Default::default()
        });
        let changed = Event::SettingsChanged(UserPoolSettingsChanged {
            changed: texts(&["sms_verification_message", "mfa_configuration"]),
            settings: Some(UserPoolSettings { mfa_configuration: Some("OFF".to_owned()), ..Default::default() }),
            name: None,
        });
        let pool = yields(&[created, changed]).unwrap();
        let expected =
            UserPoolSettings { mfa_configuration: Some("OFF".to_owned()), ..settings(None, Some("subject")) };
        assert_eq!(pool.settings, expected);
        assert_eq!((pool.created_at, pool.modified_at), (at(0), at(1)));
    }

    #[test]
    fn a_new_key_retires_the_previous_one_of_the_same_use() {
        let pool = yields(&[
            created(),
            key("id", SigningKeyUse::Id, 0),
            key("access", SigningKeyUse::Access, 0),
            key("next", SigningKeyUse::Access, 100),
        ])
        .unwrap();
        let kid = |purpose, seconds| pool.signing_key(purpose, at(seconds)).map(|key| key.kid.as_str());
        assert_eq!(kid(TokenUse::Access, -1), None);
        assert_eq!(kid(TokenUse::Access, 99), Some("access"));
        assert_eq!(kid(TokenUse::Access, 100), Some("next"));
        assert_eq!(kid(TokenUse::Id, 1_000), Some("id"));
    }

    #[test]
    fn the_newer_field_for_the_life_of_temporary_passwords_takes_precedence() {
        let days = |newer: Option<i32>, older: Option<i32>| {
            let password_policy = newer
                .map(|it| v1::PasswordPolicyType { temporary_password_validity_days: Some(it), ..Default::default() });
            let policies = Some(v1::UserPoolPolicyType { password_policy, ..Default::default() });
            let admin_create_user_config = older.map(|it| v1::AdminCreateUserConfigType {
                unused_account_validity_days: Some(it),
                ..Default::default()
            });
            let request = v1::CreateUserPoolRequest { policies, admin_create_user_config, ..Default::default() };
            pool(request).temporary_password_ends(at(0)).seconds() / 86_400
        };
        assert_eq!((days(None, None), days(Some(3), None)), (7, 3));
        assert_eq!((days(None, Some(30)), days(Some(3), Some(3)), days(Some(0), None)), (30, 3, 7));
        let mut before = pool(v1::CreateUserPoolRequest::default());
        let policies = before.settings.policies.as_mut().unwrap();
        policies.password_policy.as_mut().unwrap().temporary_password_validity_days = Some(0);
        assert_eq!(before.temporary_password_ends(at(0)), at(7 * 86_400), "as an earlier release kept it");
    }

    #[test]
    fn a_forgotten_password_is_replaced_in_the_order_of_the_pool() {
        let recovery = |mechanisms: &[(i32, &str)]| {
            let option = |(priority, name): &(i32, &str)| v1::RecoveryOptionType {
                priority: Some(*priority),
                name: Some((*name).to_owned()),
            };
            let recovery_mechanisms = mechanisms.iter().map(option).collect();
            let setting = Some(v1::AccountRecoverySettingType { recovery_mechanisms });
            pool(v1::CreateUserPoolRequest { account_recovery_setting: setting, ..Default::default() }).recovery()
        };
        let both = [(2, "verified_email"), (1, "verified_phone_number")];
        assert_eq!(recovery(&both), Recovery::ByUser(vec![Medium::Sms, Medium::Email]));
        assert_eq!(recovery(&[(1, "verified_email")]), Recovery::ByUser(vec![Medium::Email]));
        assert_eq!(recovery(&[]), Recovery::ByUser(vec![Medium::Sms, Medium::Email]));
        assert_eq!(recovery(&[(1, "admin_only")]), Recovery::ByAdministrator);
        assert_eq!(pool(Default::default()).recovery(), Recovery::ByUser(vec![Medium::Sms, Medium::Email]));
    }

    #[test]
    fn names_differ_by_case_unless_the_pool_says_otherwise() {
        let rules = |case_sensitive: Option<bool>| {
            let configuration = case_sensitive.map(|it| v1::UsernameConfigurationType { case_sensitive: Some(it) });
            pool(v1::CreateUserPoolRequest { username_configuration: configuration, ..Default::default() }).name_rules()
        };
        assert_eq!(rules(None).normalise("Jane"), "Jane");
        assert_eq!(rules(Some(true)).normalise("Jane"), "Jane");
        assert_eq!(rules(Some(false)).normalise("JÄNE"), "jäne");
    }

    fn addresses(case_sensitive: bool) -> NameRules {
        NameRules { case_sensitive, alias_attributes: ["email".to_owned()].into(), ..NameRules::default() }
    }

    #[test]
    fn a_mailbox_is_one_name_where_addresses_are_names() {
        for rules in [addresses(true), addresses(false)] {
            for spelled in ["jane@exam\u{ad}ple.com", "jane@\u{ff45}xample.com", "jane@Example.COM"] {
                assert_eq!(rules.normalise(spelled), "jane@example.com", "{spelled:?}");
            }
            assert_eq!(rules.normalise("jane@exämple.org"), rules.normalise("jane@XN--exmple-cua.org"));
        }
        assert_eq!(addresses(true).normalise("Jane@Example.com"), "Jane@example.com");
        assert_eq!(addresses(false).normalise("JÄNE@Example.com"), "jäne@example.com");
        let by_name = NameRules { case_sensitive: true, ..NameRules::default() };
        assert_eq!(by_name.normalise("Jane@Example.com"), "Jane@Example.com", "it is a name like any other here");
    }

    /// Spells a mailbox in another way: invisibly to a reader, or insignificantly to a mail relay.
    fn spelled(local: &str, domain: &str, ways: &[u8]) -> String {
        let other = |(index, letter): (usize, char)| match ways.get(index).copied().unwrap_or_default() % 4 {
            1 => letter.to_uppercase().to_string(),
            2 => format!("{letter}\u{ad}"),
            3 if letter.is_ascii_lowercase() => {
                // A full-width letter; these stand in the order of ASCII.
                char::from_u32(letter as u32 - 'a' as u32 + 0xff41).unwrap_or(letter).to_string()
            }
            _ => letter.to_string(),
        };
        format!("{local}@{}", domain.chars().enumerate().map(other).collect::<String>())
    }

    proptest! {
        #[test]
        fn a_normalised_name_stays_the_same(name in ".{0,24}", local in "\\PC{1,8}", domain in "\\PC{1,12}", sensitive in any::<bool>()) {
            for name in [name, format!("{local}@{domain}")] {
                let once = addresses(sensitive).normalise(&name);
                prop_assert_eq!(addresses(sensitive).normalise(&once), once);
            }
        }

        #[test]
        fn spellings_of_a_mailbox_collide(
            local in "[a-z0-9.+]{1,10}", domain in "[a-zäöü]{1,10}[.][a-z]{2,4}",
            ways in proptest::collection::vec(any::<u8>(), 16), sensitive in any::<bool>(),
        ) {
            let rules = addresses(sensitive);
            let plain = rules.normalise(&format!("{local}@{domain}"));
            prop_assert_eq!(rules.normalise(&spelled(&local, &domain, &ways)), plain);
        }

        #[test]
        fn a_phone_number_has_one_spelling(number in "[+][0-9]{1,15}", other in "[+]?[0-9\u{ff10}-\u{ff19} ()-]{1,18}") {
            let rules = NameRules { username_attributes: ["phone_number".to_owned()].into(), ..addresses(false) };
            prop_assert_eq!(rules.normalise(&number), number);
            let plain = other.starts_with('+') && other[1..].bytes().all(|byte| byte.is_ascii_digit());
            prop_assert!(plain || !addresses::is_phone_number(&other));
        }
    }
}
