//! Rules for a pool's settings: defaults, and values that are refused until their feature is built.

use std::collections::BTreeMap;

use crate::domain::error::{Error, Exception};
use crate::domain::message::{CODE_PLACE, NamedAddress, USERNAME_PLACE};
use crate::domain::trigger::Trigger;
use crate::proto::events::UserPoolSettings;
use crate::proto::v1;

/// The settings of a request. Requests to create and to update have the same field names, except for the fields about
/// user names and those that an update leaves as they are.
macro_rules! chosen {
    ($request:ident, { $($own:ident: $value:expr),* $(,)? }) => {
        UserPoolSettings {
            deletion_protection: $request.deletion_protection,
            lambda_config: $request.lambda_config,
            auto_verified_attributes: $request.auto_verified_attributes,
            sms_verification_message: $request.sms_verification_message,
            email_verification_message: $request.email_verification_message,
            email_verification_subject: $request.email_verification_subject,
            verification_message_template: $request.verification_message_template,
            sms_authentication_message: $request.sms_authentication_message,
            user_attribute_update_settings: $request.user_attribute_update_settings,
            device_configuration: $request.device_configuration,
            email_configuration: $request.email_configuration,
            sms_configuration: $request.sms_configuration,
            admin_create_user_config: $request.admin_create_user_config,
            user_pool_add_ons: $request.user_pool_add_ons,
            account_recovery_setting: $request.account_recovery_setting,
            user_pool_tier: $request.user_pool_tier,
            $($own: $value,)*
        }
    };
}
pub(super) use chosen;

/// Treats 0 days as absent, as Cognito does.
pub fn without_zeros(mut settings: UserPoolSettings) -> UserPoolSettings {
    let given = |days: Option<i32>| days.filter(|days| *days > 0);
    if let Some(policy) = settings.policies.as_mut().and_then(|policies| policies.password_policy.as_mut()) {
        policy.temporary_password_validity_days = given(policy.temporary_password_validity_days);
    }
    if let Some(admin) = settings.admin_create_user_config.as_mut() {
        admin.unused_account_validity_days = given(admin.unused_account_validity_days);
    }
    settings
}

/// Fills in Cognito's defaults. The recovery of forgotten passwords is not filled in, because it is shown only if it
/// was chosen; its default applies when it is absent.
pub fn with_defaults(mut settings: UserPoolSettings) -> UserPoolSettings {
    let policies = settings.policies.get_or_insert_default();
    let given = policies.password_policy.take();
    // The older field for the life of temporary passwords counts if the newer one is absent.
    let older_days = settings.admin_create_user_config.as_ref().and_then(|it| it.unused_account_validity_days);
    policies.password_policy = Some(password_policy_with_defaults(given, older_days));
    policies
        .sign_in_policy
        .get_or_insert_with(|| v1::SignInPolicyType { allowed_first_auth_factors: vec!["PASSWORD".to_owned()] });
    settings.deletion_protection.get_or_insert_with(|| "INACTIVE".to_owned());
    settings.mfa_configuration.get_or_insert_with(|| "OFF".to_owned());
    settings.user_pool_tier.get_or_insert_with(|| "ESSENTIALS".to_owned());
    settings.lambda_config.get_or_insert_default();
    if settings.mfa_configuration.as_deref() == Some("OFF") {
        // Without a second factor, nothing about one is stored.
        settings.sms_mfa_enabled = None;
        settings.software_token_mfa_configuration = None;
        settings.email_mfa_configuration = None;
    }
    let template = settings.verification_message_template.get_or_insert_default();
    template.default_email_option.get_or_insert_with(|| "CONFIRM_WITH_CODE".to_owned());
    // The API has each of these texts in two fields with one value: a text that is given in one field shows in the
    // other.
    share(&mut settings.sms_verification_message, &mut template.sms_message);
    share(&mut settings.email_verification_message, &mut template.email_message);
    share(&mut settings.email_verification_subject, &mut template.email_subject);
    let email = settings.email_configuration.get_or_insert_default();
    email.email_sending_account.get_or_insert_with(|| "COGNITO_DEFAULT".to_owned());
    let admin = settings.admin_create_user_config.get_or_insert_default();
    admin.allow_admin_create_user_only.get_or_insert(false);
    let days = settings
        .policies
        .as_ref()
        .and_then(|policies| policies.password_policy.as_ref())
        .and_then(|policy| policy.temporary_password_validity_days);
    admin.unused_account_validity_days = admin.unused_account_validity_days.or(days);
    settings
}

fn share(one: &mut Option<String>, other: &mut Option<String>) {
    if one.is_none() {
        one.clone_from(other);
    } else if other.is_none() {
        other.clone_from(one);
    }
}

