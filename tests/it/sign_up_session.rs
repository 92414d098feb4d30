//! The session of a sign-up: it signs the user in once a code has confirmed them, and lets them have no password.

use futures::future::join_all;
use serde_json::json;
use sqlx::PgPool;
use userpool::proto::v1::*;

use crate::support::choice::{begin_request, beginning_with, choosing_client};
use crate::support::client::{Refusal, assert_refused};
use crate::support::mfa::{apps_alone, associate};
use crate::support::pool::{
    PASSWORD, Pool, email_pool, other_than, parameters, secret_hash, texts, unique, unique_phone,
};
use crate::support::requests::same_fields;
use crate::support::sessions::expired_sign_up;

const NO_SESSION: (&str, &str) = ("NotAuthorizedException", "Invalid session for the user.");
const USED: (&str, &str) = ("NotAuthorizedException", "Invalid session for the user, session can only be used once.");
const EXPIRED: (&str, &str) = ("NotAuthorizedException", "Invalid session for the user, session is expired.");
const MISMATCH: (&str, &str) = ("CodeMismatchException", "Invalid verification code provided, please try again.");
const NEEDS_PASSWORD: (&str, &str) = ("InvalidParameterException", "Missing required parameter Password");
const CONFIRMED: (&str, &str) = ("NotAuthorizedException", "User cannot be confirmed. Current status is CONFIRMED");

async fn choosing_pool(existence: &str) -> Pool {
    Pool::create_with(email_pool(), choosing_client(existence)).await
}

/// A pool whose users can sign in by a code.
async fn pool_with_codes(factor: &str) -> Pool {
    Pool::create_with(beginning_with(&["PASSWORD", factor]), choosing_client("ENABLED")).await
}

/// Someone who has signed up and is not confirmed yet.
struct Newcomer {
    name: String,
    sub: String,
    /// The code that was sent to them.
    code: String,
    /// The session of the sign-up.
    session: String,
}

async fn newcomer(pool: &Pool, name: &str) -> Newcomer {
    let name = unique(name);
    let email = format!("{name}@example.com");
    let answer = pool.sign_up(&name, &[("email", &email)]).await.unwrap();
    let session = answer.session.clone().expect("the client allows USER_AUTH");
    Newcomer { sub: answer.user_sub().to_owned(), code: pool.api.code_for(&email).await, session, name }
}

/// A confirmation with the session of the sign-up, to be sent as it is or changed.
fn confirmation(pool: &Pool, newcomer: &Newcomer) -> ConfirmSignUpRequest {
    let session = Some(newcomer.session.clone());
    ConfirmSignUpRequest { session, ..pool.confirm_request(&newcomer.name, &newcomer.code) }
}

/// Confirms, and returns the session that signs in.
async fn confirmed(pool: &Pool, newcomer: &Newcomer) -> String {
    pool.api.call(confirmation(pool, newcomer)).await.unwrap().session.expect("a session")
}

/// A sign-in by the session of the confirmation, to be sent as it is or changed.
fn sign_in_request(pool: &Pool, name: &str, session: &str) -> InitiateAuthRequest {
    InitiateAuthRequest { session: Some(session.to_owned()), ..begin_request(pool, name, &[]) }
}

async fn sign_in(pool: &Pool, name: &str, session: &str) -> Result<InitiateAuthResponse, Refusal> {
    pool.api.call(sign_in_request(pool, name, session)).await
}

fn by_server(pool: &Pool, request: &InitiateAuthRequest) -> AdminInitiateAuthRequest {
    AdminInitiateAuthRequest { user_pool_id: Some(pool.id.clone()), ..same_fields(request) }
}

/// The facts of a kind about a user, by one member of each.
async fn facts(pool: &Pool, sub: &str, kind: &str, member: &str) -> Vec<Option<String>> {
    let database = PgPool::connect(&pool.api.environment().database_url()).await.unwrap();
    let found = sqlx::query_scalar(
        "select payload->>$4 from activity where user_pool_id = $1 and owner = $2 and type = $3 order by at",
    );
    found.bind(&pool.id).bind(sub).bind(kind).bind(member).fetch_all(&database).await.unwrap()
}

