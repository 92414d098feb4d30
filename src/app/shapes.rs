//! Conversions from state to the messages that several operations answer.

use crate::app::clients;
use crate::domain::app_client::AppClient;
use crate::domain::attributes;
use crate::domain::error::Error;
use crate::domain::group::Group;
use crate::domain::ids::UserPoolId;
use crate::domain::message::{self, Medium};
use crate::domain::second_factor::SecondFactor;
use crate::domain::user::User;
use crate::domain::user_pool::UserPool;
use crate::proto::presence::EmptyField;
use crate::proto::v1;
use crate::store::cache::PoolView;

/// A pool as the API shows it.
pub fn user_pool(id: &UserPoolId, pool: &UserPool, estimated_users: i32) -> v1::UserPoolType {
    let settings = pool.settings.clone();
    v1::UserPoolType {
        id: Some(id.to_string()),
        name: Some(pool.name.clone()),
        arn: Some(pool.arn(id)),
        creation_date: Some(pool.created_at.into()),
        last_modified_date: Some(pool.modified_at.into()),
        schema_attributes: attributes::schema::shown(&pool.schema),
        estimated_number_of_users: Some(estimated_users),
        policies: settings.policies,
        deletion_protection: settings.deletion_protection,
        lambda_config: settings.lambda_config,
        auto_verified_attributes: settings.auto_verified_attributes,
        alias_attributes: settings.alias_attributes,
        username_attributes: settings.username_attributes,
        sms_verification_message: settings.sms_verification_message,
        email_verification_message: settings.email_verification_message,
        email_verification_subject: settings.email_verification_subject,
        verification_message_template: settings.verification_message_template,
        sms_authentication_message: settings.sms_authentication_message,
        user_attribute_update_settings: settings.user_attribute_update_settings,
        mfa_configuration: settings.mfa_configuration,
        device_configuration: settings.device_configuration,
        email_configuration: settings.email_configuration,
        sms_configuration: settings.sms_configuration,
        user_pool_tags: settings.user_pool_tags,
        admin_create_user_config: settings.admin_create_user_config,
        user_pool_add_ons: settings.user_pool_add_ons,
        username_configuration: settings.username_configuration,
        account_recovery_setting: settings.account_recovery_setting,
        user_pool_tier: settings.user_pool_tier,
        ..v1::UserPoolType::default()
    }
}

/// The MFA settings of a pool, as the API shows them.
pub fn mfa_config(pool: &UserPool) -> v1::GetUserPoolMfaConfigResponse {
    let settings = pool.settings.clone();
    let sms = pool.has_sms_mfa().then_some(v1::SmsMfaConfigType {
        sms_authentication_message: settings.sms_authentication_message,
        sms_configuration: settings.sms_configuration,
    });
    v1::GetUserPoolMfaConfigResponse {
        sms_mfa_configuration: sms,
        software_token_mfa_configuration: settings.software_token_mfa_configuration,
        email_mfa_configuration: settings.email_mfa_configuration,
        mfa_configuration: settings.mfa_configuration,
        web_authn_configuration: settings.web_authn_configuration,
    }
}

