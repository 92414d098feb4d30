//! User pools.

use tokio::sync::OnceCell;
use tonic::Code;
use userpool::proto::v1::*;

use crate::support::client::{Api, Refusal, assert_refused};
use crate::support::pool::{Pool, password_client, texts};
use crate::support::requests::same_fields;

const ARN: &str = "arn:aws:lambda:us-east-1:123456789012:function:any";

fn attribute(name: &str, kind: &str) -> SchemaAttributeType {
    SchemaAttributeType { name: Some(name.into()), attribute_data_type: Some(kind.into()), ..Default::default() }
}

/// A request with a value in every field that is accepted today.
fn everything() -> CreateUserPoolRequest {
    CreateUserPoolRequest {
        pool_name: Some("Every field, of a pool".into()),
        policies: Some(UserPoolPolicyType {
            password_policy: Some(PasswordPolicyType {
                minimum_length: Some(10),
                require_uppercase: Some(true),
                require_lowercase: Some(false),
                require_numbers: Some(true),
                require_symbols: Some(false),
                password_history_size: Some(0),
                temporary_password_validity_days: Some(3),
            }),
            sign_in_policy: Some(SignInPolicyType { allowed_first_auth_factors: texts(&["PASSWORD"]) }),
        }),
        deletion_protection: Some("ACTIVE".into()),
        lambda_config: Some(LambdaConfigType::default()),
        auto_verified_attributes: texts(&["email", "phone_number"]),
        alias_attributes: texts(&["email", "phone_number", "preferred_username"]),
        sms_verification_message: Some("SMS: {####}".into()),
        email_verification_message: Some("Mail: {####}".into()),
        email_verification_subject: Some("Subject".into()),
        verification_message_template: Some(VerificationMessageTemplateType {
            sms_message: Some("SMS: {####}".into()),
            email_message: Some("Mail: {####}".into()),
            email_subject: Some("Subject".into()),
            email_message_by_link: Some("Follow {##this##}".into()),
            email_subject_by_link: Some("A link".into()),
            default_email_option: Some("CONFIRM_WITH_CODE".into()),
        }),
        sms_authentication_message: Some("Sign in: {####}".into()),
        mfa_configuration: Some("OPTIONAL".into()),
        user_attribute_update_settings: Some(UserAttributeUpdateSettingsType {
            attributes_require_verification_before_update: texts(&["email"]),
        }),
        device_configuration: Some(DeviceConfigurationType {
            challenge_required_on_new_device: Some(true),
            device_only_remembered_on_user_prompt: Some(false),
        }),
        email_configuration: Some(EmailConfigurationType {
            source_arn: Some("arn:aws:ses:us-east-1:123456789012:identity/a@example.com".into()),
            reply_to_email_address: Some("reply@example.com".into()),
            email_sending_account: Some("DEVELOPER".into()),
            from: Some("App <a@example.com>".into()),
            configuration_set: Some("set-1".into()),
        }),
        sms_configuration: Some(SmsConfigurationType {
            sns_caller_arn: Some("arn:aws:iam::123456789012:role/sms".into()),
            external_id: Some("external".into()),
            sns_region: Some("us-east-1".into()),
            ..Default::default()
        }),
        user_pool_tags: [("team".to_owned(), "identity".to_owned()), ("empty".to_owned(), String::new())].into(),
        admin_create_user_config: Some(AdminCreateUserConfigType {
            allow_admin_create_user_only: Some(true),
            unused_account_validity_days: Some(3),
            invite_message_template: Some(MessageTemplateType {
                sms_message: Some("{username} {####}".into()),
                email_message: Some("Hello {username}, {####}".into()),
                email_subject: Some("Invited".into()),
            }),
        }),
        user_pool_add_ons: Some(UserPoolAddOnsType {
            advanced_security_mode: Some("AUDIT".into()),
            advanced_security_additional_flows: Some(AdvancedSecurityAdditionalFlowsType {
                custom_auth_mode: Some("AUDIT".into()),
            }),
        }),
        username_configuration: Some(UsernameConfigurationType { case_sensitive: Some(false) }),
        account_recovery_setting: Some(AccountRecoverySettingType {
            recovery_mechanisms: vec![RecoveryOptionType { priority: Some(1), name: Some("admin_only".into()) }],
        }),
        user_pool_tier: Some("PLUS".into()),
        schema: vec![
            SchemaAttributeType { required: Some(true), mutable: Some(false), ..attribute("family_name", "String") },
            SchemaAttributeType {
                mutable: Some(false),
                string_attribute_constraints: Some(StringAttributeConstraintsType {
                    min_length: Some("1".into()),
                    max_length: Some("64".into()),
                }),
                ..attribute("plan", "String")
            },
            SchemaAttributeType {
                number_attribute_constraints: Some(NumberAttributeConstraintsType {
                    min_value: Some("-5".into()),
                    max_value: Some("5".into()),
                }),
                ..attribute("level", "Number")
            },
            SchemaAttributeType { developer_only_attribute: Some(true), ..attribute("note", "String") },
            attribute("member", "Boolean"),
            attribute("since", "DateTime"),
        ],
        ..Default::default()
    }
}