/// The default policy for a pool without one. In a given policy, rules that are not named are not required.
fn password_policy_with_defaults(
    given: Option<v1::PasswordPolicyType>,
    older_days: Option<i32>,
) -> v1::PasswordPolicyType {
    let strict = given.is_none();
    let given = given.unwrap_or_default();
    v1::PasswordPolicyType {
        minimum_length: given.minimum_length.or(Some(8)),
        require_uppercase: given.require_uppercase.or(Some(strict)),
        require_lowercase: given.require_lowercase.or(Some(strict)),
        require_numbers: given.require_numbers.or(Some(strict)),
        require_symbols: given.require_symbols.or(Some(strict)),
        password_history_size: given.password_history_size,
        temporary_password_validity_days: given.temporary_password_validity_days.or(older_days).or(Some(7)),
    }
}

/// Refuses values that contradict each other, and values whose feature is not built.
pub fn check(settings: &UserPoolSettings) -> Result<(), Error> {
    refuse_unbuilt(settings)?;
    if !settings.alias_attributes.is_empty() && !settings.username_attributes.is_empty() {
        return Err(Error::invalid_parameter(
            "Only one of the aliasAttributes or usernameAttributes can be set in a user pool.",
        ));
    }
    check_recovery(settings)?;
    let template = settings.verification_message_template.as_ref();
    let texts = [
        (&settings.email_verification_message, template.and_then(|it| it.email_message.as_ref()), "EmailMessage"),
        (&settings.email_verification_subject, template.and_then(|it| it.email_subject.as_ref()), "EmailSubject"),
        (&settings.sms_verification_message, template.and_then(|it| it.sms_message.as_ref()), "SmsMessage"),
    ];
    let contradicts = |(one, other, _): &&(&Option<String>, Option<&String>, &str)| {
        one.as_ref().zip(*other).is_some_and(|(one, other)| one != other)
    };
    if let Some((_, _, name)) = texts.iter().find(contradicts) {
        return Err(Error::invalid_parameter(format!(
            "VerificationMessageTemplate.{name} and the older field for the same text must be equal where both are given."
        )));
    }
    check_senders(settings)?;
    check_factors(settings)?;
    check_tags(&settings.user_pool_tags)
}

/// Refuses settings that a request for a whole pool must not contain. Pools that already have them stay as they are.
pub fn check_given(settings: &UserPoolSettings) -> Result<(), Error> {
    let admin = settings.admin_create_user_config.as_ref();
    check_invitations(admin.and_then(|admin| admin.invite_message_template.as_ref()))?;
    let policy = settings.policies.as_ref().and_then(|policies| policies.password_policy.as_ref());
    let newer = policy.and_then(|policy| policy.temporary_password_validity_days);
    let older = admin.and_then(|admin| admin.unused_account_validity_days);
    // The newer field takes precedence, so a different value in the older one would have no effect.
    if newer.zip(older).is_some_and(|(newer, older)| newer != older) {
        return Err(Error::invalid_parameter(
            "Please use TemporaryPasswordValidityDays in PasswordPolicy instead of UnusedAccountValidityDays",
        ));
    }
    Ok(())
}

/// An invitation is useless without the user name or the password.
fn check_invitations(template: Option<&v1::MessageTemplateType>) -> Result<(), Error> {
    let texts = template.map(|it| [("EmailMessage", &it.email_message), ("SMSMessage", &it.sms_message)]);
    let lacks = |text: &str| !(text.contains(USERNAME_PLACE) && text.contains(CODE_PLACE));
    let mut texts = texts.into_iter().flatten();
    match texts.find(|(_, text)| text.as_deref().is_some_and(lacks)) {
        Some((name, _)) => Err(Error::invalid_parameter(format!(
            "AdminCreateUserConfig.InviteMessageTemplate.{name} must contain {USERNAME_PLACE} and {CODE_PLACE}."
        ))),
        None => Ok(()),
    }
}

/// Whether SMS codes are a second factor: as it was chosen, or by default if the pool can send SMS.
pub fn has_sms_factor(settings: &UserPoolSettings) -> bool {
    settings.sms_mfa_enabled.unwrap_or(settings.sms_configuration.is_some())
}

/// Refuses MFA that is optional or required but has no second factor.
fn check_factors(settings: &UserPoolSettings) -> Result<(), Error> {
    let asked_for = settings.mfa_configuration.as_deref().is_some_and(|mode| mode != "OFF");
    let app = settings.software_token_mfa_configuration.is_some_and(|app| app.enabled());
    if asked_for && !(has_sms_factor(settings) || app || settings.email_mfa_configuration.is_some()) {
        return Err(Error::invalid_parameter(
            "Invalid MFA configuration given, can't disable all MFAs with a required or optional configuration.",
        ));
    }
    Ok(())
}

const MOST_TAGS: usize = 50;

/// Refuses more tags than a pool can have, and keys with the prefix that AWS reserves.
pub fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), Error> {
    if tags.keys().any(|key| key.to_lowercase().starts_with("aws:")) {
        return Err(Error::invalid_parameter("Tag keys must not start with aws:."));
    }
    if tags.len() > MOST_TAGS {
        return Err(Error::invalid_parameter(format!("A user pool can have at most {MOST_TAGS} tags.")));
    }
    Ok(())
}