#[tokio::test]
async fn who_confirms_with_the_session_of_the_sign_up_is_signed_in_at_once() {
    for existence in ["ENABLED", "LEGACY"] {
        let pool = choosing_pool(existence).await;
        let newcomer = newcomer(&pool, "jane").await;
        // A wrong code leaves the session usable.
        let wrong = ConfirmSignUpRequest {
            confirmation_code: Some(other_than(&newcomer.code)),
            ..confirmation(&pool, &newcomer)
        };
        assert_refused(pool.api.call(wrong).await, MISMATCH.0, MISMATCH.1);
        let session = confirmed(&pool, &newcomer).await;
        // Libraries name the factor that they would begin with; the code has done that already.
        let mut request = sign_in_request(&pool, &newcomer.name, &session);
        request.auth_parameters.insert("PREFERRED_CHALLENGE".to_owned(), "PASSWORD".to_owned());
        let answer = pool.api.call(request).await.unwrap();
        assert_eq!((answer.challenge_name, answer.session), (None, None));
        let tokens = answer.authentication_result.expect("tokens");
        assert_eq!(pool.get_user(tokens.access_token()).await.unwrap().username(), newcomer.name);
        pool.refresh(tokens.refresh_token()).await.unwrap();
        assert_eq!(facts(&pool, &newcomer.sub, "user.signed_in", "auth_flow").await, [Some("USER_AUTH".to_owned())]);
        assert_refused(sign_in(&pool, &newcomer.name, &session).await, USED.0, USED.1);
        let again = by_server(&pool, &sign_in_request(&pool, &newcomer.name, &session));
        assert_refused(pool.api.call(again).await, USED.0, USED.1);
        // The session of the sign-up confirms nobody again, and the password signs in from now on.
        assert_refused(pool.api.call(confirmation(&pool, &newcomer)).await, CONFIRMED.0, CONFIRMED.1);
        pool.sign_in(&newcomer.name, PASSWORD).await.unwrap();
        pool.verify().await;
    }
}

#[tokio::test]
async fn the_same_through_the_aws_sdk_with_a_secret_and_by_a_server() {
    let mut pool = choosing_pool("ENABLED").await;
    let client = CreateUserPoolClientRequest { generate_secret: Some(true), ..choosing_client("ENABLED") };
    let client = pool.add_client(client).await;
    let (client_id, secret) = (client.client_id.unwrap(), client.client_secret.unwrap());
    pool.client_id = client_id.clone();
    let flow = aws_sdk_cognitoidentityprovider::types::AuthFlowType::UserAuth;
    for is_by_server in [false, true] {
        let name = unique("sdk");
        let (email, hash) = (format!("{name}@example.com"), secret_hash(&secret, &name, &client_id));
        let attribute = aws_sdk_cognitoidentityprovider::types::AttributeType::builder().name("email").value(&email);
        let sdk = pool.api.aws();
        let signed_up = sdk.sign_up().client_id(&client_id).username(&name).password(PASSWORD).secret_hash(&hash);
        let signed_up = signed_up.user_attributes(attribute.build().unwrap()).send().await.unwrap();
        let confirm = sdk.confirm_sign_up().client_id(&client_id).username(&name).secret_hash(&hash);
        let confirm = confirm.confirmation_code(pool.api.code_for(&email).await);
        let confirmed = confirm.session(signed_up.session().unwrap()).send().await.unwrap();
        let session = confirmed.session().unwrap();
        let result = match is_by_server {
            false => {
                let request = sdk.initiate_auth().client_id(&client_id).auth_flow(flow.clone()).session(session);
                let request = request.auth_parameters("USERNAME", &name).auth_parameters("SECRET_HASH", &hash);
                request.send().await.unwrap().authentication_result
            }
            true => {
                let request = sdk.admin_initiate_auth().user_pool_id(&pool.id).client_id(&client_id);
                let request = request.auth_flow(flow.clone()).session(session);
                let request = request.auth_parameters("USERNAME", &name).auth_parameters("SECRET_HASH", &hash);
                request.send().await.unwrap().authentication_result
            }
        };
        let tokens = result.expect("tokens");
        assert_eq!(pool.get_user(tokens.access_token().unwrap()).await.unwrap().username(), name);
    }
    pool.verify().await;
}

