//! Setting up second factors: authenticator apps, by an access token and during a sign-in, and the preferences of users.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use userpool::proto::v1::*;

use crate::support::client::{Refusal, assert_refused};
use crate::support::mfa::{
    Authenticator, all_factors, answer_request, apps_alone, asked, associate, give_code, password_flows,
    person_with_phone, pool_with_factors, prefer, preference, set_up_app, verify_request,
};
use crate::support::passkeys::{configuration, pool_with_passkeys};
use crate::support::pool::{PASSWORD, Pool, attributes, email_pool, texts, unique_phone};
use crate::support::requests::same_fields;

const INVALID: &str = "InvalidParameterException";
const SESSION: (&str, &str) = ("NotAuthorizedException", "Invalid session for the user.");
const USED: (&str, &str) = ("NotAuthorizedException", "Invalid session for the user, session can only be used once.");
const OFF: (&str, &str) =
    ("SoftwareTokenMFANotFoundException", "Software Token MFA has not been enabled by the userPool");
const NONE_WAITS: (&str, &str) =
    ("SoftwareTokenMFANotFoundException", "No software token waits for its code: AssociateSoftwareToken comes first.");
const MISMATCH: (&str, &str) = ("EnableSoftwareTokenMFAException", "Code mismatch");

/// The factors that are on, and the preferred one, as the user and an administrator see them.
async fn shown(pool: &Pool, username: &str, access_token: &str) -> (Vec<String>, Option<String>) {
    let (own, admin) = (pool.get_user(access_token).await.unwrap(), pool.admin_get_user(username).await.unwrap());
    assert_eq!(own.user_mfa_setting_list, admin.user_mfa_setting_list);
    assert_eq!(own.preferred_mfa_setting, admin.preferred_mfa_setting);
    assert_eq!(own.mfa_options, admin.mfa_options);
    let sms = MfaOptionType { delivery_medium: Some("SMS".into()), attribute_name: Some("phone_number".into()) };
    let older: &[_] = if own.user_mfa_setting_list.iter().any(|name| name == "SMS_MFA") { &[sms] } else { &[] };
    assert_eq!(own.mfa_options, older);
    (own.user_mfa_setting_list, own.preferred_mfa_setting)
}

