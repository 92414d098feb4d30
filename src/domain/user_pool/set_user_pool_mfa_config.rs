//! SetUserPoolMfaConfig: the rules.

use crate::domain::decision::{Decision, NoFacts};
use crate::domain::error::Error;
use crate::domain::user_pool::{UserPool, settings};
use crate::proto::events::user_pool_event::Event;
use crate::proto::events::{UserPoolSettings, UserPoolSettingsChanged};
use crate::proto::{json, v1};

/// Decides a pool's second factors. A factor that the request does not name is turned off. Absent parts of a named
/// factor stay as they are, and so do the MFA configuration and passkeys.
pub fn set_user_pool_mfa_config(
    pool: &UserPool,
    request: v1::SetUserPoolMfaConfigRequest,
) -> Decision<Event, NoFacts, ()> {
    match changed(pool, request) {
        Ok(None) => Decision::events(Vec::new(), ()),
        Ok(Some(changed)) => Decision::events(vec![Event::SettingsChanged(changed)], ()),
        Err(error) => Decision::refuse(error),
    }
}

fn changed(
    pool: &UserPool,
    request: v1::SetUserPoolMfaConfigRequest,
) -> Result<Option<UserPoolSettingsChanged>, Error> {
    let chosen = chosen(&pool.settings, &request);
    settings::check(&chosen)?;
    check(&chosen, &request)?;
    settings::check_tier(&chosen)?;
    let chosen = settings::with_defaults(chosen);
    let changed = json::changed(&pool.settings, &chosen).map_err(Error::internal)?;
    if changed.is_empty() {
        return Ok(None);
    }
    let settings = json::only(&chosen, &changed).map_err(Error::internal)?;
    Ok(Some(UserPoolSettingsChanged { changed, settings: Some(settings), name: None }))
}

fn chosen(current: &UserPoolSettings, request: &v1::SetUserPoolMfaConfigRequest) -> UserPoolSettings {
    let sms = request.sms_mfa_configuration.clone();
    let (message, configuration) =
        sms.map(|sms| (sms.sms_authentication_message, sms.sms_configuration)).unwrap_or_default();
    let current = current.clone();
    UserPoolSettings {
        mfa_configuration: request.mfa_configuration.clone().or(current.mfa_configuration),
        sms_mfa_enabled: Some(request.sms_mfa_configuration.is_some()),
        sms_authentication_message: message.or(current.sms_authentication_message),
        sms_configuration: configuration.or(current.sms_configuration),
        software_token_mfa_configuration: request.software_token_mfa_configuration,
        email_mfa_configuration: request.email_mfa_configuration.clone(),
        web_authn_configuration: request.web_authn_configuration.clone().or(current.web_authn_configuration),
        ..current
    }
}

