//! UpdateUserPool: the rules.

use crate::domain::decision::{Decision, NoFacts};
use crate::domain::error::{Error, Exception};
use crate::domain::user_pool::{UserPool, settings};
use crate::proto::events::user_pool_event::Event;
use crate::proto::events::{UserPoolSettings, UserPoolSettingsChanged};
use crate::proto::presence::EmptyField;
use crate::proto::{json, v1};

/// Decides a change of settings. As in Cognito, an absent setting goes back to its default. The rules for user names
/// stay, and so do tags, the password policy, the second factor and other protections of accounts: no update weakens
/// these silently.
pub fn update_user_pool(pool: &UserPool, request: v1::UpdateUserPoolRequest) -> Decision<Event, NoFacts, ()> {
    match changed(pool, request) {
        Ok(None) => Decision::events(Vec::new(), ()),
        Ok(Some(changed)) => Decision::events(vec![Event::SettingsChanged(changed)], ()),
        Err(error) => Decision::refuse(error),
    }
}

fn changed(pool: &UserPool, request: v1::UpdateUserPoolRequest) -> Result<Option<UserPoolSettingsChanged>, Error> {
    settings::refuse_later_parts([
        (request.dcr_configuration.is_some(), "DcrConfiguration"),
        (request.key_configuration.is_some(), "KeyConfiguration"),
        (request.issuer_configuration.is_some(), "IssuerConfiguration"),
        (!request.acr_configuration.is_empty(), "AcrConfiguration"),
    ])?;
    let name = request.pool_name.clone().filter(|name| *name != pool.name);
    let given = settings::without_zeros(settings_of(pool, request));
    settings::check_given(&given)?;
    let chosen = keeping_policies(pool, given);
    settings::check(&chosen)?;
    let chosen = settings::with_defaults(chosen);
    settings::check_tier(&chosen)
        .map_err(|error| Error::new(Exception::TierChangeNotAllowedException, error.message))?;
    let mut changed = json::changed(&pool.settings, &chosen).map_err(Error::internal)?;
    let settings = json::only(&chosen, &changed).map_err(Error::internal)?;
    changed.extend(name.is_some().then(|| "name".to_owned()));
    Ok((!changed.is_empty()).then_some(UserPoolSettingsChanged { changed, settings: Some(settings), name }))
}

/// The settings with the pool's policies, where the request gives none. The life of temporary passwords, one of them,
/// also has an older field.
fn keeping_policies(pool: &UserPool, mut settings: UserPoolSettings) -> UserPoolSettings {
    let given = settings.policies.take().unwrap_or_default();
    let current = pool.settings.policies.clone().unwrap_or_default();
    let days = settings.admin_create_user_config.as_ref().and_then(|it| it.unused_account_validity_days);
    let kept = current.password_policy.map(|policy| v1::PasswordPolicyType {
        temporary_password_validity_days: days.or(policy.temporary_password_validity_days),
        ..policy
    });
    settings.policies = Some(v1::UserPoolPolicyType {
        password_policy: given.password_policy.or(kept),
        sign_in_policy: given.sign_in_policy.or(current.sign_in_policy),
    });
    settings
}