#[tokio::test]
async fn an_authenticator_app_is_set_up_by_an_access_token() {
    let pool = pool_with_factors("OPTIONAL").await;
    let name = pool.person("app").await.username;
    let token = pool.sign_in(&name, PASSWORD).await.unwrap().access_token.unwrap();
    let verify = async |code: &str| pool.api.call(verify_request(&token, code)).await;
    assert_refused(verify("123456").await, NONE_WAITS.0, NONE_WAITS.1);
    let first = associate(&pool, &token).await.unwrap();
    assert_refused(verify(&first.wrong()).await, MISMATCH.0, MISMATCH.1);
    // The secret that was made last counts.
    let app = associate(&pool, &token).await.unwrap();
    assert_refused(verify(&first.code(0)).await, MISMATCH.0, MISMATCH.1);
    assert_eq!(verify(&app.code(0)).await.unwrap().status(), "SUCCESS");
    assert_refused(verify(&app.code(0)).await, NONE_WAITS.0, NONE_WAITS.1);
    // It is asked for only once it is turned on.
    pool.sign_in(&name, PASSWORD).await.unwrap();
    assert_eq!(shown(&pool, &name, &token).await, (vec![], None));
    prefer(&pool, &token, &["SOFTWARE_TOKEN_MFA"], None).await.unwrap();
    assert_eq!(shown(&pool, &name, &token).await, (texts(&["SOFTWARE_TOKEN_MFA"]), None));
    let challenge = asked(&pool, &name, "SOFTWARE_TOKEN_MFA").await;
    assert_eq!(challenge.challenge_parameters["FRIENDLY_DEVICE_NAME"], "pocket");
    let answer = ("SOFTWARE_TOKEN_MFA", challenge.session());
    let tokens = give_code(&pool, &name, answer, &app.code(1)).await.unwrap();
    pool.refresh(tokens.refresh_token()).await.unwrap();
    // Another app takes the place of this one when it has shown a code, and not before.
    let other = associate(&pool, &token).await.unwrap();
    let session = asked(&pool, &name, "SOFTWARE_TOKEN_MFA").await.session.unwrap();
    let refused = give_code(&pool, &name, ("SOFTWARE_TOKEN_MFA", &session), &other.code(0)).await;
    assert_eq!(refused.unwrap_err().exception, "CodeMismatchException");
    verify(&other.code(0)).await.unwrap();
    give_code(&pool, &name, ("SOFTWARE_TOKEN_MFA", &session), &other.code(1)).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn the_sdk_of_aws_sets_an_app_up_and_signs_in_with_it() {
    use aws_sdk_cognitoidentityprovider::types::{
        AuthFlowType, ChallengeNameType, SoftwareTokenMfaSettingsType as Settings, VerifySoftwareTokenResponseType,
    };
    let pool = pool_with_factors("OPTIONAL").await;
    let name = pool.person("sdk").await.username;
    let token = pool.sign_in(&name, PASSWORD).await.unwrap().access_token.unwrap();
    // Each of these clients talks to the next process.
    let aws = || pool.api.aws();
    let associated = aws().associate_software_token().access_token(&token).send().await.unwrap();
    let app = Authenticator::with(associated.secret_code().unwrap());
    let verify = |code: String| aws().verify_software_token().access_token(&token).user_code(code).send();
    let wrong = verify(app.wrong()).await.unwrap_err().into_service_error();
    assert!(wrong.is_enable_software_token_mfa_exception(), "{wrong:?}");
    let verified = verify(app.code(0)).await.unwrap();
    assert_eq!(verified.status(), Some(&VerifySoftwareTokenResponseType::Success));
    let on = Settings::builder().enabled(true).preferred_mfa(true).build();
    aws().set_user_mfa_preference().access_token(&token).software_token_mfa_settings(on).send().await.unwrap();
    let begun = aws().initiate_auth().client_id(&pool.client_id).auth_flow(AuthFlowType::UserPasswordAuth);
    let begun = begun.auth_parameters("USERNAME", &name).auth_parameters("PASSWORD", PASSWORD).send().await.unwrap();
    assert_eq!(begun.challenge_name(), Some(&ChallengeNameType::SoftwareTokenMfa));
    let respond = |code: String| {
        let answer = aws().respond_to_auth_challenge().client_id(&pool.client_id).set_session(begun.session.clone());
        let answer = answer.challenge_name(ChallengeNameType::SoftwareTokenMfa).challenge_responses("USERNAME", &name);
        answer.challenge_responses("SOFTWARE_TOKEN_MFA_CODE", code).send()
    };
    let wrong = respond(app.wrong()).await.unwrap_err().into_service_error();
    assert!(wrong.is_code_mismatch_exception(), "{wrong:?}");
    let tokens = respond(app.code(1)).await.unwrap().authentication_result.unwrap();
    let user = aws().get_user().access_token(tokens.access_token().unwrap()).send().await.unwrap();
    assert_eq!(user.user_mfa_setting_list(), ["SOFTWARE_TOKEN_MFA"]);
    pool.verify().await;
}

/// The next session and the secret, by the session of MFA_SETUP.
async fn associate_by(pool: &Pool, session: &str) -> Result<(String, Authenticator), Refusal> {
    let request = AssociateSoftwareTokenRequest { access_token: None, session: Some(session.to_owned()) };
    let answer = pool.api.call(request).await?;
    let app = Authenticator::with(answer.secret_code());
    Ok((answer.session.expect("the next session"), app))
}

fn verify_by(session: &str, code: &str) -> VerifySoftwareTokenRequest {
    let (session, user_code) = (Some(session.to_owned()), Some(code.to_owned()));
    VerifySoftwareTokenRequest { session, user_code, ..Default::default() }
}

#[tokio::test]
async fn where_a_factor_is_required_a_sign_in_sets_one_up() {
    let pool = Pool::create_with(email_pool(), password_flows()).await;
    pool.api.call(apps_alone(&pool, "ON")).await.unwrap();
    let name = pool.person("setup").await.username;
    let challenge = asked(&pool, &name, "MFA_SETUP").await;
    assert_eq!(challenge.challenge_parameters["MFAS_CAN_SETUP"], r#"["SOFTWARE_TOKEN_MFA"]"#);
    let first = challenge.session.unwrap();
    let finish = |session: &str| answer_request(&pool, ("MFA_SETUP", session), &[("USERNAME", &name)]);
    let too_early = "No second factor was set up by this session: VerifySoftwareToken comes first.";
    let late = asked(&pool, &name, "MFA_SETUP").await.session.unwrap();
    for request in [finish(&first), finish(&late)] {
        let user_pool_id = Some(pool.id.clone());
        let by_server = AdminRespondToAuthChallengeRequest { user_pool_id, ..same_fields(&request) };
        assert_refused(pool.api.call(by_server).await, "MFAMethodNotFoundException", too_early);
        assert_refused(pool.api.call(request).await, "MFAMethodNotFoundException", too_early);
    }
    let (second, app) = associate_by(&pool, &first).await.unwrap();
    // Each session is used once.
    assert_refused(associate_by(&pool, &first).await.map(|(session, _)| session), USED.0, USED.1);
    assert_refused(pool.api.call(finish(&first)).await, "MFAMethodNotFoundException", too_early);
    assert_refused(pool.api.call(verify_by(&second, &app.wrong())).await, MISMATCH.0, MISMATCH.1);
    let verified = pool.api.call(verify_by(&second, &app.code(0))).await.unwrap();
    assert_eq!(verified.status(), "SUCCESS");
    let third = verified.session.unwrap();
    assert_refused(pool.api.call(verify_by(&second, &app.code(0))).await, USED.0, USED.1);
    // A sign-in that began before does not replace what was set up since: it has proved a password and nothing else.
    assert_refused(associate_by(&pool, &late).await.map(|(session, _)| session), SESSION.0, SESSION.1);
    // The factor counts, even if the sign-in is never finished.
    let seen = pool.admin_get_user(&name).await.unwrap();
    assert_eq!(seen.user_mfa_setting_list, texts(&["SOFTWARE_TOKEN_MFA"]));
    assert_eq!(seen.preferred_mfa_setting(), "SOFTWARE_TOKEN_MFA");
    let session = asked(&pool, &name, "SOFTWARE_TOKEN_MFA").await.session.unwrap();
    let setting_up = give_code(&pool, &name, ("SOFTWARE_TOKEN_MFA", &session), &app.code(0)).await;
    let message = "Invalid code provided, please request a code again.";
    assert_refused(setting_up, "ExpiredCodeException", message);
    let answer = pool.api.call(finish(&third)).await.unwrap();
    let tokens = answer.authentication_result.expect("tokens");
    pool.get_user(tokens.access_token()).await.unwrap();
    assert_refused(pool.api.call(finish(&third)).await, USED.0, USED.1);
    pool.verify().await;
}

#[tokio::test]
async fn only_the_session_of_a_set_up_sets_up() {
    let pool = pool_with_factors("ON").await;
    let (person, _) = person_with_phone(&pool, "whose").await;
    // This pool has the user's phone and address, so it asks for the choice and not for a set-up.
    let choice = asked(&pool, &person.username, "SELECT_MFA_TYPE").await.session.unwrap();
    let associate = |access_token: Option<&str>, session: Option<&str>| AssociateSoftwareTokenRequest {
        access_token: access_token.map(str::to_owned),
        session: session.map(str::to_owned),
    };
    let verify = |request: AssociateSoftwareTokenRequest| VerifySoftwareTokenRequest {
        access_token: request.access_token,
        session: request.session,
        user_code: Some("123456".to_owned()),
        ..Default::default()
    };
    let unlike = ["a session of nobody's", "bm93aGVyZQ.AAAA-AAAA-AAAA", "AA.AAAAAAAAAAAAAAAAAAAAA", &choice];
    for session in unlike {
        assert_refused(pool.api.call(associate(None, Some(session))).await, SESSION.0, SESSION.1);
        assert_refused(pool.api.call(verify(associate(None, Some(session)))).await, SESSION.0, SESSION.1);
    }
    let message = "Either AccessToken or Session is required.";
    for request in [associate(None, None), associate(Some("a.b.c"), Some(&choice))] {
        assert_refused(pool.api.call(request.clone()).await, INVALID, message);
        assert_refused(pool.api.call(verify(request)).await, INVALID, message);
    }
    pool.api.call(apps_alone(&pool, "ON")).await.unwrap();
    let session = asked(&pool, &person.username, "MFA_SETUP").await.session.unwrap();
    pool.api.call(all_factors(&pool, "OFF")).await.unwrap();
    assert_refused(pool.api.call(associate(None, Some(&session))).await, OFF.0, OFF.1);
    assert_refused(pool.api.call(verify(associate(None, Some(&session)))).await, OFF.0, OFF.1);
    pool.api.call(apps_alone(&pool, "ON")).await.unwrap();
    let reset = AdminResetUserPasswordRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(person.username.clone()),
        ..Default::default()
    };
    pool.api.call(reset).await.unwrap();
    assert_refused(pool.api.call(associate(None, Some(&session))).await, SESSION.0, SESSION.1);
    assert_refused(pool.api.call(verify(associate(None, Some(&session)))).await, SESSION.0, SESSION.1);
    let (user_pool_id, username) = (Some(pool.id.clone()), Some(person.username.clone()));
    pool.api.call(AdminDisableUserRequest { user_pool_id, username }).await.unwrap();
    let disabled = ("NotAuthorizedException", "User is disabled.");
    assert_refused(pool.api.call(associate(None, Some(&session))).await, disabled.0, disabled.1);
    assert_refused(pool.api.call(verify(associate(None, Some(&session)))).await, disabled.0, disabled.1);
    pool.verify().await;
}

/// Asserts that a choice is refused, by an administrator as well.
async fn refused(pool: &Pool, username: &str, request: SetUserMfaPreferenceRequest, message: &str) {
    let admin = AdminSetUserMfaPreferenceRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(username.to_owned()),
        ..same_fields(&request)
    };
    assert_refused(pool.api.call(admin).await, INVALID, message);
    assert_refused(pool.api.call(request).await, INVALID, message);
}