/// Refuses factors that contradict the MFA configuration.
fn check(chosen: &UserPoolSettings, request: &v1::SetUserPoolMfaConfigRequest) -> Result<(), Error> {
    let sms = request.sms_mfa_configuration.is_some();
    let (app, email) = (request.software_token_mfa_configuration, request.email_mfa_configuration.is_some());
    let off = chosen.mfa_configuration.as_deref().unwrap_or("OFF") == "OFF";
    if off && (sms || email || app.is_some()) {
        return Err(Error::invalid_parameter(
            "Invalid MFA configuration given, can't turn off MFA and configure an MFA together.",
        ));
    }
    if sms && chosen.sms_configuration.is_none() {
        return Err(Error::invalid_parameter(
            "SmsMfaConfiguration needs an SmsConfiguration: its own, or one that the user pool has.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::decision::replay;
    use crate::domain::error::Exception;
    use crate::domain::ids::StreamId;
    use crate::domain::testing::{at, pool, refused, refused_parameter};
    use crate::domain::user_pool::update_user_pool::update_user_pool;

    fn mode(mode: &str) -> v1::SetUserPoolMfaConfigRequest {
        v1::SetUserPoolMfaConfigRequest { mfa_configuration: Some(mode.to_owned()), ..Default::default() }
    }

    fn app(enabled: bool) -> Option<v1::SoftwareTokenMfaConfigType> {
        Some(v1::SoftwareTokenMfaConfigType { enabled: Some(enabled) })
    }

    fn email() -> Option<v1::EmailMfaConfigType> {
        Some(v1::EmailMfaConfigType { message: Some("{####}".to_owned()), subject: Some("Code".to_owned()) })
    }

    fn passkeys() -> Option<v1::WebAuthnConfigurationType> {
        let relying_party_id = Some("example.com".to_owned());
        Some(v1::WebAuthnConfigurationType { relying_party_id, ..Default::default() })
    }

    fn sender() -> v1::SmsConfigurationType {
        v1::SmsConfigurationType { external_id: Some("x".to_owned()), ..Default::default() }
    }

    fn sms(message: Option<&str>, sender: Option<v1::SmsConfigurationType>) -> Option<v1::SmsMfaConfigType> {
        let sms_authentication_message = message.map(str::to_owned);
        Some(v1::SmsMfaConfigType { sms_authentication_message, sms_configuration: sender })
    }

    fn plain() -> UserPool {
        pool(v1::CreateUserPoolRequest::default())
    }

    fn after(pool: &UserPool, decision: Decision<Event, NoFacts, ()>) -> UserPool {
        decision.answer.unwrap();
        let events = decision.events.iter().map(|event| (event, at(5)));
        replay(Some(pool.clone()), &StreamId::pool(), events).unwrap()
    }

    fn set(pool: &UserPool, request: v1::SetUserPoolMfaConfigRequest) -> UserPool {
        after(pool, set_user_pool_mfa_config(pool, request))
    }

    #[test]
    fn every_factor_is_stored_as_given_and_the_event_names_changes() {
        let request = v1::SetUserPoolMfaConfigRequest {
            sms_mfa_configuration: sms(Some("SMS {####}"), Some(sender())),
            software_token_mfa_configuration: app(true),
            email_mfa_configuration: email(),
            web_authn_configuration: passkeys(),
            ..mode("OPTIONAL")
        };
        let before = plain();
        let decision = set_user_pool_mfa_config(&before, request.clone());
        let [Event::SettingsChanged(changed)] = &decision.events[..] else { panic!("{:?}", decision.events) };
        let names = [
            "email_mfa_configuration",
            "mfa_configuration",
            "sms_authentication_message",
            "sms_configuration",
            "sms_mfa_enabled",
            "software_token_mfa_configuration",
            "web_authn_configuration",
        ];
        assert_eq!(changed.changed, names);
        let pool = after(&before, decision);
        let settings = &pool.settings;
        assert_eq!(settings.mfa_configuration.as_deref(), Some("OPTIONAL"));
        assert_eq!(settings.sms_authentication_message.as_deref(), Some("SMS {####}"));
        assert_eq!(settings.sms_configuration, Some(sender()));
        assert_eq!(settings.software_token_mfa_configuration, app(true));
        assert_eq!((&settings.email_mfa_configuration, &settings.web_authn_configuration), (&email(), &passkeys()));
        assert_eq!(set_user_pool_mfa_config(&pool, request).events, [], "the same again changes nothing");
    }

    #[test]
    fn a_factor_that_is_not_named_is_turned_off_and_shared_settings_stay() {
        let all = v1::SetUserPoolMfaConfigRequest {
            sms_mfa_configuration: sms(Some("SMS {####}"), Some(sender())),
            email_mfa_configuration: email(),
            web_authn_configuration: passkeys(),
            ..mode("OPTIONAL")
        };
        let pool = set(&plain(), all);
        let only_app =
            v1::SetUserPoolMfaConfigRequest { software_token_mfa_configuration: app(true), ..Default::default() };
        let pool = set(&pool, only_app);
        assert_eq!(pool.settings.mfa_configuration.as_deref(), Some("OPTIONAL"), "what is not said stays");
        assert_eq!((pool.settings.sms_mfa_enabled, &pool.settings.email_mfa_configuration), (Some(false), &None));
        assert_eq!(pool.settings.sms_configuration, Some(sender()), "SMS are sent for other reasons too");
        let sms_again = v1::SetUserPoolMfaConfigRequest { sms_mfa_configuration: sms(None, None), ..mode("OPTIONAL") };
        let pool = set(&pool, sms_again);
        assert_eq!(pool.settings.sms_authentication_message.as_deref(), Some("SMS {####}"));
        let pool = set(&pool, mode("OFF"));
        assert_eq!((pool.settings.sms_mfa_enabled, pool.settings.software_token_mfa_configuration), (None, None));
        assert_eq!(pool.settings.web_authn_configuration, passkeys(), "passkeys are no second factor");
    }

    #[test]
    fn contradictions_are_refused() {
        let refused = |pool: &UserPool, request| refused_parameter(set_user_pool_mfa_config(pool, request));
        let none = v1::SetUserPoolMfaConfigRequest::default;
        for factor in [
            v1::SetUserPoolMfaConfigRequest { sms_mfa_configuration: sms(None, Some(sender())), ..none() },
            v1::SetUserPoolMfaConfigRequest { software_token_mfa_configuration: app(true), ..none() },
            v1::SetUserPoolMfaConfigRequest { software_token_mfa_configuration: app(false), ..none() },
            v1::SetUserPoolMfaConfigRequest { email_mfa_configuration: email(), ..none() },
        ] {
            let off = v1::SetUserPoolMfaConfigRequest { mfa_configuration: Some("OFF".to_owned()), ..factor.clone() };
            assert!(refused(&plain(), off).contains("can't turn off MFA and configure an MFA together"));
            assert!(refused(&plain(), factor).contains("can't turn off MFA and configure an MFA together"));
        }
        let nothing = "can't disable all MFAs with a required or optional configuration";
        assert!(refused(&plain(), mode("OPTIONAL")).contains(nothing));
        let switched_off =
            v1::SetUserPoolMfaConfigRequest { software_token_mfa_configuration: app(false), ..mode("OPTIONAL") };
        assert!(refused(&plain(), switched_off).contains(nothing));
        let no_sender = v1::SetUserPoolMfaConfigRequest { sms_mfa_configuration: sms(None, None), ..mode("OPTIONAL") };
        assert!(refused(&plain(), no_sender).contains("needs an SmsConfiguration"));
        assert!(refused(&plain(), mode("ON")).contains(nothing));
        let on = v1::SetUserPoolMfaConfigRequest { software_token_mfa_configuration: app(true), ..mode("ON") };
        assert_eq!(set(&plain(), on).settings.mfa_configuration.as_deref(), Some("ON"));
    }

    #[test]
    fn the_tier_lite_excludes_email_factors_and_passkeys() {
        let lite = pool(v1::CreateUserPoolRequest { user_pool_tier: Some("LITE".to_owned()), ..Default::default() });
        let with_email = v1::SetUserPoolMfaConfigRequest { email_mfa_configuration: email(), ..mode("OPTIONAL") };
        let with_passkeys = v1::SetUserPoolMfaConfigRequest { web_authn_configuration: passkeys(), ..mode("OFF") };
        for request in [with_email, with_passkeys.clone()] {
            let refusal = refused(set_user_pool_mfa_config(&lite, request));
            assert_eq!(refusal.0, Exception::FeatureUnavailableInTierException);
        }
        let pool = set(&plain(), with_passkeys);
        let down = v1::UpdateUserPoolRequest { user_pool_tier: Some("LITE".to_owned()), ..Default::default() };
        assert_eq!(refused(update_user_pool(&pool, down)).0, Exception::TierChangeNotAllowedException);
    }

    #[test]
    fn an_update_of_the_pool_keeps_the_factors_unless_it_turns_them_off() {
        let request = v1::SetUserPoolMfaConfigRequest {
            software_token_mfa_configuration: app(true),
            web_authn_configuration: passkeys(),
            ..mode("OPTIONAL")
        };
        let pool = set(&plain(), request);
        let update = |mode: Option<&str>| v1::UpdateUserPoolRequest {
            mfa_configuration: mode.map(str::to_owned),
            ..Default::default()
        };
        let kept = after(&pool, update_user_pool(&pool, update(Some("OPTIONAL"))));
        assert_eq!(kept.settings.software_token_mfa_configuration, app(true));
        let untold = after(&pool, update_user_pool(&pool, update(None)));
        assert_eq!(untold.settings, kept.settings, "what is not said stays");
        let off = after(&pool, update_user_pool(&pool, update(Some("OFF"))));
        assert_eq!((off.settings.mfa_configuration.as_deref(), off.settings.sms_mfa_enabled), (Some("OFF"), None));
        assert_eq!(off.settings.software_token_mfa_configuration, None);
        assert_eq!(off.settings.web_authn_configuration, passkeys());
    }
}
