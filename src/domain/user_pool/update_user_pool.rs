//! UpdateUserPool: the rules.

use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::user_pool::{UserPool, settings};
use crate::proto::events::user_pool_event::Event;
use crate::proto::events::{UserPoolSettings, UserPoolSettingsChanged};
use crate::proto::{json, v1};

/// Decides a change of settings. As in Cognito, what is not given goes back to its default; how users are named stays.
pub fn update_user_pool(pool: &UserPool, request: v1::UpdateUserPoolRequest) -> Decision<Event, Event, ()> {
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
    let chosen = settings_of(pool, request);
    settings::check(&chosen)?;
    let chosen = settings::with_defaults(chosen);
    let mut changed = json::changed(&pool.settings, &chosen).map_err(Error::internal)?;
    let settings = json::only(&chosen, &changed).map_err(Error::internal)?;
    changed.extend(name.is_some().then(|| "name".to_owned()));
    Ok((!changed.is_empty()).then_some(UserPoolSettingsChanged { changed, settings: Some(settings), name }))
}

fn settings_of(pool: &UserPool, request: v1::UpdateUserPoolRequest) -> UserPoolSettings {
    UserPoolSettings {
        policies: request.policies,
        deletion_protection: request.deletion_protection,
        lambda_config: request.lambda_config,
        auto_verified_attributes: request.auto_verified_attributes,
        alias_attributes: pool.settings.alias_attributes.clone(),
        username_attributes: pool.settings.username_attributes.clone(),
        sms_verification_message: request.sms_verification_message,
        email_verification_message: request.email_verification_message,
        email_verification_subject: request.email_verification_subject,
        verification_message_template: request.verification_message_template,
        sms_authentication_message: request.sms_authentication_message,
        mfa_configuration: request.mfa_configuration,
        user_attribute_update_settings: request.user_attribute_update_settings,
        device_configuration: request.device_configuration,
        email_configuration: request.email_configuration,
        sms_configuration: request.sms_configuration,
        user_pool_tags: request.user_pool_tags,
        admin_create_user_config: request.admin_create_user_config,
        user_pool_add_ons: request.user_pool_add_ons,
        username_configuration: pool.settings.username_configuration,
        account_recovery_setting: request.account_recovery_setting,
        user_pool_tier: request.user_pool_tier,
    }
}
