//! Further operations on a pool: custom attributes, tags, second factors, the certificate.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use tonic::Code;
use userpool::proto::v1::*;

use crate::support::client::{Refusal, assert_refused};
use crate::support::environment::Account;
use crate::support::http;
use crate::support::pool::{Pool, by_name, unique};

fn attribute(name: &str, kind: &str) -> SchemaAttributeType {
    SchemaAttributeType { name: Some(name.into()), attribute_data_type: Some(kind.into()), ..Default::default() }
}

async fn add(pool: &Pool, custom_attributes: Vec<SchemaAttributeType>) -> Result<(), Refusal> {
    let request = AddCustomAttributesRequest { user_pool_id: Some(pool.id.clone()), custom_attributes };
    pool.api.call(request).await.map(drop)
}

fn tags(values: &[(&str, &str)]) -> BTreeMap<String, String> {
    values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn arn(pool: &Pool) -> String {
    format!("arn:aws:cognito-idp:us-east-1:123456789012:userpool/{}", pool.id)
}

fn tag(arn: &str, values: &[(&str, &str)]) -> TagResourceRequest {
    TagResourceRequest { resource_arn: Some(arn.to_owned()), tags: tags(values) }
}

fn untag(arn: &str, keys: &[&str]) -> UntagResourceRequest {
    UntagResourceRequest { resource_arn: Some(arn.to_owned()), tag_keys: crate::support::pool::texts(keys) }
}

fn list(arn: &str) -> ListTagsForResourceRequest {
    ListTagsForResourceRequest { resource_arn: Some(arn.to_owned()) }
}

#[tokio::test]
async fn an_attribute_that_was_added_binds_every_later_write() {
    let pool = Pool::create().await;
    let name = unique("before");
    let request = pool.sign_up(&name, &[("custom:level", "1")]).await;
    let unknown = "Attributes did not conform to the schema: Type for attribute {custom:level} could not be determined";
    assert_refused(request, "InvalidParameterException", unknown);
    let level = SchemaAttributeType {
        number_attribute_constraints: Some(NumberAttributeConstraintsType {
            min_value: Some("1".into()),
            max_value: Some("5".into()),
        }),
        mutable: Some(false),
        ..attribute("level", "Number")
    };
    let note = SchemaAttributeType { developer_only_attribute: Some(true), ..attribute("note", "String") };
    add(&pool, vec![level, note]).await.unwrap();
    for _ in 0..2 {
        let described = pool.describe().await.schema_attributes;
        let find = |name: &str| described.iter().find(|attribute| attribute.name() == name).cloned().unwrap();
        let level = find("custom:level");
        assert_eq!((level.mutable, level.required), (Some(false), Some(false)));
        assert_eq!(level.number_attribute_constraints.unwrap().max_value(), "5");
        assert_eq!(find("dev:custom:note").developer_only_attribute, Some(true));
    }
    for _ in 0..2 {
        let refused = pool.sign_up(&name, &[("custom:level", "6")]).await.unwrap_err();
        assert!(refused.message.contains("custom:level: The value must be at most 5"), "{}", refused.message);
        let refused = pool.sign_up(&name, &[("dev:custom:note", "x")]).await;
        let message = "A client attempted to write unauthorized attribute";
        assert_refused(refused, "NotAuthorizedException", message);
    }
    pool.sign_up(&name, &[("custom:level", "5")]).await.unwrap();
    let user = pool.admin_get_user(&name).await.unwrap();
    assert_eq!(by_name(&user.user_attributes)["custom:level"], "5");
    pool.verify().await;
}

#[tokio::test]
async fn an_attribute_that_can_not_be_added_is_refused() {
    let pool = Pool::create().await;
    add(&pool, vec![attribute("once", "String")]).await.unwrap();
    let taken = "custom:once: Existing attribute already has name custom:once.";
    let twice = add(&pool, vec![attribute("new", "String"), attribute("once", "Number")]).await;
    assert_refused(twice, "InvalidParameterException", taken);
    assert!(pool.describe().await.schema_attributes.iter().all(|known| known.name() != "custom:new"));
    let required = SchemaAttributeType { required: Some(true), ..attribute("must", "String") };
    let message = "Required custom attributes are not supported currently.";
    assert_refused(add(&pool, vec![required]).await, "InvalidParameterException", message);
    let colon = add(&pool, vec![attribute("custom:plan", "String")]).await;
    let message = "The schema attribute custom:plan must not contain a colon: its prefix is added.";
    assert_refused(colon, "InvalidParameterException", message);
    let hidden = || SchemaAttributeType { developer_only_attribute: Some(true), ..attribute("banana", "String") };
    add(&pool, vec![hidden()]).await.unwrap();
    let beside = "custom:banana: Existing attribute already has name dev:custom:banana.";
    for again in [hidden(), attribute("banana", "String")] {
        assert_refused(add(&pool, vec![again]).await, "InvalidParameterException", beside);
    }
    let untyped = SchemaAttributeType { name: Some("untyped".into()), ..Default::default() };
    let message = "Invalid AttributeDataType input, consider using the provided AttributeDataType enum.";
    assert_refused(add(&pool, vec![untyped]).await, "InvalidParameterException", message);
    let lengths = |min: &str, max: &str| SchemaAttributeType {
        string_attribute_constraints: Some(StringAttributeConstraintsType {
            min_length: Some(min.into()),
            max_length: Some(max.into()),
        }),
        ..attribute("shoe", "String")
    };
    let values = |min: &str, max: &str| SchemaAttributeType {
        number_attribute_constraints: Some(NumberAttributeConstraintsType {
            min_value: Some(min.into()),
            max_value: Some(max.into()),
        }),
        ..attribute("size", "Number")
    };
    for (bounded, message) in [
        (lengths("few", "9"), "Invalid StringAttributeConstraints for schema attribute shoe"),
        (values("1", "many"), "Invalid NumberAttributeConstraints for schema attribute size"),
        (lengths("0", "2049"), "user.custom:shoe: String attributes cannot have a length of more than 2048"),
        (lengths("5", "4"), "user.custom:shoe: Max length cannot be less than min length."),
        (values("5", "4"), "user.custom:size: Max value cannot be less than min value."),
    ] {
        assert_refused(add(&pool, vec![bounded]).await, "InvalidParameterException", message);
    }
    let long = add(&pool, vec![attribute(&"n".repeat(21), "String")]).await.unwrap_err();
    assert_eq!(long.fields, ["customAttributes.1.member.name"]);
    let unknown_type = add(&pool, vec![attribute("typed", "Text")]).await.unwrap_err();
    assert_eq!(unknown_type.fields, ["customAttributes.1.member.attributeDataType"]);
    // 25 at a time, 50 in all.
    let many = |from: usize, to: usize| (from..to).map(|index| attribute(&format!("a{index}"), "String")).collect();
    add(&pool, many(0, 25)).await.unwrap();
    let most = "A user pool can have at most 50 custom attributes.";
    assert_refused(add(&pool, many(25, 50)).await, "InvalidParameterException", most);
    add(&pool, many(25, 48)).await.unwrap();
    let request =
        AddCustomAttributesRequest { user_pool_id: Some("us-east-1_000000000".into()), custom_attributes: many(0, 1) };
    let missing = "User pool us-east-1_000000000 does not exist.";
    assert_refused(pool.api.call(request).await, "ResourceNotFoundException", missing);
    pool.verify().await;
}

#[tokio::test]
async fn attributes_that_are_added_at_the_same_moment_are_all_there() {
    let pool = Pool::create().await;
    let names: Vec<_> = (0..4).map(|index| format!("a{index}")).collect();
    let calls = names.iter().map(|name| add(&pool, vec![attribute(name, "String")]));
    for answer in futures::future::join_all(calls).await {
        answer.unwrap();
    }
    let schema = pool.describe().await.schema_attributes;
    assert_eq!(schema.iter().filter(|attribute| attribute.name().starts_with("custom:a")).count(), 4);
    pool.verify().await;
}

#[tokio::test]
async fn tags_are_set_listed_and_removed_by_the_pools_arn() {
    let request = CreateUserPoolRequest { user_pool_tags: tags(&[("team", "identity")]), ..Default::default() };
    let pool = Pool::create_with(request, crate::support::pool::password_client()).await;
    let arn = arn(&pool);
    assert_eq!(pool.describe().await.arn.as_deref(), Some(arn.as_str()));
    pool.api.call(tag(&arn, &[("team", "people"), ("stage", "")])).await.unwrap();
    let expected = tags(&[("team", "people"), ("stage", "")]);
    for _ in 0..2 {
        assert_eq!(pool.api.call(list(&arn)).await.unwrap().tags, expected);
        assert_eq!(pool.describe().await.user_pool_tags, expected);
    }
    let listed = pool.api.aws().list_tags_for_resource().resource_arn(&arn).send().await.unwrap();
    assert_eq!(listed.tags().unwrap().len(), 2);
    pool.api.call(untag(&arn, &["stage", "no such key"])).await.unwrap();
    assert_eq!(pool.describe().await.user_pool_tags, tags(&[("team", "people")]));
    // UpdateUserPool sees and sets the same tags.
    let update = UpdateUserPoolRequest {
        user_pool_id: Some(pool.id.clone()),
        user_pool_tags: tags(&[("all", "new")]),
        ..Default::default()
    };
    pool.api.call(update).await.unwrap();
    assert_eq!(pool.api.call(list(&arn)).await.unwrap().tags, tags(&[("all", "new")]));
    pool.api.call(untag(&arn, &["all"])).await.unwrap();
    let none = pool.api.aws().list_tags_for_resource().resource_arn(&arn).send().await.unwrap();
    assert!(none.tags().is_some_and(|tags| tags.is_empty()), "an empty map is there");
    pool.verify().await;
}

#[tokio::test]
async fn invalid_tags_are_refused() {
    let pool = Pool::create().await;
    let arn = arn(&pool);
    let reserved = pool.api.call(tag(&arn, &[("AWS:owner", "x")])).await;
    assert_refused(reserved, "InvalidParameterException", "Tag keys must not start with aws:.");
    let many: Vec<_> = (0..50).map(|index| format!("k{index}")).collect();
    let fifty: Vec<_> = many.iter().map(|key| (key.as_str(), "v")).collect();
    pool.api.call(tag(&arn, &fifty)).await.unwrap();
    let most = "A user pool can have at most 50 tags.";
    assert_refused(pool.api.call(tag(&arn, &[("more", "")])).await, "InvalidParameterException", most);
    pool.api.call(tag(&arn, &[("k0", "other")])).await.unwrap();
    let request = CreateUserPoolRequest {
        pool_name: Some("tags".into()),
        user_pool_tags: tags(&fifty).into_iter().chain(tags(&[("more", "")])).collect(),
        ..Default::default()
    };
    assert_refused(pool.api.call(request).await, "InvalidParameterException", most);
    let message =
        "1 validation error detected: Value null at 'tags' failed to satisfy constraint: Member must not be null";
    assert_refused(pool.api.call(tag(&arn, &[])).await, "InvalidParameterException", message);
    pool.verify().await;
}

#[tokio::test]
async fn an_arn_that_names_no_pool_of_ours_is_refused() {
    let pool = Pool::create().await;
    let id = &pool.id;
    let gone = |id: &str| format!("User pool {id} does not exist.");
    for (wrong, exception, message) in [
        (
            format!("arn:aws:cognito-idp:us-east-1:123456789012:identitypool/{id}"),
            "InvalidParameterException",
            format!("arn:aws:cognito-idp:us-east-1:123456789012:identitypool/{id} is not the ARN of a user pool."),
        ),
        (format!("arn:aws:cognito-idp:us-east-1:210987654321:userpool/{id}"), "ResourceNotFoundException", gone(id)),
        (format!("arn:aws:cognito-idp:eu-west-1:123456789012:userpool/{id}"), "ResourceNotFoundException", gone(id)),
        (
            "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_000000000".to_owned(),
            "ResourceNotFoundException",
            gone("us-east-1_000000000"),
        ),
    ] {
        assert_refused(pool.api.call(tag(&wrong, &[("a", "b")])).await, exception, &message);
        assert_refused(pool.api.call(untag(&wrong, &["a"])).await, exception, &message);
        assert_refused(pool.api.call(list(&wrong)).await, exception, &message);
    }
    assert_eq!(pool.api.call(list("not an ARN at all, but long")).await.unwrap_err().fields, ["resourceArn"]);
    pool.verify().await;
}

#[tokio::test]
async fn a_pool_admin_tags_that_pool_only() {
    let (pool, other) = (Pool::create().await, Pool::create().await);
    let account = async |role: &str, pools: &[&str]| {
        let mut arguments = vec!["service-account", "create", "--name", "tags", "--role", role];
        arguments.extend(pools.iter().flat_map(|pool| ["--pool", pool]));
        let output = pool.api.environment().command().args(arguments).output().await.unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        let value = |name: &str| output.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
        let account = Account { access_key_id: value("access key id"), secret: value("secret access key") };
        format!("Bearer {}", account.token())
    };
    let of_pool = account("pool-admin", &[&pool.id]).await;
    pool.api.call_as(Some(&of_pool), tag(&arn(&pool), &[("a", "b")])).await.unwrap();
    pool.api.call_as(Some(&of_pool), list(&arn(&pool))).await.unwrap();
    let crafted = format!("arn:aws:cognito-idp:us-east-1:123456789012:userpool/{}:userpool/{}", other.id, pool.id);
    for denied in [arn(&other), crafted] {
        let refusal = pool.api.call_as(Some(&of_pool), tag(&denied, &[("a", "b")])).await.unwrap_err();
        assert_eq!((refusal.exception.as_str(), refusal.code), ("AccessDeniedException", Code::PermissionDenied));
    }
    let reader = account("read-only", &[]).await;
    pool.api.call_as(Some(&reader), list(&arn(&other))).await.unwrap();
    let refusal = pool.api.call_as(Some(&reader), untag(&arn(&other), &["a"])).await.unwrap_err();
    assert_eq!(refusal.exception, "AccessDeniedException");
    assert!(other.describe().await.user_pool_tags.is_empty());
    pool.verify().await;
    other.verify().await;
}

fn factors(pool: &Pool, mode: &str) -> SetUserPoolMfaConfigRequest {
    SetUserPoolMfaConfigRequest {
        user_pool_id: Some(pool.id.clone()),
        mfa_configuration: Some(mode.into()),
        ..Default::default()
    }
}

fn read(pool: &Pool) -> GetUserPoolMfaConfigRequest {
    GetUserPoolMfaConfigRequest { user_pool_id: Some(pool.id.clone()) }
}

#[tokio::test]
async fn every_setting_of_second_factors_comes_back_and_the_pools_description_agrees() {
    let pool = Pool::create().await;
    let off = GetUserPoolMfaConfigResponse { mfa_configuration: Some("OFF".into()), ..Default::default() };
    assert_eq!(pool.api.call(read(&pool)).await.unwrap(), off);
    let request = SetUserPoolMfaConfigRequest {
        sms_mfa_configuration: Some(SmsMfaConfigType {
            sms_authentication_message: Some("Sign in by {####}".into()),
            sms_configuration: Some(SmsConfigurationType {
                sns_caller_arn: Some("arn:aws:iam::123456789012:role/sms".into()),
                external_id: Some("external".into()),
                sns_region: Some("us-east-1".into()),
                ..Default::default()
            }),
        }),
        software_token_mfa_configuration: Some(SoftwareTokenMfaConfigType { enabled: Some(true) }),
        email_mfa_configuration: Some(EmailMfaConfigType {
            message: Some("Your code is {####}".into()),
            subject: Some("A code".into()),
        }),
        web_authn_configuration: Some(WebAuthnConfigurationType {
            relying_party_id: Some("example.com".into()),
            user_verification: Some("required".into()),
            factor_configuration: Some("SINGLE_FACTOR".into()),
        }),
        ..factors(&pool, "OPTIONAL")
    };
    let set = pool.api.call(request.clone()).await.unwrap();
    assert_eq!(set.sms_mfa_configuration, request.sms_mfa_configuration);
    assert_eq!(set.software_token_mfa_configuration, request.software_token_mfa_configuration);
    assert_eq!(set.email_mfa_configuration, request.email_mfa_configuration);
    assert_eq!(set.web_authn_configuration, request.web_authn_configuration);
    for _ in 0..2 {
        let got = pool.api.call(read(&pool)).await.unwrap();
        assert_eq!(got.mfa_configuration.as_deref(), Some("OPTIONAL"));
        assert_eq!(got.sms_mfa_configuration, set.sms_mfa_configuration);
        assert_eq!(got.software_token_mfa_configuration, set.software_token_mfa_configuration);
        assert_eq!(got.email_mfa_configuration, set.email_mfa_configuration);
        assert_eq!(got.web_authn_configuration, set.web_authn_configuration);
    }
    let described = pool.describe().await;
    let sms = request.sms_mfa_configuration.unwrap();
    assert_eq!(described.mfa_configuration.as_deref(), Some("OPTIONAL"));
    assert_eq!(described.sms_authentication_message, sms.sms_authentication_message);
    assert_eq!(described.sms_configuration, sms.sms_configuration);

    // UpdateUserPool without `MfaConfiguration` leaves it on; `OFF` switches the factors off as well.
    let update = UpdateUserPoolRequest { user_pool_id: Some(pool.id.clone()), ..Default::default() };
    pool.api.call(update.clone()).await.unwrap();
    let after = pool.api.call(read(&pool)).await.unwrap();
    assert_eq!(after.mfa_configuration.as_deref(), Some("OPTIONAL"));
    assert_eq!(after.software_token_mfa_configuration, request.software_token_mfa_configuration);
    let update = UpdateUserPoolRequest { mfa_configuration: Some("OFF".into()), ..update };
    pool.api.call(update).await.unwrap();
    let after = pool.api.call(read(&pool)).await.unwrap();
    let web_authn_configuration = request.web_authn_configuration;
    assert_eq!(after, GetUserPoolMfaConfigResponse { web_authn_configuration, ..off });
    pool.verify().await;
}

#[tokio::test]
async fn second_factors_that_contradict_each_other_are_refused() {
    let pool = Pool::create().await;
    let app = |enabled| Some(SoftwareTokenMfaConfigType { enabled: Some(enabled) });
    let together = "Invalid MFA configuration given, can't turn off MFA and configure an MFA together.";
    let none = "Invalid MFA configuration given, can't disable all MFAs with a required or optional configuration.";
    let with_app = |mode, enabled| SetUserPoolMfaConfigRequest {
        software_token_mfa_configuration: app(enabled),
        ..factors(&pool, mode)
    };
    let no_sender = SetUserPoolMfaConfigRequest {
        sms_mfa_configuration: Some(SmsMfaConfigType::default()),
        ..factors(&pool, "OPTIONAL")
    };
    for (request, message) in [
        (factors(&pool, "ON"), none),
        (with_app("OFF", true), together),
        (factors(&pool, "OPTIONAL"), none),
        (with_app("OPTIONAL", false), none),
        (no_sender, "SmsMfaConfiguration needs an SmsConfiguration: its own, or one that the user pool has."),
    ] {
        assert_refused(pool.api.call(request).await, "InvalidParameterException", message);
    }
    let lite = UpdateUserPoolRequest {
        user_pool_id: Some(pool.id.clone()),
        user_pool_tier: Some("LITE".into()),
        ..Default::default()
    };
    pool.api.call(lite.clone()).await.unwrap();
    let passkeys = SetUserPoolMfaConfigRequest {
        web_authn_configuration: Some(WebAuthnConfigurationType {
            relying_party_id: Some("example.com".into()),
            ..Default::default()
        }),
        ..factors(&pool, "OFF")
    };
    let tier = "WebAuthnConfiguration is not available in the tier LITE.";
    let refusal = pool.api.call(passkeys.clone()).await.unwrap_err();
    assert_eq!((refusal.pair(), refusal.code), (("FeatureUnavailableInTierException", tier), Code::FailedPrecondition));
    let up = UpdateUserPoolRequest { user_pool_tier: Some("ESSENTIALS".into()), ..lite.clone() };
    pool.api.call(up).await.unwrap();
    pool.api.call(passkeys).await.unwrap();
    assert_refused(pool.api.call(lite).await, "TierChangeNotAllowedException", tier);
    let missing = SetUserPoolMfaConfigRequest {
        user_pool_id: Some("us-east-1_000000000".into()),
        mfa_configuration: Some("OFF".into()),
        ..Default::default()
    };
    let message = "User pool us-east-1_000000000 does not exist.";
    assert_refused(pool.api.call(missing).await, "ResourceNotFoundException", message);
    pool.verify().await;
}

#[tokio::test]
async fn the_certificate_is_of_the_key_that_signs_and_the_same_every_time() {
    let (pool, other) = (Pool::create().await, Pool::create().await);
    let request = |pool: &Pool| GetSigningCertificateRequest { user_pool_id: Some(pool.id.clone()) };
    let certificate = pool.api.call(request(&pool)).await.unwrap().certificate.unwrap();
    for _ in 0..3 {
        // Calls alternate between the processes.
        assert_eq!(pool.api.call(request(&pool)).await.unwrap().certificate.as_deref(), Some(certificate.as_str()));
    }
    assert_ne!(pool.api.call(request(&other)).await.unwrap().certificate.unwrap(), certificate);
    let der = STANDARD.decode(&certificate).expect("base64 without a frame");

    let (rest, parsed) = x509_parser::parse_x509_certificate(&der).expect("a certificate");
    assert!(rest.is_empty());
    parsed.verify_signature(None).expect("signed by its own key");
    assert_eq!(parsed.subject(), parsed.issuer());
    assert_eq!(parsed.subject().to_string(), format!("CN={}", pool.id));
    assert!(parsed.validity().is_valid());
    let key_set = http::get(pool.api.next().http, &format!("/{}/.well-known/jwks.json", pool.id)).await.json();
    let moduli: Vec<_> = key_set["keys"].as_array().unwrap().iter().map(|key| key["n"].as_str().unwrap()).collect();
    let x509_parser::public_key::PublicKey::RSA(key) = parsed.public_key().parsed().unwrap() else {
        panic!("not an RSA key")
    };
    let modulus = BASE64_URL_SAFE_NO_PAD.encode(key.modulus.strip_prefix(&[0]).unwrap_or(key.modulus));
    assert!(moduli.contains(&modulus.as_str()), "the key is in the pool's key set");

    let missing = GetSigningCertificateRequest { user_pool_id: Some("us-east-1_000000000".into()) };
    let message = "User pool us-east-1_000000000 does not exist.";
    assert_refused(pool.api.call(missing).await, "ResourceNotFoundException", message);
    pool.verify().await;
    other.verify().await;
}