#[tokio::test]
async fn preferences_are_chosen_by_the_user_and_by_administrators() {
    let pool = pool_with_factors("OPTIONAL").await;
    let (person, _) = person_with_phone(&pool, "chooses").await;
    let name = &person.username;
    let token = pool.sign_in(name, PASSWORD).await.unwrap().access_token.unwrap();
    prefer(&pool, &token, &["SMS_MFA", "EMAIL_OTP"], Some("EMAIL_OTP")).await.unwrap();
    let both = texts(&["SMS_MFA", "EMAIL_OTP"]);
    assert_eq!(shown(&pool, name, &token).await, (both, Some("EMAIL_OTP".to_owned())));
    let admin = AdminSetUserMfaPreferenceRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(name.clone()),
        email_mfa_settings: Some(EmailMfaSettingsType { enabled: Some(false), preferred_mfa: None }),
        ..Default::default()
    };
    pool.api.call(admin.clone()).await.unwrap();
    assert_eq!(shown(&pool, name, &token).await, (texts(&["SMS_MFA"]), None));
    let nobody = AdminSetUserMfaPreferenceRequest { username: Some("nobody".into()), ..admin };
    assert_refused(pool.api.call(nobody).await, "UserNotFoundException", "User does not exist.");

    let two = SetUserMfaPreferenceRequest {
        email_mfa_settings: Some(EmailMfaSettingsType { enabled: Some(true), preferred_mfa: Some(true) }),
        ..preference(&token, &["SMS_MFA"], Some("SMS_MFA"))
    };
    refused(&pool, name, two, "Only one second factor can be preferred.").await;
    let message = "EMAIL_OTP can only be preferred if it is enabled.";
    refused(&pool, name, preference(&token, &["SMS_MFA"], Some("EMAIL_OTP")), message).await;
    let message = "User does not have delivery config set to turn on SOFTWARE_TOKEN_MFA";
    refused(&pool, name, preference(&token, &["SOFTWARE_TOKEN_MFA"], None), message).await;
    let passkeys = SetUserMfaPreferenceRequest {
        web_authn_mfa_settings: Some(WebAuthnMfaSettingsType { enabled: Some(true) }),
        ..preference(&token, &[], None)
    };
    refused(&pool, name, passkeys, "WEB_AUTHN is not turned on for the user pool.").await;
    pool.api.call(all_factors(&pool, "ON")).await.unwrap();
    let message = "The last second factor can't be turned off: the user pool requires one.";
    refused(&pool, name, preference(&token, &[], None), message).await;
    pool.api.call(all_factors(&pool, "OFF")).await.unwrap();
    refused(&pool, name, preference(&token, &["EMAIL_OTP"], None), "EMAIL_OTP is not turned on for the user pool.")
        .await;
    pool.verify().await;
}