#[tokio::test]
async fn a_confirmation_signs_in_once_whoever_is_first() {
    let pool = choosing_pool("ENABLED").await;
    for _ in 0..3 {
        let newcomer = newcomer(&pool, "burst").await;
        let confirmations = join_all((0..6).map(|_| pool.api.call(confirmation(&pool, &newcomer)))).await;
        let sessions: Vec<_> = confirmations.iter().flatten().filter_map(|answer| answer.session.clone()).collect();
        assert_eq!(sessions.len(), 1, "{confirmations:?}");
        let answers = join_all((0..6).map(|_| sign_in(&pool, &newcomer.name, &sessions[0]))).await;
        let signed_in = answers.iter().flatten().filter(|answer| answer.authentication_result.is_some());
        assert_eq!(signed_in.count(), 1, "{answers:?}");
        for refused in answers.into_iter().filter(Result::is_err) {
            assert_refused(refused, USED.0, USED.1);
        }
        assert_eq!(facts(&pool, &newcomer.sub, "user.signed_in", "client_id").await.len(), 1);
    }
    pool.verify().await;
}

#[tokio::test]
async fn a_session_is_good_for_its_user_its_client_and_its_step() {
    let pool = choosing_pool("ENABLED").await;
    let (one, two) = (newcomer(&pool, "one").await, newcomer(&pool, "two").await);
    let elsewhere = pool.add_client(choosing_client("ENABLED")).await.client_id;
    let of_another = ConfirmSignUpRequest { session: Some(two.session.clone()), ..confirmation(&pool, &one) };
    let through_another = ConfirmSignUpRequest { client_id: elsewhere.clone(), ..confirmation(&pool, &one) };
    let no_token = Some("no token, but long enough".to_owned());
    let none = ConfirmSignUpRequest { session: no_token, ..confirmation(&pool, &one) };
    let nobody = ConfirmSignUpRequest { username: Some(unique("nobody")), ..confirmation(&pool, &one) };
    for refused in [of_another, through_another, none, nobody] {
        assert_refused(pool.api.call(refused).await, NO_SESSION.0, NO_SESSION.1);
    }
    // A session that has proved nothing signs nobody in, before the confirmation or after it.
    let unproved = sign_in_request(&pool, &one.name, &one.session);
    assert_refused(pool.api.call(unproved.clone()).await, NO_SESSION.0, NO_SESSION.1);
    // None of these was a guess at the code.
    let session = confirmed(&pool, &one).await;
    assert_refused(pool.api.call(unproved).await, NO_SESSION.0, NO_SESSION.1);
    let again = ConfirmSignUpRequest { session: Some(session.clone()), ..confirmation(&pool, &two) };
    assert_refused(pool.api.call(again).await, NO_SESSION.0, NO_SESSION.1);
    let right = sign_in_request(&pool, &one.name, &session);
    let through_another = InitiateAuthRequest { client_id: elsewhere, ..right.clone() };
    let of_another = sign_in_request(&pool, &two.name, &session);
    let of_nobody = sign_in_request(&pool, &unique("nobody"), &session);
    let challenge = InitiateAuthRequest { session: None, ..right.clone() };
    let challenge = pool.api.call(challenge).await.unwrap().session.expect("SELECT_CHALLENGE");
    let of_a_challenge = sign_in_request(&pool, &one.name, &challenge);
    for refused in [through_another, of_another, of_nobody, of_a_challenge] {
        let by_server = by_server(&pool, &refused);
        assert_refused(pool.api.call(by_server).await, NO_SESSION.0, NO_SESSION.1);
        assert_refused(pool.api.call(refused).await, NO_SESSION.0, NO_SESSION.1);
    }
    // Nor is it an answer to a challenge.
    let answer = RespondToAuthChallengeRequest {
        client_id: Some(pool.client_id.clone()),
        challenge_name: Some("SELECT_CHALLENGE".to_owned()),
        session: Some(session.clone()),
        challenge_responses: parameters(&[("USERNAME", &one.name), ("ANSWER", "PASSWORD"), ("PASSWORD", PASSWORD)]),
        ..Default::default()
    };
    assert_refused(pool.api.call(answer).await, NO_SESSION.0, NO_SESSION.1);
    pool.api.call(right).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn the_code_alone_gives_a_session_and_a_client_without_the_flow_gives_none() {
    let mut pool = choosing_pool("ENABLED").await;
    // As Amplify does: the session of the sign-up is not sent.
    let asking = newcomer(&pool, "asking").await;
    let session = pool.confirm(&asking.name, &asking.code).await.unwrap().session.expect("a session");
    assert!(sign_in(&pool, &asking.name, &session).await.unwrap().authentication_result.is_some());
    // An administrator proves nothing, so neither does the session.
    let waiting = newcomer(&pool, "waiting").await;
    let (user_pool_id, username) = (Some(pool.id.clone()), Some(waiting.name.clone()));
    pool.api.call(AdminConfirmSignUpRequest { user_pool_id, username, ..Default::default() }).await.unwrap();
    assert_refused(sign_in(&pool, &waiting.name, &waiting.session).await, NO_SESSION.0, NO_SESSION.1);
    assert_refused(pool.api.call(confirmation(&pool, &waiting)).await, MISMATCH.0, MISMATCH.1);
    // A client that stops allowing the flow answers none any more.
    let late = newcomer(&pool, "late").await;
    let update = UpdateUserPoolClientRequest {
        user_pool_id: Some(pool.id.clone()),
        client_id: Some(pool.client_id.clone()),
        explicit_auth_flows: texts(&["ALLOW_USER_PASSWORD_AUTH"]),
        ..Default::default()
    };
    pool.api.call(update).await.unwrap();
    assert_eq!(pool.api.call(confirmation(&pool, &late)).await.unwrap().session, None);
    pool.client_id = pool.add_client(crate::support::pool::password_client()).await.client_id.unwrap();
    let name = unique("plain");
    assert_eq!(pool.sign_up(&name, &[("email", &format!("{name}@example.com"))]).await.unwrap().session, None);
    pool.verify().await;
}

#[tokio::test]
async fn what_happens_to_the_user_after_the_confirmation_counts() {
    let pool = choosing_pool("LEGACY").await;
    let named = |newcomer: &Newcomer| (Some(pool.id.clone()), Some(newcomer.name.clone()));

    let disabled = newcomer(&pool, "disabled").await;
    let session = confirmed(&pool, &disabled).await;
    let (user_pool_id, username) = named(&disabled);
    pool.api.call(AdminDisableUserRequest { user_pool_id, username }).await.unwrap();
    let refused = sign_in(&pool, &disabled.name, &session).await;
    assert_refused(refused, "NotAuthorizedException", "User is disabled.");
    assert_eq!(
        facts(&pool, &disabled.sub, "user.sign_in_refused", "reason").await,
        [Some("SIGN_IN_REFUSAL_DISABLED".to_owned())]
    );
    let (user_pool_id, username) = named(&disabled);
    pool.api.call(AdminEnableUserRequest { user_pool_id, username }).await.unwrap();
    assert_refused(sign_in(&pool, &disabled.name, &session).await, NO_SESSION.0, NO_SESSION.1);
    assert_eq!(
        facts(&pool, &disabled.sub, "user.sign_in_refused", "reason").await[1..],
        [Some("SIGN_IN_REFUSAL_EXPIRED_CODE".to_owned())]
    );

    let reset = newcomer(&pool, "reset").await;
    let session = confirmed(&pool, &reset).await;
    let (user_pool_id, username) = named(&reset);
    let request = AdminResetUserPasswordRequest { user_pool_id, username, ..Default::default() };
    pool.api.call(request).await.unwrap();
    let refused = sign_in(&pool, &reset.name, &session).await;
    assert_refused(refused, "PasswordResetRequiredException", "Password reset required for the user");

    let signed_out = newcomer(&pool, "signed-out").await;
    let session = confirmed(&pool, &signed_out).await;
    let (user_pool_id, username) = named(&signed_out);
    pool.api.call(AdminUserGlobalSignOutRequest { user_pool_id, username }).await.unwrap();
    assert_refused(sign_in(&pool, &signed_out.name, &session).await, NO_SESSION.0, NO_SESSION.1);

    // The address that the code has proved is not the user's any more.
    let moved = newcomer(&pool, "moved").await;
    let session = confirmed(&pool, &moved).await;
    let (user_pool_id, username) = named(&moved);
    let email = format!("{}@example.org", moved.name);
    let user_attributes = crate::support::pool::attributes(&[("email", &email)]);
    let request = AdminUpdateUserAttributesRequest { user_pool_id, username, user_attributes, ..Default::default() };
    pool.api.call(request).await.unwrap();
    assert_refused(sign_in(&pool, &moved.name, &session).await, NO_SESSION.0, NO_SESSION.1);

    // The name is of somebody else by now.
    let deleted = newcomer(&pool, "deleted").await;
    let session = confirmed(&pool, &deleted).await;
    let (user_pool_id, username) = named(&deleted);
    pool.api.call(AdminDeleteUserRequest { user_pool_id, username }).await.unwrap();
    assert_refused(sign_in(&pool, &deleted.name, &session).await, NO_SESSION.0, NO_SESSION.1);
    pool.sign_up(&deleted.name, &[("email", &format!("{}@example.net", deleted.name))]).await.unwrap();
    assert_refused(sign_in(&pool, &deleted.name, &session).await, NO_SESSION.0, NO_SESSION.1);
    pool.verify().await;
}

#[tokio::test]
async fn second_factors_are_asked_for_all_the_same() {
    let pool = choosing_pool("ENABLED").await;
    pool.api.call(apps_alone(&pool, "ON")).await.unwrap();
    let newcomer = newcomer(&pool, "factor").await;
    let session = confirmed(&pool, &newcomer).await;
    let challenge = sign_in(&pool, &newcomer.name, &session).await.unwrap();
    assert_eq!((challenge.challenge_name(), &challenge.authentication_result), ("MFA_SETUP", &None));
    assert_refused(sign_in(&pool, &newcomer.name, &session).await, USED.0, USED.1);
    let secret = AssociateSoftwareTokenRequest { session: challenge.session, access_token: None };
    let secret = pool.api.call(secret).await.unwrap();
    let app = crate::support::mfa::Authenticator::with(secret.secret_code());
    let verify =
        VerifySoftwareTokenRequest { session: secret.session, user_code: Some(app.code(0)), ..Default::default() };
    let session = pool.api.call(verify).await.unwrap().session.unwrap();
    let finish = crate::support::mfa::answer_request(&pool, ("MFA_SETUP", &session), &[("USERNAME", &newcomer.name)]);
    let tokens = pool.api.call(finish).await.unwrap().authentication_result.expect("tokens");
    associate(&pool, tokens.access_token()).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn a_user_signs_up_without_a_password_and_signs_in_by_codes() {
    let pool = pool_with_codes("EMAIL_OTP").await;
    let name = unique("free");
    let email = format!("{name}@example.com");
    let without =
        |attributes: &[(&str, &str)]| SignUpRequest { password: None, ..pool.sign_up_request(&name, attributes) };
    assert_refused(pool.api.call(without(&[])).await, NEEDS_PASSWORD.0, NEEDS_PASSWORD.1);
    let signed_up = pool.api.call(without(&[("email", &email)])).await.unwrap();
    let confirm = ConfirmSignUpRequest {
        session: signed_up.session,
        ..pool.confirm_request(&name, &pool.api.code_for(&email).await)
    };
    let session = pool.api.call(confirm).await.unwrap().session.unwrap();
    let tokens = sign_in(&pool, &name, &session).await.unwrap().authentication_result.expect("tokens");
    // No password is right, and none is told from a wrong one.
    let wrong = ("NotAuthorizedException", "Incorrect username or password.");
    assert_refused(pool.sign_in(&name, PASSWORD).await, wrong.0, wrong.1);
    // A code signs in.
    let mut by_code = sign_in_request(&pool, &name, "");
    by_code.session = None;
    by_code.auth_parameters.insert("PREFERRED_CHALLENGE".to_owned(), "EMAIL_OTP".to_owned());
    let challenge = pool.api.call(by_code).await.unwrap();
    let code = pool.api.messages_for(&email, 2).await[0]["code"].as_str().unwrap().to_owned();
    let answer = RespondToAuthChallengeRequest {
        client_id: Some(pool.client_id.clone()),
        challenge_name: Some("EMAIL_OTP".to_owned()),
        session: challenge.session,
        challenge_responses: parameters(&[("USERNAME", &name), ("EMAIL_OTP_CODE", &code)]),
        ..Default::default()
    };
    assert!(pool.api.call(answer).await.unwrap().authentication_result.is_some());
    // The first password needs no previous one; from then on it is as any other.
    let first = ChangePasswordRequest {
        access_token: tokens.access_token.clone(),
        previous_password: None,
        proposed_password: Some(PASSWORD.to_owned()),
    };
    pool.api.call(first.clone()).await.unwrap();
    pool.sign_in(&name, PASSWORD).await.unwrap();
    let next = ChangePasswordRequest { proposed_password: Some("Better-horse-2".to_owned()), ..first };
    let missing = "Missing required parameter PreviousPassword";
    assert_refused(pool.api.call(next).await, "InvalidParameterException", missing);
    pool.verify().await;
}

#[tokio::test]
async fn a_forgotten_password_can_be_the_first_one() {
    let pool = pool_with_codes("EMAIL_OTP").await;
    let name = unique("never-had-one");
    let email = format!("{name}@example.com");
    let request = json!({
        "ClientId": pool.client_id, "Username": name, "UserAttributes": [{ "Name": "email", "Value": email }],
    });
    let signed_up = pool.api.aws_json("SignUp", &request).await.json();
    assert!(signed_up["Session"].is_string(), "{signed_up}");
    pool.confirm(&name, &pool.api.code_for(&email).await).await.unwrap();
    let (client_id, username) = (Some(pool.client_id.clone()), Some(name.clone()));
    let forgot = ForgotPasswordRequest { client_id, username, ..Default::default() };
    pool.api.call(forgot.clone()).await.unwrap();
    let code = pool.api.messages_for(&email, 2).await[0]["code"].as_str().unwrap().to_owned();
    let choose = ConfirmForgotPasswordRequest {
        confirmation_code: Some(code),
        password: Some(PASSWORD.to_owned()),
        ..same_fields(&forgot)
    };
    pool.api.call(choose).await.unwrap();
    pool.sign_in(&name, PASSWORD).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn a_password_is_needed_where_no_code_could_sign_the_user_in() {
    let refused = async |pool: &Pool, attributes: &[(&str, &str)]| {
        let request = SignUpRequest { password: None, ..pool.sign_up_request(&unique("needs"), attributes) };
        assert_refused(pool.api.call(request).await, NEEDS_PASSWORD.0, NEEDS_PASSWORD.1);
    };
    let email = format!("{}@example.com", unique("needs"));
    let choosing = choosing_pool("ENABLED").await;
    refused(&choosing, &[("email", &email)]).await;
    choosing.verify().await;
    // The sign-up proves the e-mail address, and the codes would go to the phone.
    let by_sms = pool_with_codes("SMS_OTP").await;
    refused(&by_sms, &[("email", &email), ("phone_number", &unique_phone())]).await;
    by_sms.verify().await;
    let mut by_email = pool_with_codes("EMAIL_OTP").await;
    by_email.client_id = by_email.add_client(crate::support::pool::password_client()).await.client_id.unwrap();
    refused(&by_email, &[("email", &email)]).await;
    by_email.client_id = by_email.add_client(choosing_client("ENABLED")).await.client_id.unwrap();
    by_email.api.call(apps_alone(&by_email, "ON")).await.unwrap();
    refused(&by_email, &[("email", &email)]).await;
    by_email.verify().await;
}

#[tokio::test]
async fn who_is_slow_is_confirmed_but_signs_in_by_the_session_in_time() {
    let pool = choosing_pool("ENABLED").await;
    let slow = newcomer(&pool, "slow").await;
    let late = Newcomer { session: expired_sign_up(&pool, &slow.session).await, ..slow };
    let session = confirmed(&pool, &late).await;
    assert!(sign_in(&pool, &late.name, &session).await.unwrap().authentication_result.is_some());

    let paused = newcomer(&pool, "paused").await;
    let session = confirmed(&pool, &paused).await;
    let late = sign_in_request(&pool, &paused.name, &expired_sign_up(&pool, &session).await);
    assert_refused(pool.api.call(by_server(&pool, &late)).await, EXPIRED.0, EXPIRED.1);
    assert_refused(pool.api.call(late).await, EXPIRED.0, EXPIRED.1);
    sign_in(&pool, &paused.name, &session).await.unwrap();
    pool.verify().await;
}