/// A client as the API shows it, with its secret.
pub fn user_pool_client(pool: &PoolView, client: &AppClient) -> Result<v1::UserPoolClientType, Error> {
    let settings = client.settings.clone();
    let explicit_auth_flows = if settings.default_auth_flows { Vec::new() } else { settings.explicit_auth_flows };
    let given_empty = EmptyField::named([
        (EmptyField::ExplicitAuthFlows, explicit_auth_flows.is_empty() && !settings.default_auth_flows),
        (EmptyField::ReadAttributes, settings.read_attributes.is_empty() && settings.reads_no_attributes),
        (EmptyField::WriteAttributes, settings.write_attributes.is_empty() && settings.writes_no_attributes),
    ]);
    Ok(v1::UserPoolClientType {
        user_pool_id: Some(pool.id.to_string()),
        client_name: Some(settings.client_name),
        client_id: Some(client.client_id.to_string()),
        client_secret: clients::secret(pool, client)?,
        creation_date: Some(client.created_at.into()),
        last_modified_date: Some(client.modified_at.into()),
        refresh_token_validity: Some(settings.refresh_token_validity),
        access_token_validity: settings.access_token_validity,
        id_token_validity: settings.id_token_validity,
        token_validity_units: Some(settings.token_validity_units.unwrap_or_default()),
        read_attributes: settings.read_attributes,
        write_attributes: settings.write_attributes,
        explicit_auth_flows,
        supported_identity_providers: settings.supported_identity_providers,
        callback_urls: settings.callback_urls,
        logout_urls: settings.logout_urls,
        default_redirect_uri: settings.default_redirect_uri,
        allowed_oauth_flows: settings.allowed_oauth_flows,
        allowed_oauth_scopes: settings.allowed_oauth_scopes,
        allowed_oauth_flows_user_pool_client: settings.allowed_oauth_flows_user_pool_client.or(Some(false)),
        analytics_configuration: settings.analytics_configuration,
        prevent_user_existence_errors: settings.prevent_user_existence_errors,
        enable_token_revocation: Some(settings.enable_token_revocation),
        enable_propagate_additional_user_context_data: settings
            .enable_propagate_additional_user_context_data
            .or(Some(false)),
        auth_session_validity: Some(settings.auth_session_validity),
        refresh_token_rotation: settings.refresh_token_rotation,
        given_empty,
        ..v1::UserPoolClientType::default()
    })
}

/// All attributes of a user, or those that a client may read.
pub fn user_attributes(pool: &UserPool, user: &User, reader: Option<&AppClient>) -> Vec<v1::AttributeType> {
    let readable = |name: &str| reader.is_none_or(|client| attributes::readable(&pool.schema, client.readable(), name));
    let shown = user.shown_attributes().into_iter().filter(|(name, _)| readable(name));
    shown.map(|(name, value)| v1::AttributeType { name: Some(name), value: Some(value) }).collect()
}

/// A user as administrators' operations show it.
pub fn user(pool: &UserPool, user: &User) -> v1::UserType {
    v1::UserType {
        username: Some(user.username().to_owned()),
        attributes: user_attributes(pool, user, None),
        user_create_date: Some(user.created_at.into()),
        user_last_modified_date: Some(user.modified_at.into()),
        enabled: Some(user.enabled),
        user_status: Some(user.status.name().to_owned()),
        mfa_options: mfa_options(user),
    }
}

/// The second factors that are on for a user, by Cognito's names.
pub fn mfa_settings(user: &User) -> Vec<String> {
    user.mfa.enabled.iter().map(|factor| factor.name().to_owned()).collect()
}

/// The second factor that is asked for first, if the user has chosen one.
pub fn preferred_mfa(user: &User) -> Option<String> {
    user.mfa.preferred.map(|factor| factor.name().to_owned())
}

/// The older form of the second factors, which knows SMS alone.
pub fn mfa_options(user: &User) -> Vec<v1::MfaOptionType> {
    let sms = v1::MfaOptionType {
        delivery_medium: Some(Medium::Sms.name().to_owned()),
        attribute_name: Some(Medium::Sms.attribute().to_owned()),
    };
    user.mfa.enabled.contains(&SecondFactor::Sms).then_some(sms).into_iter().collect()
}

/// A group as the API shows it.
pub fn group(pool: &UserPoolId, group: &Group) -> v1::GroupType {
    v1::GroupType {
        group_name: Some(group.name.clone()),
        user_pool_id: Some(pool.to_string()),
        description: group.settings.description.clone(),
        role_arn: group.settings.role_arn.clone(),
        precedence: group.settings.precedence,
        creation_date: Some(group.created_at.into()),
        last_modified_date: Some(group.modified_at.into()),
    }
}

/// Where a code was sent, with the address masked.
pub fn code_delivery(medium: Medium, address: &str) -> v1::CodeDeliveryDetailsType {
    v1::CodeDeliveryDetailsType {
        destination: Some(message::mask(medium, address)),
        delivery_medium: Some(medium.name().to_owned()),
        attribute_name: Some(medium.attribute().to_owned()),
    }
}