#[tokio::test]
async fn the_older_form_turns_sms_on_and_off_at_both_doors() {
    let pool = pool_with_factors("OPTIONAL").await;
    let ((person, _), without) = (person_with_phone(&pool, "older").await, pool.person("phoneless").await);
    let token = pool.sign_in(&person.username, PASSWORD).await.unwrap().access_token.unwrap();
    let sms = MfaOptionType { delivery_medium: Some("SMS".into()), attribute_name: Some("phone_number".into()) };
    let own = |options: &[&MfaOptionType], given_empty: &[&str]| SetUserSettingsRequest {
        access_token: Some(token.clone()),
        mfa_options: options.iter().copied().cloned().collect(),
        given_empty: texts(given_empty),
    };
    let admin = |username: &str, options: &[&MfaOptionType], given_empty: &[&str]| AdminSetUserSettingsRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(username.to_owned()),
        mfa_options: options.iter().copied().cloned().collect(),
        given_empty: texts(given_empty),
    };
    let name = &person.username;
    let on = (texts(&["SMS_MFA"]), None);
    pool.api.call(own(&[&sms], &[])).await.unwrap();
    assert_eq!(shown(&pool, name, &token).await, on);
    pool.api.call(own(&[], &["mfa_options"])).await.unwrap();
    assert_eq!(shown(&pool, name, &token).await, (vec![], None));
    pool.api.call(admin(name, &[&sms], &[])).await.unwrap();
    assert_eq!(shown(&pool, name, &token).await, on);
    // As old versions of Amplify turn it off.
    let request = json!({ "UserPoolId": pool.id, "Username": name, "MFAOptions": [] });
    assert_eq!(pool.api.aws_json("AdminSetUserSettings", &request).await.status, 200);
    assert_eq!(shown(&pool, name, &token).await, (vec![], None));

    let null =
        "1 validation error detected: Value null at 'mFAOptions' failed to satisfy constraint: Member must not be null";
    assert_refused(pool.api.call(own(&[], &[])).await, INVALID, null);
    assert_refused(pool.api.call(admin(name, &[], &[])).await, INVALID, null);
    let email = MfaOptionType { delivery_medium: Some("EMAIL".into()), attribute_name: Some("email".into()) };
    let message = "MFAOptions can only turn on SMS to phone_number.";
    assert_refused(pool.api.call(own(&[&email], &[])).await, INVALID, message);
    assert_refused(pool.api.call(admin(name, &[&email], &[])).await, INVALID, message);
    let message = "User does not have delivery config set to turn on SMS_MFA";
    assert_refused(pool.api.call(admin(&without.username, &[&sms], &[])).await, INVALID, message);
    let of_other = pool.sign_in(&without.username, PASSWORD).await.unwrap().access_token;
    let other = SetUserSettingsRequest { access_token: of_other, ..own(&[&sms], &[]) };
    assert_refused(pool.api.call(other).await, INVALID, message);
    let unknown = pool.api.call(admin("nobody", &[&sms], &[])).await;
    assert_refused(unknown, "UserNotFoundException", "User does not exist.");

    pool.api.call(own(&[&sms], &[])).await.unwrap();
    pool.api.call(all_factors(&pool, "ON")).await.unwrap();
    let message = "The last second factor can't be turned off: the user pool requires one.";
    assert_refused(pool.api.call(own(&[], &["mfa_options"])).await, INVALID, message);
    assert_refused(pool.api.call(admin(name, &[], &["mfa_options"])).await, INVALID, message);
    pool.api.call(all_factors(&pool, "OFF")).await.unwrap();
    let message = "SMS_MFA is not turned on for the user pool.";
    assert_refused(pool.api.call(own(&[&sms], &[])).await, INVALID, message);
    assert_refused(pool.api.call(admin(name, &[&sms], &[])).await, INVALID, message);
    pool.verify().await;
}

