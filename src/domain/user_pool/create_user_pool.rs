//! CreateUserPool: the rules.

use crate::domain::attributes;
use crate::domain::decision::{Decision, NoFacts};
use crate::domain::error::Error;
use crate::domain::time::Timestamp;
use crate::domain::user_pool::settings;
use crate::proto::events::user_pool_event::Event;
use crate::proto::events::{SigningKeyAdded, UserPoolCreated, UserPoolSettings};
use crate::proto::v1;

/// The request, and the ids and keys that were made outside the rules.
pub struct CreateUserPool {
    /// The region that the id starts with.
    pub region: String,
    /// The account in the pool's ARN.
    pub account_id: String,
    /// The `iss` of the pool's tokens.
    pub issuer: String,
    /// The keys that sign its tokens, one for each use.
    pub signing_keys: Vec<SigningKeyAdded>,
    /// When the keys start to sign.
    pub at: Timestamp,
    /// The most custom attributes that a pool can have.
    pub most_custom_attributes: u32,
    /// The request as the caller sent it.
    pub request: v1::CreateUserPoolRequest,
}

/// Decides the creation of a pool.
pub fn create_user_pool(command: CreateUserPool) -> Decision<Event, NoFacts, ()> {
    match created(&command) {
        Ok(created) => {
            let keys = command
                .signing_keys
                .into_iter()
                .map(|key| Event::SigningKeyAdded(SigningKeyAdded { active_from_millis: command.at.0, ..key }));
            Decision::events(std::iter::once(Event::Created(created)).chain(keys).collect(), ())
        }
        Err(error) => Decision::refuse(error),
    }
}

fn created(command: &CreateUserPool) -> Result<UserPoolCreated, Error> {
    let request = &command.request;
    settings::refuse_later_parts([
        (request.dcr_configuration.is_some(), "DcrConfiguration"),
        (request.key_configuration.is_some(), "KeyConfiguration"),
        (request.issuer_configuration.is_some(), "IssuerConfiguration"),
        (!request.acr_configuration.is_empty(), "AcrConfiguration"),
    ])?;
    let settings = settings::without_zeros(settings_of(request));
    settings::check(&settings)?;
    settings::check_given(&settings)?;
    let schema = attributes::schema::schema(&request.schema, command.most_custom_attributes)?;
    let required = |name: &str| schema.iter().any(|attribute| attribute.name() == name && attribute.required());
    let aliases = |name: &str| settings.alias_attributes.iter().any(|alias| alias == name);
    if required("preferred_username") && aliases("preferred_username") {
        // As an alias, it can't be given before the account is confirmed.
        return Err(Error::invalid_parameter("preferred_username can be required or an alias, not both."));
    }
    Ok(UserPoolCreated {
        name: request.pool_name().to_owned(),
        region: command.region.clone(),
        account_id: command.account_id.clone(),
        issuer: command.issuer.clone(),
        settings: Some(settings::with_defaults(settings)),
        schema,
    })
}

