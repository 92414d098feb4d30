//! Second factors in scenarios: pools that ask for them, and an authenticator app.

use totp_rs::{Builder, Secret, Totp};
use userpool::environment::Clock;
use userpool::proto::v1::*;

use super::client::Refusal;
use super::pool::{PASSWORD, Person, Pool, email_pool, parameters, password_client, texts, unique_phone};

/// How many seconds an app shows a code.
const STEP: u64 = 30;

/// An authenticator app with one secret.
pub struct Authenticator {
    secret: Vec<u8>,
}

impl Authenticator {
    /// An app into which this secret was typed.
    pub fn with(secret: &str) -> Self {
        let secret = Secret::try_from_base32(secret).expect("base32").as_bytes().to_vec();
        assert_eq!(secret.len(), 20, "as many bytes as a hash of SHA-1 has");
        Self { secret }
    }

    /// The code of the present time step, or of one so many steps later.
    pub fn code(&self, later: u64) -> String {
        let now = u64::try_from(Clock.now().seconds()).expect("after 1970");
        self.totp().generate(now + later * STEP).to_string()
    }

    /// A code that is none of those that the server could accept.
    pub fn wrong(&self) -> String {
        let near: Vec<_> = (0..3).map(|later| self.code(later)).collect();
        let candidates = ["000000", "111111", "222222", "333333", "444444", "555555"];
        candidates.into_iter().find(|code| !near.iter().any(|right| right == code)).expect("one is wrong").to_owned()
    }

    fn totp(&self) -> Totp {
        Builder::new().with_secret(self.secret.clone()).build().expect("a secret of 20 bytes")
    }
}

/// A request that turns on all three factors in this mode, to be sent as it is or changed.
pub fn all_factors(pool: &Pool, mode: &str) -> SetUserPoolMfaConfigRequest {
    let on = mode != "OFF";
    let sender = SmsConfigurationType { external_id: Some("x".to_owned()), ..Default::default() };
    SetUserPoolMfaConfigRequest {
        user_pool_id: Some(pool.id.clone()),
        mfa_configuration: Some(mode.to_owned()),
        sms_mfa_configuration: on.then(|| SmsMfaConfigType {
            sms_authentication_message: Some("SMS code: {####}".to_owned()),
            sms_configuration: Some(sender),
        }),
        software_token_mfa_configuration: on.then_some(SoftwareTokenMfaConfigType { enabled: Some(true) }),
        email_mfa_configuration: on.then(|| EmailMfaConfigType {
            message: Some("<p>{####}</p>".to_owned()),
            subject: Some("Sign in".to_owned()),
        }),
        ..Default::default()
    }
}

/// The same with authenticator apps alone.
pub fn apps_alone(pool: &Pool, mode: &str) -> SetUserPoolMfaConfigRequest {
    SetUserPoolMfaConfigRequest {
        sms_mfa_configuration: None,
        email_mfa_configuration: None,
        ..all_factors(pool, mode)
    }
}