#[tokio::test]
async fn a_lost_address_takes_its_factor() {
    let pool = pool_with_factors("OPTIONAL").await;
    let (person, _) = person_with_phone(&pool, "loses").await;
    let name = &person.username;
    let update = |values: &[(&str, &str)]| AdminUpdateUserAttributesRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(name.clone()),
        user_attributes: attributes(values),
        ..Default::default()
    };
    pool.api.call(update(&[("phone_number_verified", "true")])).await.unwrap();
    let token = pool.sign_in(name, PASSWORD).await.unwrap().access_token.unwrap();
    let on = ["SMS_MFA", "EMAIL_OTP"];
    prefer(&pool, &token, &on, Some("SMS_MFA")).await.unwrap();
    // Another verified number keeps it.
    pool.api.call(update(&[("phone_number", &unique_phone()), ("phone_number_verified", "true")])).await.unwrap();
    assert_eq!(shown(&pool, name, &token).await, (texts(&on), Some("SMS_MFA".to_owned())));
    let another = UpdateUserAttributesRequest {
        access_token: Some(token.clone()),
        user_attributes: attributes(&[("phone_number", &unique_phone())]),
        ..Default::default()
    };
    pool.api.call(another).await.unwrap();
    assert_eq!(shown(&pool, name, &token).await, (texts(&["EMAIL_OTP"]), None));
    let deleted = AdminDeleteUserAttributesRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(name.clone()),
        user_attribute_names: texts(&["email"]),
    };
    pool.api.call(deleted).await.unwrap();
    assert_eq!(shown(&pool, name, &token).await, (vec![], None));
    pool.sign_in(name, PASSWORD).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn the_phone_that_is_the_second_factor_does_not_replace_the_first() {
    let option = |name: &str, priority| RecoveryOptionType { name: Some(name.to_owned()), priority: Some(priority) };
    let recovery_mechanisms = vec![option("verified_phone_number", 1), option("verified_email", 2)];
    let request = CreateUserPoolRequest {
        account_recovery_setting: Some(AccountRecoverySettingType { recovery_mechanisms }),
        ..email_pool()
    };
    let pool = Pool::create_with(request, password_flows()).await;
    pool.api.call(all_factors(&pool, "OPTIONAL")).await.unwrap();
    let (person, _) = person_with_phone(&pool, "recovers").await;
    let verified = AdminUpdateUserAttributesRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(person.username.clone()),
        user_attributes: attributes(&[("phone_number_verified", "true")]),
        ..Default::default()
    };
    pool.api.call(verified).await.unwrap();
    let asked = async || {
        let request = ForgotPasswordRequest {
            client_id: Some(pool.client_id.clone()),
            username: Some(person.username.clone()),
            ..Default::default()
        };
        let answer = pool.api.call(request).await.unwrap();
        answer.code_delivery_details.unwrap().delivery_medium.unwrap()
    };
    assert_eq!(asked().await, "SMS");
    let token = pool.sign_in(&person.username, PASSWORD).await.unwrap().access_token.unwrap();
    prefer(&pool, &token, &["SMS_MFA"], None).await.unwrap();
    assert_eq!(asked().await, "EMAIL");
    pool.verify().await;
}