fn settings_of(request: &v1::CreateUserPoolRequest) -> UserPoolSettings {
    let request = request.clone();
    settings::chosen!(request, {
        policies: request.policies,
        mfa_configuration: request.mfa_configuration,
        user_pool_tags: request.user_pool_tags,
        alias_attributes: request.alias_attributes,
        username_attributes: request.username_attributes,
        username_configuration: request.username_configuration,
        sms_mfa_enabled: None,
        software_token_mfa_configuration: None,
        email_mfa_configuration: None,
        web_authn_configuration: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{at, create_pool, pool, refused_parameter, texts};
    use crate::proto::events::SigningKeyUse;

    fn refusal_of(request: v1::CreateUserPoolRequest) -> String {
        refused_parameter(create_user_pool(create_pool(request)))
    }

    #[test]
    fn a_pool_has_its_keys_from_its_creation_on() {
        let key = |kid: &str, purpose: SigningKeyUse| SigningKeyAdded {
            kid: kid.to_owned(),
            r#use: purpose.into(),
            ..Default::default()
        };
        let request = v1::CreateUserPoolRequest { pool_name: Some("people".to_owned()), ..Default::default() };
        let decision = create_user_pool(CreateUserPool {
            signing_keys: vec![key("one", SigningKeyUse::Id), key("two", SigningKeyUse::Access)],
            at: at(7),
            ..create_pool(request)
        });
        decision.answer.unwrap();
        let [Event::Created(created), Event::SigningKeyAdded(one), Event::SigningKeyAdded(two)] = &decision.events[..]
        else {
            panic!("{:?}", decision.events)
        };
        assert_eq!((created.name.as_str(), created.region.as_str()), ("people", "us-east-1"));
        assert_eq!((created.account_id.as_str(), created.schema.len()), ("123456789012", 21));
        assert_eq!((one.kid.as_str(), one.active_from_millis), ("one", 7_000));
        assert_eq!((two.kid.as_str(), two.active_from_millis), ("two", 7_000));
    }

    #[test]
    fn absent_settings_get_cognitos_defaults() {
        let settings = pool(v1::CreateUserPoolRequest::default()).settings;
        let policies = settings.policies.unwrap();
        let policy = policies.password_policy.unwrap();
        assert_eq!((policy.minimum_length, policy.temporary_password_validity_days), (Some(8), Some(7)));
        assert!(policy.require_uppercase() && policy.require_lowercase());
        assert!(policy.require_numbers() && policy.require_symbols());
        assert_eq!(policies.sign_in_policy.unwrap().allowed_first_auth_factors, ["PASSWORD"]);
        assert_eq!(settings.deletion_protection.as_deref(), Some("INACTIVE"));
        assert_eq!(settings.mfa_configuration.as_deref(), Some("OFF"));
        assert_eq!(settings.user_pool_tier.as_deref(), Some("ESSENTIALS"));
        assert_eq!(settings.admin_create_user_config.unwrap().unused_account_validity_days, Some(7));
        assert_eq!(settings.account_recovery_setting, None, "its default acts and is not shown");
    }

    #[test]
    fn a_given_password_policy_requires_only_what_it_names() {
        let policy = v1::PasswordPolicyType { minimum_length: Some(12), ..Default::default() };
        let policies = v1::UserPoolPolicyType { password_policy: Some(policy), ..Default::default() };
        let pool = pool(v1::CreateUserPoolRequest { policies: Some(policies), ..Default::default() });
        let policy = pool.password_policy();
        assert_eq!((policy.minimum_length, policy.require_uppercase), (Some(12), Some(false)));
    }

    #[test]
    fn a_message_text_shows_in_both_of_its_fields() {
        let settings = pool(v1::CreateUserPoolRequest {
            email_verification_message: Some("older {####}".to_owned()),
            verification_message_template: Some(v1::VerificationMessageTemplateType {
                sms_message: Some("newer {####}".to_owned()),
                ..Default::default()
            }),
            ..Default::default()
        })
        .settings;
        let template = settings.verification_message_template.unwrap();
        assert_eq!(template.email_message.as_deref(), Some("older {####}"));
        assert_eq!(settings.sms_verification_message.as_deref(), Some("newer {####}"));
    }

    #[test]
    fn contradictions_are_refused() {
        let both = v1::CreateUserPoolRequest {
            alias_attributes: texts(&["email"]),
            username_attributes: texts(&["email"]),
            ..Default::default()
        };
        assert!(refusal_of(both).starts_with("Only one of the aliasAttributes or usernameAttributes"));
        let texts_differ = v1::CreateUserPoolRequest {
            sms_verification_message: Some("one {####}".to_owned()),
            verification_message_template: Some(v1::VerificationMessageTemplateType {
                sms_message: Some("other {####}".to_owned()),
                ..Default::default()
            }),
            ..Default::default()
        };
        assert!(refusal_of(texts_differ).starts_with("VerificationMessageTemplate.SmsMessage"));
        let preferred_username = v1::SchemaAttributeType {
            name: Some("preferred_username".to_owned()),
            required: Some(true),
            ..Default::default()
        };
        let alias_before_it_can_be = v1::CreateUserPoolRequest {
            alias_attributes: texts(&["preferred_username"]),
            schema: vec![preferred_username],
            ..Default::default()
        };
        assert!(refusal_of(alias_before_it_can_be).contains("not both"));
        let reserved = v1::CreateUserPoolRequest {
            user_pool_tags: [("AWS:tag".to_owned(), String::new())].into(),
            ..Default::default()
        };
        assert!(refusal_of(reserved).contains("aws:"));
        let recovery = |ways: [(i32, &str); 2]| {
            let option = |(priority, name): (i32, &str)| v1::RecoveryOptionType {
                priority: Some(priority),
                name: Some(name.to_owned()),
            };
            let setting = v1::AccountRecoverySettingType { recovery_mechanisms: ways.map(option).into() };
            v1::CreateUserPoolRequest { account_recovery_setting: Some(setting), ..Default::default() }
        };
        assert!(refusal_of(recovery([(1, "admin_only"), (2, "verified_email")])).contains("admin_only"));
        assert!(refusal_of(recovery([(1, "verified_email"), (2, "verified_email")])).contains("of its own"));
        let alike = recovery([(1, "verified_email"), (1, "verified_phone_number")]);
        assert!(refusal_of(alike).contains("of its own"));
    }

    #[test]
    fn an_invitation_needs_a_name_and_a_password() {
        let inviting = |template: v1::MessageTemplateType| v1::CreateUserPoolRequest {
            admin_create_user_config: Some(v1::AdminCreateUserConfigType {
                invite_message_template: Some(template),
                ..Default::default()
            }),
            ..Default::default()
        };
        for text in ["Hello {username}", "Hello {####}", "Hello"] {
            let (mail, sms) = (
                v1::MessageTemplateType { email_message: Some(text.to_owned()), ..Default::default() },
                v1::MessageTemplateType { sms_message: Some(text.to_owned()), ..Default::default() },
            );
            for (template, name) in [(mail, "EmailMessage"), (sms, "SMSMessage")] {
                let message = format!(
                    "AdminCreateUserConfig.InviteMessageTemplate.{name} must contain {{username}} and {{####}}."
                );
                assert_eq!(refusal_of(inviting(template)), message);
            }
        }
        let subject = v1::MessageTemplateType { email_subject: Some("Hello".to_owned()), ..Default::default() };
        pool(inviting(subject));
        let both = Some("{####} is for {username}".to_owned());
        let texts = v1::MessageTemplateType { email_message: both.clone(), sms_message: both, email_subject: None };
        pool(inviting(texts));
    }

    #[test]
    fn both_fields_for_the_life_of_temporary_passwords_must_agree() {
        let days = |newer: Option<i32>, older: Option<i32>| v1::CreateUserPoolRequest {
            policies: Some(v1::UserPoolPolicyType {
                password_policy: Some(v1::PasswordPolicyType {
                    temporary_password_validity_days: newer,
                    ..Default::default()
                }),
                ..Default::default()
            }),
            admin_create_user_config: Some(v1::AdminCreateUserConfigType {
                unused_account_validity_days: older,
                ..Default::default()
            }),
            ..Default::default()
        };
        let message = "Please use TemporaryPasswordValidityDays in PasswordPolicy instead of UnusedAccountValidityDays";
        assert_eq!(refusal_of(days(Some(3), Some(5))), message);
        for (newer, older, counts) in [
            (Some(3), Some(3), 3),
            (Some(3), None, 3),
            (None, Some(5), 5),
            (None, None, 7),
            // 0 counts as absent.
            (Some(0), None, 7),
            (None, Some(0), 7),
            (Some(0), Some(0), 7),
            (Some(0), Some(5), 5),
            (Some(3), Some(0), 3),
        ] {
            let settings = pool(days(newer, older)).settings;
            let policy = settings.policies.unwrap().password_policy.unwrap();
            assert_eq!(policy.temporary_password_validity_days, Some(counts));
            assert_eq!(settings.admin_create_user_config.unwrap().unused_account_validity_days, Some(counts));
        }
    }

    #[test]
    fn optional_mfa_needs_a_second_factor() {
        let optional =
            || v1::CreateUserPoolRequest { mfa_configuration: Some("OPTIONAL".to_owned()), ..Default::default() };
        assert!(refusal_of(optional()).contains("can't disable all MFAs"));
        let sms_configuration = Some(v1::SmsConfigurationType::default());
        assert!(pool(v1::CreateUserPoolRequest { sms_configuration, ..optional() }).has_sms_mfa());
    }

    #[test]
    fn senders_of_e_mails_must_be_addresses() {
        let email = |from: Option<&str>, reply_to: Option<&str>| v1::CreateUserPoolRequest {
            email_configuration: Some(v1::EmailConfigurationType {
                from: from.map(str::to_owned),
                reply_to_email_address: reply_to.map(str::to_owned),
                ..Default::default()
            }),
            ..Default::default()
        };
        for from in ["App", "App <app@example.com>\r\nBcc: <b@example.com>", ""] {
            assert!(refusal_of(email(Some(from), None)).starts_with("EmailConfiguration.From must be"), "{from}");
        }
        let refusal = refusal_of(email(None, Some("a@b@example.com")));
        assert!(refusal.starts_with("EmailConfiguration.ReplyToEmailAddress must be"), "{refusal}");
        pool(email(Some("App <app@example.com>"), Some("help@example.com")));
    }

    #[test]
    fn unbuilt_features_are_refused_by_name() {
        let none = v1::CreateUserPoolRequest::default;
        let requests = [
            (
                "LambdaConfig.InboundFederation",
                v1::CreateUserPoolRequest {
                    lambda_config: Some(v1::LambdaConfigType {
                        inbound_federation: Some(v1::InboundFederationLambdaType::default()),
                        ..Default::default()
                    }),
                    ..none()
                },
            ),
            (
                "UserPoolAddOns",
                v1::CreateUserPoolRequest {
                    user_pool_add_ons: Some(v1::UserPoolAddOnsType {
                        advanced_security_mode: Some("ENFORCED".to_owned()),
                        ..Default::default()
                    }),
                    ..none()
                },
            ),
            ("DcrConfiguration", v1::CreateUserPoolRequest { dcr_configuration: Some(Default::default()), ..none() }),
            ("KeyConfiguration", v1::CreateUserPoolRequest { key_configuration: Some(Default::default()), ..none() }),
            (
                "IssuerConfiguration",
                v1::CreateUserPoolRequest { issuer_configuration: Some(Default::default()), ..none() },
            ),
        ];
        for (name, request) in requests {
            let message = refusal_of(request);
            assert!(
                message.starts_with(name) && message.ends_with("is not supported by this server yet."),
                "{message}"
            );
        }
    }
}