#[tokio::test]
async fn every_field_of_a_pool_comes_back() {
    let asked = everything();
    let pool = Pool::create_with(asked.clone(), password_client()).await;
    let described = pool.describe().await;
    // Both processes and the answer of CreateUserPool agree.
    assert_eq!(described, pool.describe().await);
    let asked = asked.clone();
    assert_eq!(described.id.as_deref(), Some(pool.id.as_str()));
    assert_eq!(described.name, asked.pool_name);
    assert_eq!(described.arn, Some(format!("arn:aws:cognito-idp:us-east-1:123456789012:userpool/{}", pool.id)));
    assert_eq!(described.creation_date, described.last_modified_date);
    assert!(described.creation_date.is_some());
    assert_eq!(described.estimated_number_of_users, Some(0));
    assert_eq!(described.policies, asked.policies);
    assert_eq!(described.deletion_protection, asked.deletion_protection);
    assert_eq!(described.lambda_config, asked.lambda_config);
    assert_eq!(described.auto_verified_attributes, asked.auto_verified_attributes);
    assert_eq!(described.alias_attributes, asked.alias_attributes);
    assert_eq!(described.username_attributes, asked.username_attributes);
    assert_eq!(described.sms_verification_message, asked.sms_verification_message);
    assert_eq!(described.email_verification_message, asked.email_verification_message);
    assert_eq!(described.email_verification_subject, asked.email_verification_subject);
    assert_eq!(described.verification_message_template, asked.verification_message_template);
    assert_eq!(described.sms_authentication_message, asked.sms_authentication_message);
    assert_eq!(described.mfa_configuration, asked.mfa_configuration);
    assert_eq!(described.user_attribute_update_settings, asked.user_attribute_update_settings);
    assert_eq!(described.device_configuration, asked.device_configuration);
    assert_eq!(described.email_configuration, asked.email_configuration);
    assert_eq!(described.sms_configuration, asked.sms_configuration);
    assert_eq!(described.user_pool_tags, asked.user_pool_tags);
    assert_eq!(described.admin_create_user_config, asked.admin_create_user_config);
    assert_eq!(described.user_pool_add_ons, asked.user_pool_add_ons);
    assert_eq!(described.username_configuration, asked.username_configuration);
    assert_eq!(described.account_recovery_setting, asked.account_recovery_setting);
    assert_eq!(described.user_pool_tier, asked.user_pool_tier);

    // 20 standard attributes, `sub`, and the six requested ones, of which one is a standard attribute.
    let find = |name: &str| {
        let found = described.schema_attributes.iter().find(|attribute| attribute.name() == name);
        found.unwrap_or_else(|| panic!("{name}")).clone()
    };
    assert_eq!(described.schema_attributes.len(), 21 + 5);
    let family_name = find("family_name");
    assert_eq!((family_name.required, family_name.mutable), (Some(true), Some(false)));
    assert_eq!((find("sub").required, find("sub").mutable), (Some(true), Some(false)));
    let plan = find("custom:plan");
    assert_eq!((plan.mutable, plan.required, plan.developer_only_attribute), (Some(false), Some(false), Some(false)));
    assert_eq!(plan.string_attribute_constraints, asked.schema[1].string_attribute_constraints);
    assert_eq!(find("custom:level").number_attribute_constraints, asked.schema[2].number_attribute_constraints);
    assert_eq!(find("dev:custom:note").developer_only_attribute, Some(true));
    assert_eq!(find("custom:member").attribute_data_type.as_deref(), Some("Boolean"));
    assert_eq!(find("custom:since").attribute_data_type.as_deref(), Some("DateTime"));
    assert_eq!(find("email_verified").attribute_data_type.as_deref(), Some("Boolean"));
    assert_eq!(find("updated_at").attribute_data_type.as_deref(), Some("Number"));
    pool.verify().await;
}