/// Refuses senders that are no addresses: in the headers of an e-mail it would be too late.
fn check_senders(settings: &UserPoolSettings) -> Result<(), Error> {
    let Some(email) = &settings.email_configuration else { return Ok(()) };
    let refused = |what: &str| Err(Error::invalid_parameter(format!("EmailConfiguration.{what}")));
    if email.from.as_deref().is_some_and(|from| NamedAddress::parse(from).is_none()) {
        return refused("From must be an e-mail address, or a name and an address in angle brackets.");
    }
    if email.reply_to_email_address.as_deref().is_some_and(|address| NamedAddress::parse(address).is_none()) {
        return refused("ReplyToEmailAddress must be an e-mail address.");
    }
    Ok(())
}

/// Refuses settings that the pool's tier lacks: LITE has neither e-mail as a second factor nor passkeys.
pub fn check_tier(settings: &UserPoolSettings) -> Result<(), Error> {
    let unavailable = [
        (settings.email_mfa_configuration.is_some(), "EmailMfaConfiguration"),
        (settings.web_authn_configuration.is_some(), "WebAuthnConfiguration"),
    ];
    let lowest = settings.user_pool_tier.as_deref() == Some("LITE");
    match unavailable.iter().find(|(chosen, _)| lowest && *chosen) {
        Some((_, name)) => Err(Error::new(
            Exception::FeatureUnavailableInTierException,
            format!("{name} is not available in the tier LITE."),
        )),
        None => Ok(()),
    }
}

/// Each way of recovery needs a priority of its own, and `admin_only` excludes all others.
fn check_recovery(settings: &UserPoolSettings) -> Result<(), Error> {
    let mechanisms = settings.account_recovery_setting.as_ref().map(|it| it.recovery_mechanisms.as_slice());
    let mechanisms = mechanisms.unwrap_or_default();
    let admin_only = mechanisms.iter().any(|mechanism| mechanism.name() == "admin_only");
    if admin_only && mechanisms.len() > 1 {
        return Err(Error::invalid_parameter(
            "AccountRecoverySetting: admin_only can't stand beside another mechanism.",
        ));
    }
    let alike = |one: &v1::RecoveryOptionType, other: &v1::RecoveryOptionType| {
        one.priority() == other.priority() || one.name() == other.name()
    };
    match mechanisms {
        [one, other] if alike(one, other) => Err(Error::invalid_parameter(
            "AccountRecoverySetting: each mechanism must have a name and a priority of its own.",
        )),
        _ => Ok(()),
    }
}

/// The triggers that the server asks or tells.
const BUILT_TRIGGERS: &[Trigger] = &[
    Trigger::PreSignUp,
    Trigger::PreAuthentication,
    Trigger::DefineAuthChallenge,
    Trigger::CreateAuthChallenge,
    Trigger::VerifyAuthChallengeResponse,
    Trigger::PostConfirmation,
    Trigger::PostAuthentication,
    Trigger::CustomMessage,
    Trigger::PreTokenGeneration,
    Trigger::UserMigration,
];

/// Refuses the user migration trigger on a server that may not send passwords to it.
pub fn check_user_migration(config: Option<&v1::LambdaConfigType>, sends_passwords: bool) -> Result<(), Error> {
    let is_on = config.is_some_and(|config| Trigger::UserMigration.function(config).is_some());
    if !is_on || sends_passwords {
        return Ok(());
    }
    Err(Error::invalid_parameter(
        "LambdaConfig.UserMigration sends passwords: this server needs an encrypted connection to Kafka for it.",
    ))
}

/// Refuses values that would change who can sign in, or what users are sent, until the server supports them.
fn refuse_unbuilt(settings: &UserPoolSettings) -> Result<(), Error> {
    let unbuilt = |trigger: &Trigger| {
        !BUILT_TRIGGERS.contains(trigger)
            && settings.lambda_config.as_ref().is_some_and(|config| trigger.function(config).is_some())
    };
    if let Some(trigger) = Trigger::ALL.iter().find(|trigger| unbuilt(trigger)) {
        return refuse_given(&[(true, &format!("LambdaConfig.{}", trigger.name()))]);
    }
    let inbound = settings.lambda_config.as_ref().is_some_and(|config| config.inbound_federation.is_some());
    let refused = [
        (inbound, "LambdaConfig.InboundFederation"),
        (
            settings.user_pool_add_ons.as_ref().is_some_and(|it| it.advanced_security_mode() == "ENFORCED"),
            "UserPoolAddOns.AdvancedSecurityMode ENFORCED",
        ),
    ];
    refuse_given(&refused)
}

/// Refuses parts of a request that are newer in Cognito and whose features are not built.
pub fn refuse_later_parts(parts: [(bool, &str); 4]) -> Result<(), Error> {
    refuse_given(&parts)
}

fn refuse_given(parts: &[(bool, &str)]) -> Result<(), Error> {
    match parts.iter().find(|(given, _)| *given) {
        Some((_, name)) => Err(Error::invalid_parameter(format!("{name} is not supported by this server yet."))),
        None => Ok(()),
    }
}