fn settings_of(pool: &UserPool, request: v1::UpdateUserPoolRequest) -> UserPoolSettings {
    let untagged = EmptyField::UserPoolTags.is_in(&request.given_empty);
    let keeps_tags = request.user_pool_tags.is_empty() && !untagged;
    settings::chosen!(request, {
        policies: request.policies,
        mfa_configuration: request.mfa_configuration.or_else(|| pool.settings.mfa_configuration.clone()),
        user_pool_tags: if keeps_tags { pool.settings.user_pool_tags.clone() } else { request.user_pool_tags },
        alias_attributes: pool.settings.alias_attributes.clone(),
        username_attributes: pool.settings.username_attributes.clone(),
        username_configuration: pool.settings.username_configuration,
        // SetUserPoolMfaConfig sets these.
        sms_mfa_enabled: pool.settings.sms_mfa_enabled,
        software_token_mfa_configuration: pool.settings.software_token_mfa_configuration,
        email_mfa_configuration: pool.settings.email_mfa_configuration.clone(),
        web_authn_configuration: pool.settings.web_authn_configuration.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::decision::replay;
    use crate::domain::ids::StreamId;
    use crate::domain::testing::{at, pool, refused_parameter, texts};

    fn apply(pool: &UserPool, events: &[Event]) -> UserPool {
        let changed = replay(Some(pool.clone()), &StreamId::pool(), events.iter().map(|event| (event, at(9))));
        changed.expect("an update ends no pool")
    }

    fn created() -> UserPool {
        pool(v1::CreateUserPoolRequest {
            pool_name: Some("people".to_owned()),
            auto_verified_attributes: texts(&["email"]),
            alias_attributes: texts(&["email"]),
            deletion_protection: Some("ACTIVE".to_owned()),
            ..Default::default()
        })
    }

    #[test]
    fn nothing_happens_where_nothing_changes() {
        let request = v1::UpdateUserPoolRequest {
            pool_name: Some("people".to_owned()),
            auto_verified_attributes: texts(&["email"]),
            deletion_protection: Some("ACTIVE".to_owned()),
            ..Default::default()
        };
        let decision = update_user_pool(&created(), request);
        decision.answer.unwrap();
        assert_eq!(decision.events, []);
    }

    #[test]
    fn the_event_names_changes_and_absent_settings_go_back_to_their_defaults() {
        let before = created();
        let request = v1::UpdateUserPoolRequest {
            pool_name: Some("friends".to_owned()),
            sms_authentication_message: Some("{####}".to_owned()),
            ..Default::default()
        };
        let decision = update_user_pool(&before, request);
        let [Event::SettingsChanged(changed)] = &decision.events[..] else { panic!("{:?}", decision.events) };
        let names = ["auto_verified_attributes", "deletion_protection", "sms_authentication_message", "name"];
        assert_eq!(changed.changed, names);
        assert_eq!(changed.name.as_deref(), Some("friends"));
        let after = apply(&before, &decision.events);
        assert_eq!((after.name.as_str(), after.modified_at, after.created_at), ("friends", at(9), at(0)));
        assert_eq!(after.settings.auto_verified_attributes, texts(&[]));
        assert_eq!(after.settings.deletion_protection.as_deref(), Some("INACTIVE"));
        assert_eq!(after.settings.sms_authentication_message.as_deref(), Some("{####}"));
        assert_eq!(after.settings.policies, before.settings.policies, "what did not change stays");
    }

    fn updated(pool: &UserPool, request: v1::UpdateUserPoolRequest) -> UserPool {
        let decision = update_user_pool(pool, request);
        decision.answer.unwrap();
        apply(pool, &decision.events)
    }

    fn tags(key: &str) -> std::collections::BTreeMap<String, String> {
        [(key.to_owned(), String::new())].into()
    }

    fn policy(minimum_length: i32, temporary_password_validity_days: Option<i32>) -> v1::PasswordPolicyType {
        let require_symbols = Some(true);
        v1::PasswordPolicyType {
            minimum_length: Some(minimum_length),
            require_symbols,
            temporary_password_validity_days,
            ..Default::default()
        }
    }

    fn policies(password_policy: v1::PasswordPolicyType) -> Option<v1::UserPoolPolicyType> {
        Some(v1::UserPoolPolicyType { password_policy: Some(password_policy), sign_in_policy: None })
    }

    #[test]
    fn protections_of_accounts_stay_until_an_update_changes_them() {
        let before = pool(v1::CreateUserPoolRequest {
            policies: policies(policy(20, Some(3))),
            mfa_configuration: Some("OPTIONAL".to_owned()),
            sms_configuration: Some(v1::SmsConfigurationType::default()),
            ..Default::default()
        });
        let none = || v1::UpdateUserPoolRequest {
            sms_configuration: Some(v1::SmsConfigurationType::default()),
            ..Default::default()
        };
        let only_sign_in = v1::UserPoolPolicyType {
            sign_in_policy: Some(v1::SignInPolicyType { allowed_first_auth_factors: texts(&["PASSWORD"]) }),
            password_policy: None,
        };
        for request in [none(), v1::UpdateUserPoolRequest { policies: Some(only_sign_in), ..none() }] {
            let after = updated(&before, request);
            assert_eq!(after.settings, before.settings);
        }
        let given = v1::UpdateUserPoolRequest {
            policies: policies(policy(6, None)),
            mfa_configuration: Some("OFF".to_owned()),
            ..none()
        };
        let after = updated(&before, given).settings;
        let now = after.policies.unwrap().password_policy.unwrap();
        assert_eq!((now.minimum_length, now.temporary_password_validity_days), (Some(6), Some(7)));
        assert_eq!((now.require_uppercase, now.require_symbols), (Some(false), Some(true)));
        assert_eq!(after.mfa_configuration.as_deref(), Some("OFF"));
    }

    #[test]
    fn the_older_field_changes_only_the_life_of_temporary_passwords() {
        let before = pool(v1::CreateUserPoolRequest { policies: policies(policy(20, Some(3))), ..Default::default() });
        let days = |days: i32| v1::UpdateUserPoolRequest {
            admin_create_user_config: Some(v1::AdminCreateUserConfigType {
                unused_account_validity_days: Some(days),
                ..Default::default()
            }),
            ..Default::default()
        };
        let after = updated(&before, days(30));
        assert_eq!(after.password_policy().minimum_length, Some(20));
        assert_eq!(after.password_policy().temporary_password_validity_days, Some(30));
        let same = updated(&before, days(0));
        assert_eq!(same.password_policy().temporary_password_validity_days, Some(3), "0 says nothing");
        let both = v1::UpdateUserPoolRequest { policies: policies(policy(8, Some(5))), ..days(30) };
        assert!(refused_parameter(update_user_pool(&before, both)).starts_with("Please use"));
    }

    #[test]
    fn tags_stay_until_a_request_names_tags() {
        let before = pool(v1::CreateUserPoolRequest { user_pool_tags: tags("old"), ..Default::default() });
        assert_eq!(update_user_pool(&before, v1::UpdateUserPoolRequest::default()).events, []);
        let others = v1::UpdateUserPoolRequest { user_pool_tags: tags("new"), ..Default::default() };
        assert_eq!(updated(&before, others).settings.user_pool_tags, tags("new"));
        let given_empty = EmptyField::named([(EmptyField::UserPoolTags, true)]);
        let none = v1::UpdateUserPoolRequest { given_empty, ..Default::default() };
        assert!(updated(&before, none).settings.user_pool_tags.is_empty());
    }

    #[test]
    fn an_absent_recovery_setting_is_removed() {
        let recovery_mechanisms =
            vec![v1::RecoveryOptionType { name: Some("verified_email".to_owned()), priority: Some(1) }];
        let chosen = Some(v1::AccountRecoverySettingType { recovery_mechanisms });
        let before = pool(v1::CreateUserPoolRequest { account_recovery_setting: chosen, ..Default::default() });
        let after = updated(&before, v1::UpdateUserPoolRequest::default());
        assert_eq!(after.settings.account_recovery_setting, None);
        assert_eq!(after.recovery(), pool(Default::default()).recovery());
    }

    #[test]
    fn the_rules_for_user_names_stay() {
        let before = created();
        let decision = update_user_pool(&before, v1::UpdateUserPoolRequest::default());
        let after = apply(&before, &decision.events);
        assert_eq!(after.name_rules(), before.name_rules());
        assert_eq!((after.schema, after.name), (before.schema, before.name));
    }

    #[test]
    fn an_update_refuses_whatever_creation_refuses() {
        let update = |request| refused_parameter(update_user_pool(&created(), request));
        let mfa = v1::UpdateUserPoolRequest { mfa_configuration: Some("ON".to_owned()), ..Default::default() };
        assert!(update(mfa).contains("can't disable all MFAs"));
        let later = v1::UpdateUserPoolRequest { key_configuration: Some(Default::default()), ..Default::default() };
        assert!(update(later).starts_with("KeyConfiguration"));
    }
}