#[tokio::test]
async fn a_pool_without_settings_has_the_defaults() {
    let pool = Pool::create_with(CreateUserPoolRequest::default(), password_client()).await;
    let described = pool.describe().await;
    let policy = described.policies.unwrap().password_policy.unwrap();
    let expected = PasswordPolicyType {
        minimum_length: Some(8),
        require_uppercase: Some(true),
        require_lowercase: Some(true),
        require_numbers: Some(true),
        require_symbols: Some(true),
        password_history_size: None,
        temporary_password_validity_days: Some(7),
    };
    assert_eq!(policy, expected);
    assert_eq!(described.deletion_protection.as_deref(), Some("INACTIVE"));
    assert_eq!(described.mfa_configuration.as_deref(), Some("OFF"));
    assert_eq!(described.user_pool_tier.as_deref(), Some("ESSENTIALS"));
    assert_eq!(described.lambda_config, Some(LambdaConfigType::default()));
    let template = described.verification_message_template.unwrap();
    assert_eq!(template.default_email_option.as_deref(), Some("CONFIRM_WITH_CODE"));
    let email = described.email_configuration.unwrap();
    assert_eq!(email.email_sending_account.as_deref(), Some("COGNITO_DEFAULT"));
    let admin = described.admin_create_user_config.unwrap();
    assert_eq!((admin.allow_admin_create_user_only, admin.unused_account_validity_days), (Some(false), Some(7)));
    assert_eq!(described.account_recovery_setting, None, "the default acts unseen");
    let identities = described.schema_attributes.iter().find(|attribute| attribute.name() == "identities");
    let bounds = identities.unwrap().string_attribute_constraints.clone();
    assert_eq!(bounds, Some(StringAttributeConstraintsType::default()), "no bounds: only the server writes it");
    let body = serde_json::json!({ "UserPoolId": pool.id });
    let json = pool.api.aws_json("DescribeUserPool", &body).await.json()["UserPool"].clone();
    assert_eq!(json["UserPoolTags"], serde_json::json!({}), "always shown");
    assert_eq!(json.get("AccountRecoverySetting"), None);
    assert_eq!(described.schema_attributes.len(), 21);
    assert_eq!(described.username_configuration, None);
    assert!(described.user_pool_tags.is_empty() && described.alias_attributes.is_empty());
    let (region, name) = pool.id.split_once('_').unwrap();
    assert_eq!(region, "us-east-1");
    assert!(name.len() == 9 && name.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{name}");
    pool.verify().await;
}

#[tokio::test]
async fn a_pool_can_be_created_from_the_description_of_another() {
    let pool = Pool::create_with(CreateUserPoolRequest::default(), password_client()).await;
    let shown = pool.describe().await;
    // One standard attribute has a longer name than a request may have.
    let nameable = |attribute: &&SchemaAttributeType| attribute.name().len() <= 20;
    let schema = shown.schema_attributes.iter().filter(nameable).cloned().collect();
    let request = CreateUserPoolRequest { schema, ..Default::default() };
    let other = Pool::create_with(request, password_client()).await;
    assert_eq!(other.describe().await.schema_attributes, shown.schema_attributes);
    pool.verify().await;
    other.verify().await;
}

#[tokio::test]
async fn an_update_keeps_protections_and_tags_and_resets_the_rest() {
    let pool = Pool::create_with(everything(), password_client()).await;
    let before = pool.describe().await;
    let none = UpdateUserPoolRequest { user_pool_id: Some(pool.id.clone()), ..Default::default() };
    let sms = UpdateUserPoolRequest { sms_configuration: before.sms_configuration.clone(), ..none.clone() };
    pool.api.call(sms.clone()).await.unwrap();
    let after = pool.describe().await;
    assert_eq!(after.policies, before.policies);
    assert_eq!(after.mfa_configuration, before.mfa_configuration);
    assert_eq!(after.user_pool_tags, before.user_pool_tags);
    assert_eq!(after.deletion_protection.as_deref(), Some("INACTIVE"));
    assert_eq!(after.user_pool_tier.as_deref(), Some("ESSENTIALS"));
    assert_eq!((&after.account_recovery_setting, &after.device_configuration), (&None, &None));
    assert_eq!(after.sms_authentication_message, None);
    assert!(after.auto_verified_attributes.is_empty());
    let admin = after.admin_create_user_config.unwrap();
    assert_eq!((admin.allow_admin_create_user_only, admin.unused_account_validity_days), (Some(false), Some(3)));
    // Without its only factor the pool would require none: the request is refused.
    let message = "Invalid MFA configuration given, can't disable all MFAs with a required or optional configuration.";
    assert_refused(pool.api.call(none).await, "InvalidParameterException", message);

    let policy = PasswordPolicyType { minimum_length: Some(6), ..Default::default() };
    let given = UpdateUserPoolRequest {
        policies: Some(UserPoolPolicyType { password_policy: Some(policy), ..Default::default() }),
        mfa_configuration: Some("OFF".into()),
        given_empty: texts(&["user_pool_tags"]),
        ..sms
    };
    pool.api.call(given).await.unwrap();
    let after = pool.describe().await;
    let policy = after.policies.unwrap().password_policy.unwrap();
    assert_eq!((policy.minimum_length, policy.require_uppercase), (Some(6), Some(false)));
    assert_eq!(policy.temporary_password_validity_days, Some(7));
    assert_eq!(after.mfa_configuration.as_deref(), Some("OFF"));
    assert!(after.user_pool_tags.is_empty());
    pool.verify().await;
}

#[tokio::test]
async fn tags_stay_in_an_update_that_does_not_name_them_and_go_in_one_that_names_none() {
    let pool = Pool::create().await;
    let aws = pool.api.aws();
    let update = || aws.update_user_pool().user_pool_id(&pool.id);
    update().user_pool_tags("team", "identity").send().await.unwrap();
    update().send().await.unwrap();
    assert_eq!(pool.describe().await.user_pool_tags, [("team".to_owned(), "identity".to_owned())].into());
    update().set_user_pool_tags(Some(Default::default())).send().await.unwrap();
    assert!(pool.describe().await.user_pool_tags.is_empty());
    pool.verify().await;
}

#[tokio::test]
async fn a_number_of_days_of_0_counts_as_absent() {
    let days = |newer: i32, older: i32| CreateUserPoolRequest {
        policies: Some(UserPoolPolicyType {
            password_policy: Some(PasswordPolicyType {
                temporary_password_validity_days: Some(newer),
                ..Default::default()
            }),
            ..Default::default()
        }),
        admin_create_user_config: Some(AdminCreateUserConfigType {
            unused_account_validity_days: Some(older),
            ..Default::default()
        }),
        ..Default::default()
    };
    for (newer, older, counts) in [(0, 0, 7), (0, 5, 5), (3, 0, 3)] {
        let pool = Pool::create_with(days(newer, older), password_client()).await;
        for _ in 0..2 {
            let shown = pool.describe().await;
            let policy = shown.policies.unwrap().password_policy.unwrap();
            assert_eq!(policy.temporary_password_validity_days, Some(counts));
            assert_eq!(shown.admin_create_user_config.unwrap().unused_account_validity_days, Some(counts));
            let request = days(newer, older);
            let update = UpdateUserPoolRequest { user_pool_id: Some(pool.id.clone()), ..same_fields(&request) };
            pool.api.call(update).await.unwrap();
        }
        pool.verify().await;
    }
}

/// Asserts that CreateUserPool refuses a request, and that UpdateUserPool refuses the same change.
async fn refused(api: &Api, request: CreateUserPoolRequest) -> Refusal {
    let request = CreateUserPoolRequest { pool_name: Some("refused".into()), ..request };
    let update = UpdateUserPoolRequest { user_pool_id: Some(unchanged(api).await), ..same_fields(&request) };
    let refusal = api.call(request).await.unwrap_err();
    api.refused_alike(update, &refusal.exception, &refusal.message).await;
    refusal
}

/// A pool that the refused updates of the tests name.
async fn unchanged(api: &Api) -> String {
    static POOL: OnceCell<String> = OnceCell::const_new();
    let create = async || {
        let request = CreateUserPoolRequest { pool_name: Some("unchanged".into()), ..Default::default() };
        api.call(request).await.unwrap().user_pool.unwrap().id.unwrap()
    };
    POOL.get_or_init(create).await.clone()
}

#[tokio::test]
async fn a_value_whose_feature_is_missing_is_refused_by_its_name() {
    let api = Api::connect().await;
    let lambda = |config: LambdaConfigType| CreateUserPoolRequest { lambda_config: Some(config), ..Default::default() };
    let function =
        InboundFederationLambdaType { lambda_version: Some("V1_0".into()), lambda_arn: Some(ARN.to_owned()) };
    let inbound_federation = LambdaConfigType { inbound_federation: Some(function), ..Default::default() };
    let security = UserPoolAddOnsType { advanced_security_mode: Some("ENFORCED".into()), ..Default::default() };
    let level = AcrLevelConfigType { acr_value: Some("urn:level-1".into()) };
    let cases = [
        (lambda(inbound_federation), "LambdaConfig.InboundFederation"),
        (
            CreateUserPoolRequest { user_pool_add_ons: Some(security), ..Default::default() },
            "UserPoolAddOns.AdvancedSecurityMode ENFORCED",
        ),
        (
            CreateUserPoolRequest { dcr_configuration: Some(DcrConfigurationType::default()), ..Default::default() },
            "DcrConfiguration",
        ),
        (
            CreateUserPoolRequest { key_configuration: Some(KeyConfigurationType::default()), ..Default::default() },
            "KeyConfiguration",
        ),
        (
            CreateUserPoolRequest {
                issuer_configuration: Some(IssuerConfigurationType::default()),
                ..Default::default()
            },
            "IssuerConfiguration",
        ),
        (
            CreateUserPoolRequest { acr_configuration: [("Level1".to_owned(), level)].into(), ..Default::default() },
            "AcrConfiguration",
        ),
    ];
    for (request, name) in cases {
        let refusal = refused(&api, request).await;
        let message = format!("{name} is not supported by this server yet.");
        assert_eq!(refusal.pair(), ("InvalidParameterException", message.as_str()));
        assert_eq!(refusal.code, Code::InvalidArgument);
    }
}

#[tokio::test]
async fn contradictions_are_refused() {
    let api = Api::connect().await;
    let schema =
        |attributes: Vec<SchemaAttributeType>| CreateUserPoolRequest { schema: attributes, ..Default::default() };
    let bounds = |min: &str, max: &str| SchemaAttributeType {
        string_attribute_constraints: Some(StringAttributeConstraintsType {
            min_length: Some(min.into()),
            max_length: Some(max.into()),
        }),
        ..attribute("email", "String")
    };
    let values = |min: &str, max: &str| SchemaAttributeType {
        number_attribute_constraints: Some(NumberAttributeConstraintsType {
            min_value: Some(min.into()),
            max_value: Some(max.into()),
        }),
        ..attribute("updated_at", "Number")
    };
    let both = CreateUserPoolRequest {
        alias_attributes: texts(&["email"]),
        username_attributes: texts(&["email"]),
        ..Default::default()
    };
    let two_texts = CreateUserPoolRequest {
        email_verification_message: Some("One {####}".into()),
        verification_message_template: Some(VerificationMessageTemplateType {
            email_message: Some("Other {####}".into()),
            ..Default::default()
        }),
        ..Default::default()
    };
    let invitation = CreateUserPoolRequest {
        admin_create_user_config: Some(AdminCreateUserConfigType {
            invite_message_template: Some(MessageTemplateType {
                email_message: Some("Welcome, {username}".into()),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    };
    let two_lives = CreateUserPoolRequest {
        policies: Some(UserPoolPolicyType {
            password_policy: Some(PasswordPolicyType {
                temporary_password_validity_days: Some(3),
                ..Default::default()
            }),
            ..Default::default()
        }),
        admin_create_user_config: Some(AdminCreateUserConfigType {
            unused_account_validity_days: Some(5),
            ..Default::default()
        }),
        ..Default::default()
    };
    let no_factor = CreateUserPoolRequest { mfa_configuration: Some("OPTIONAL".into()), ..Default::default() };
    let tag = CreateUserPoolRequest {
        user_pool_tags: [("aws:owner".to_owned(), "x".to_owned())].into(),
        ..Default::default()
    };
    let many_tags = CreateUserPoolRequest {
        user_pool_tags: (0..51).map(|index| (format!("key-{index}"), String::new())).collect(),
        ..Default::default()
    };
    let sender = CreateUserPoolRequest {
        email_configuration: Some(EmailConfigurationType {
            email_sending_account: Some("DEVELOPER".into()),
            from: Some("nobody".into()),
            ..Default::default()
        }),
        ..Default::default()
    };
    let recovery = |ways: [(&str, i32); 2]| {
        let way =
            |(name, priority): (&str, i32)| RecoveryOptionType { name: Some(name.into()), priority: Some(priority) };
        let recovery_mechanisms = ways.map(way).to_vec();
        CreateUserPoolRequest {
            account_recovery_setting: Some(AccountRecoverySettingType { recovery_mechanisms }),
            ..Default::default()
        }
    };
    let own = "AccountRecoverySetting: each mechanism must have a name and a priority of its own.";
    let cases = [
        (recovery([("verified_email", 1), ("verified_phone_number", 1)]), own),
        (recovery([("verified_email", 1), ("verified_email", 2)]), own),
        (
            recovery([("verified_email", 1), ("admin_only", 2)]),
            "AccountRecoverySetting: admin_only can't stand beside another mechanism.",
        ),
        (both, "Only one of the aliasAttributes or usernameAttributes can be set in a user pool."),
        (
            two_texts,
            "VerificationMessageTemplate.EmailMessage and the older field for the same text must be equal where both are given.",
        ),
        (tag, "Tag keys must not start with aws:."),
        (many_tags, "A user pool can have at most 50 tags."),
        (sender, "EmailConfiguration.From must be an e-mail address, or a name and an address in angle brackets."),
        (invitation, "AdminCreateUserConfig.InviteMessageTemplate.EmailMessage must contain {username} and {####}."),
        (two_lives, "Please use TemporaryPasswordValidityDays in PasswordPolicy instead of UnusedAccountValidityDays"),
        (
            no_factor,
            "Invalid MFA configuration given, can't disable all MFAs with a required or optional configuration.",
        ),
        (
            schema(vec![attribute("plan", "String"), attribute("plan", "String")]),
            "The schema attribute plan is named twice.",
        ),
        (
            schema(vec![SchemaAttributeType { mutable: Some(true), ..attribute("sub", "String") }]),
            "The schema attribute sub can't be changed.",
        ),
        (
            schema(vec![attribute("email", "Number")]),
            "You can not change AttributeDataType or set developerOnlyAttribute for standard schema attribute email",
        ),
        (
            schema(vec![SchemaAttributeType { attribute_data_type: None, ..attribute("plan", "String") }]),
            "Invalid AttributeDataType input, consider using the provided AttributeDataType enum.",
        ),
        (
            schema(vec![SchemaAttributeType { required: Some(true), ..attribute("plan", "String") }]),
            "Required custom attributes are not supported currently.",
        ),
        (schema(vec![SchemaAttributeType::default()]), "A schema attribute needs a name."),
        (
            schema(vec![attribute("custom:plan", "String")]),
            "The schema attribute custom:plan must not contain a colon: its prefix is added.",
        ),
        (schema(vec![bounds("9", "2")]), "user.email: Max length cannot be less than min length."),
        (schema(vec![bounds("0", "2049")]), "user.email: String attributes cannot have a length of more than 2048"),
        (schema(vec![bounds("few", "2")]), "Invalid StringAttributeConstraints for schema attribute email"),
        (schema(vec![values("9", "2")]), "user.updated_at: Max value cannot be less than min value."),
        (schema(vec![values("few", "2")]), "Invalid NumberAttributeConstraints for schema attribute updated_at"),
        (
            schema(vec![SchemaAttributeType { developer_only_attribute: Some(true), ..attribute("email", "String") }]),
            "You can not change AttributeDataType or set developerOnlyAttribute for standard schema attribute email",
        ),
    ];
    for (request, message) in cases {
        assert_eq!(refused(&api, request).await.pair(), ("InvalidParameterException", message));
    }
}

#[tokio::test]
async fn a_constraint_names_its_field() {
    let api = Api::connect().await;
    let nested = CreateUserPoolRequest {
        policies: Some(UserPoolPolicyType {
            password_policy: Some(PasswordPolicyType { minimum_length: Some(5), ..Default::default() }),
            ..Default::default()
        }),
        deletion_protection: Some("MAYBE".into()),
        ..Default::default()
    };
    let refusal = refused(&api, nested).await;
    assert_eq!(refusal.exception, "InvalidParameterException");
    assert_eq!(refusal.fields.len(), 2);
    let expected = "2 validation errors detected: Value '5' at 'policies.passwordPolicy.minimumLength' failed to satisfy \
                    constraint: Member must have value greater than or equal to 6; Value 'MAYBE' at \
                    'deletionProtection' failed to satisfy constraint: Member must satisfy enum value set: [ACTIVE, \
                    INACTIVE]";
    assert_eq!(refusal.message, expected);
    let nameless = api.call(CreateUserPoolRequest::default()).await.unwrap_err();
    let message =
        "1 validation error detected: Value null at 'poolName' failed to satisfy constraint: Member must not be null";
    assert_eq!(nameless.pair(), ("InvalidParameterException", message));
}

#[tokio::test]
async fn an_unknown_pool_is_not_found() {
    let api = Api::connect().await;
    let request = DescribeUserPoolRequest { user_pool_id: Some("us-east-1_000000000".into()) };
    let message = "User pool us-east-1_000000000 does not exist.";
    assert_refused(api.call(request).await, "ResourceNotFoundException", message);
    let refused = api.aws().describe_user_pool().user_pool_id("us-east-1_000000000").send().await.unwrap_err();
    let refused = refused.into_service_error();
    assert!(refused.is_resource_not_found_exception(), "{refused:?}");
    assert_eq!(refused.meta().message(), Some(message));
}

#[tokio::test]
async fn the_region_of_a_signed_call_names_the_pool() {
    let pool = Pool::create().await;
    let aws = pool.api.aws_as(pool.api.account(), "eu-central-1");
    let created = aws.create_user_pool().pool_name("elsewhere").send().await.unwrap();
    let created = created.user_pool().unwrap();
    let id = created.id().unwrap();
    assert!(id.starts_with("eu-central-1_"), "{id}");
    assert_eq!(created.arn().unwrap(), format!("arn:aws:cognito-idp:eu-central-1:123456789012:userpool/{id}"));
    assert!(created.creation_date().is_some());
    // A caller from another region finds it as well, and over gRPC too.
    let described = pool.api.aws().describe_user_pool().user_pool_id(id).send().await.unwrap();
    assert_eq!(described.user_pool().unwrap().name(), Some("elsewhere"));
    let described = pool.api.call(DescribeUserPoolRequest { user_pool_id: Some(id.into()) }).await.unwrap();
    assert_eq!(described.user_pool.unwrap().name(), "elsewhere");
    pool.verify().await;
}

#[tokio::test]
async fn a_pool_shows_an_estimate_of_its_users() {
    let pool = Pool::create().await;
    for name in ["one", "two", "three"] {
        pool.sign_up(&crate::support::pool::unique(name), &[]).await.unwrap();
    }
    assert_eq!(pool.describe().await.estimated_number_of_users, Some(3));
    pool.verify().await;
}