#[tokio::test]
async fn the_secret_of_an_app_is_kept_sealed_and_published_nowhere() {
    let pool = pool_with_factors("OPTIONAL").await;
    let person = pool.person("sealed").await;
    let token = pool.sign_in(&person.username, PASSWORD).await.unwrap().access_token.unwrap();
    let request = AssociateSoftwareTokenRequest { access_token: Some(token.clone()), session: None };
    let secret = pool.api.call(request).await.unwrap().secret_code.unwrap();
    let app = Authenticator::with(&secret);
    pool.api.call(verify_request(&token, &app.code(0))).await.unwrap();
    set_up_app(&pool, &token).await;
    let database = sqlx::PgPool::connect(&pool.api.environment().database_url()).await.unwrap();
    let rows = async |statement: &'static str| -> Vec<String> {
        sqlx::query_scalar(statement).bind(&pool.id).fetch_all(&database).await.unwrap()
    };
    let log = rows("select payload::text from log where user_pool_id = $1").await;
    let users = rows("select state::text from users where user_pool_id = $1").await;
    let bytes = totp_rs::Secret::try_from_base32(&secret).unwrap().as_bytes().to_vec();
    for text in [secret, STANDARD.encode(&bytes), hex::encode(&bytes)] {
        assert!(log.iter().chain(&users).all(|row| !row.contains(&text)), "{text}");
    }
    assert!(users[0].contains("pocket") && log.iter().all(|row| !row.contains("pocket")), "a name is personal");
    pool.verify().await;
}

#[tokio::test]
async fn passkeys_stand_for_a_second_factor_only_beside_another_one() {
    let pool = pool_with_passkeys("ENABLED").await;
    let factors = SetUserPoolMfaConfigRequest {
        web_authn_configuration: Some(configuration("preferred", "SINGLE_FACTOR")),
        ..all_factors(&pool, "OPTIONAL")
    };
    pool.api.call(factors).await.unwrap();
    let (person, _) = person_with_phone(&pool, "passkeys").await;
    let name = &person.username;
    let token = pool.sign_in(name, PASSWORD).await.unwrap().access_token.unwrap();
    let with = |factors: &[&str]| SetUserMfaPreferenceRequest {
        web_authn_mfa_settings: Some(WebAuthnMfaSettingsType { enabled: Some(true) }),
        ..preference(&token, factors, None)
    };
    refused(&pool, name, with(&[]), "WEB_AUTHN can only be enabled beside another second factor.").await;
    pool.api.call(with(&["SMS_MFA"])).await.unwrap();
    assert_eq!(shown(&pool, name, &token).await, (texts(&["SMS_MFA"]), None), "as at Cognito, passkeys are not shown");
    pool.verify().await;
}