/// The flows by password, of apps and of servers.
pub fn password_flows() -> CreateUserPoolClientRequest {
    let explicit_auth_flows =
        texts(&["ALLOW_USER_PASSWORD_AUTH", "ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]);
    CreateUserPoolClientRequest { explicit_auth_flows, ..password_client() }
}

/// A pool with all three factors in this mode.
pub async fn pool_with_factors(mode: &str) -> Pool {
    let pool = Pool::create_with(email_pool(), password_flows()).await;
    pool.api.call(all_factors(&pool, mode)).await.expect("the factors are on");
    pool
}

/// A person with a phone number of their own, which is not verified.
pub async fn person_with_phone(pool: &Pool, name: &str) -> (Person, String) {
    let phone = unique_phone();
    (pool.person_with(name, &[("phone_number", &phone)]).await, phone)
}

/// The secret of a new authenticator app, by an access token.
pub async fn associate(pool: &Pool, access_token: &str) -> Result<Authenticator, Refusal> {
    let request = AssociateSoftwareTokenRequest { access_token: Some(access_token.to_owned()), session: None };
    let answer = pool.api.call(request).await?;
    assert_eq!(answer.session, None);
    Ok(Authenticator::with(answer.secret_code()))
}

/// A code for the app that was associated last, by an access token.
pub fn verify_request(access_token: &str, code: &str) -> VerifySoftwareTokenRequest {
    VerifySoftwareTokenRequest {
        access_token: Some(access_token.to_owned()),
        user_code: Some(code.to_owned()),
        friendly_device_name: Some("pocket".to_owned()),
        ..Default::default()
    }
}

/// An authenticator app that counts, and is asked for first. The code of the present step is used up by it.
pub async fn set_up_app(pool: &Pool, access_token: &str) -> Authenticator {
    let app = associate(pool, access_token).await.expect("a secret");
    let verified = pool.api.call(verify_request(access_token, &app.code(0))).await.expect("a right code");
    assert_eq!((verified.status(), verified.session.as_deref()), ("SUCCESS", None));
    prefer(pool, access_token, &["SOFTWARE_TOKEN_MFA"], Some("SOFTWARE_TOKEN_MFA")).await.expect("it is on");
    app
}

/// A request that turns on these factors, and no others, and prefers one.
pub fn preference(access_token: &str, on: &[&str], preferred: Option<&str>) -> SetUserMfaPreferenceRequest {
    let enabled = |name: &str| Some(on.contains(&name));
    let first = |name: &str| Some(preferred == Some(name));
    SetUserMfaPreferenceRequest {
        access_token: Some(access_token.to_owned()),
        sms_mfa_settings: Some(SmsMfaSettingsType { enabled: enabled("SMS_MFA"), preferred_mfa: first("SMS_MFA") }),
        software_token_mfa_settings: Some(SoftwareTokenMfaSettingsType {
            enabled: enabled("SOFTWARE_TOKEN_MFA"),
            preferred_mfa: first("SOFTWARE_TOKEN_MFA"),
        }),
        email_mfa_settings: Some(EmailMfaSettingsType {
            enabled: enabled("EMAIL_OTP"),
            preferred_mfa: first("EMAIL_OTP"),
        }),
        web_authn_mfa_settings: None,
    }
}

/// Turns on these factors, and no others, and prefers one.
pub async fn prefer(
    pool: &Pool,
    access_token: &str,
    on: &[&str],
    preferred: Option<&str>,
) -> Result<SetUserMfaPreferenceResponse, Refusal> {
    pool.api.call(preference(access_token, on, preferred)).await
}

/// An answer to a challenge, to be sent as it is or changed.
pub fn answer_request(
    pool: &Pool,
    (challenge, session): (&str, &str),
    values: &[(&str, &str)],
) -> RespondToAuthChallengeRequest {
    RespondToAuthChallengeRequest {
        client_id: Some(pool.client_id.clone()),
        challenge_name: Some(challenge.to_owned()),
        session: Some(session.to_owned()),
        challenge_responses: parameters(values),
        ..Default::default()
    }
}

/// A code as the answer to a challenge of second factors, to be sent as it is or changed.
pub fn code_request(
    pool: &Pool,
    username: &str,
    (challenge, session): (&str, &str),
    code: &str,
) -> RespondToAuthChallengeRequest {
    let parameter = format!("{challenge}_CODE");
    answer_request(pool, (challenge, session), &[("USERNAME", username), (&parameter, code)])
}

/// Answers a challenge by a code, after which nothing more is asked.
pub async fn give_code(
    pool: &Pool,
    username: &str,
    challenge: (&str, &str),
    code: &str,
) -> Result<AuthenticationResultType, Refusal> {
    let answer = pool.api.call(code_request(pool, username, challenge, code)).await?;
    assert_eq!((answer.challenge_name, answer.session), (None, None));
    Ok(answer.authentication_result.expect("tokens"))
}

/// The challenge of this name that answers a right password.
pub async fn asked(pool: &Pool, username: &str, name: &str) -> InitiateAuthResponse {
    let challenge = pool.challenge(username, PASSWORD).await;
    assert_eq!(challenge.challenge_name(), name);
    assert_eq!(challenge.challenge_parameters["USER_ID_FOR_SRP"], username);
    challenge
}
