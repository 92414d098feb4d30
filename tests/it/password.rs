//! Passwords: forgotten, changed, set and taken back.

use std::collections::BTreeMap;

use futures::future::join_all;
use userpool::proto::v1::*;

use crate::support::client::{Refusal, assert_refused};
use crate::support::pool::{
    PASSWORD, Pool, attributes, email_pool, other_than, password_client, secret_hash, texts, unique, unique_phone,
};

const BETTER: &str = "Better-horse-2";
const WRONG: (&str, &str) = ("NotAuthorizedException", "Incorrect username or password.");
const WRONG_CODE: (&str, &str) = ("CodeMismatchException", "Invalid verification code provided, please try again.");
const OLD_CODE: (&str, &str) = ("ExpiredCodeException", "Invalid code provided, please request a code again.");
const REVOKED: (&str, &str) = ("NotAuthorizedException", "Access Token has been revoked");
const LIMIT: (&str, &str) = ("LimitExceededException", "Attempt limit exceeded, please try after some time.");
const STATE: (&str, &str) = ("NotAuthorizedException", "User password cannot be reset in the current state.");
const RESET: (&str, &str) = ("PasswordResetRequiredException", "Password reset required for the user");
const UNKNOWN: (&str, &str) = ("UserNotFoundException", "User does not exist.");
const NO_CONTACT: (&str, &str) = (
    "InvalidParameterException",
    "Cannot reset password for the user as there is no registered/verified email or phone_number",
);

fn forgot_request(pool: &Pool, username: &str) -> ForgotPasswordRequest {
    ForgotPasswordRequest {
        client_id: Some(pool.client_id.clone()),
        username: Some(username.to_owned()),
        ..Default::default()
    }
}

async fn forgot(pool: &Pool, username: &str) -> Result<CodeDeliveryDetailsType, Refusal> {
    let answer = pool.api.call(forgot_request(pool, username)).await?;
    Ok(answer.code_delivery_details.expect("where the code went"))
}

fn recover_request(pool: &Pool, username: &str, code: &str, password: &str) -> ConfirmForgotPasswordRequest {
    ConfirmForgotPasswordRequest {
        client_id: Some(pool.client_id.clone()),
        username: Some(username.to_owned()),
        confirmation_code: Some(code.to_owned()),
        password: Some(password.to_owned()),
        ..Default::default()
    }
}

async fn recover(pool: &Pool, username: &str, code: &str) -> Result<ConfirmForgotPasswordResponse, Refusal> {
    pool.api.call(recover_request(pool, username, code, BETTER)).await
}

async fn change(
    pool: &Pool,
    token: &str,
    previous: Option<&str>,
    proposed: &str,
) -> Result<ChangePasswordResponse, Refusal> {
    let request = ChangePasswordRequest {
        access_token: Some(token.to_owned()),
        previous_password: previous.map(str::to_owned),
        proposed_password: Some(proposed.to_owned()),
    };
    pool.api.call(request).await
}

async fn set(
    pool: &Pool,
    username: &str,
    password: &str,
    permanent: Option<bool>,
) -> Result<AdminSetUserPasswordResponse, Refusal> {
    let request = AdminSetUserPasswordRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(username.to_owned()),
        password: Some(password.to_owned()),
        permanent,
    };
    pool.api.call(request).await
}

async fn reset(pool: &Pool, username: &str) -> Result<AdminResetUserPasswordResponse, Refusal> {
    let request = AdminResetUserPasswordRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(username.to_owned()),
        ..Default::default()
    };
    pool.api.call(request).await
}

async fn status(pool: &Pool, username: &str) -> String {
    pool.admin_get_user(username).await.unwrap().user_status.unwrap()
}

/// The code of the newest message at an address, once it has this many messages.
async fn newest_code(pool: &Pool, address: &str, count: usize) -> String {
    pool.api.messages_for(address, count).await[0]["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_by_a_code() {
    let pool = Pool::create().await;
    let person = pool.person("forgetful").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let delivery = forgot(&pool, &person.username).await.unwrap();
    assert_eq!(delivery.destination.as_deref(), Some("f***@e***"));
    assert_eq!((delivery.delivery_medium(), delivery.attribute_name()), ("EMAIL", "email"));
    pool.sign_in(&person.username, PASSWORD).await.expect("the password is good until another is chosen");

    let code = newest_code(&pool, &person.email, 2).await;
    let weak = pool.api.call(recover_request(&pool, &person.username, &code, "weak")).await;
    let weak = weak.unwrap_err();
    assert_eq!(weak.exception, "InvalidPasswordException");
    assert_refused(recover(&pool, &person.username, &other_than(&code)).await, WRONG_CODE.0, WRONG_CODE.1);
    recover(&pool, &person.username, &code).await.unwrap();
    assert_refused(recover(&pool, &person.username, &code).await, OLD_CODE.0, OLD_CODE.1);
    assert_refused(pool.sign_in(&person.username, PASSWORD).await, WRONG.0, WRONG.1);
    pool.sign_in(&person.username, BETTER).await.unwrap();
    assert_eq!(status(&pool, &person.username).await, "CONFIRMED");
    assert_refused(pool.get_user(tokens.access_token()).await, REVOKED.0, REVOKED.1);
    pool.verify().await;
}

#[tokio::test]
async fn the_same_through_the_aws_sdk() {
    let pool = Pool::create().await;
    let person = pool.person("sdk").await;
    let aws = pool.api.aws();
    let forgotten = aws.forgot_password().client_id(&pool.client_id).username(&person.username).send().await.unwrap();
    assert_eq!(forgotten.code_delivery_details().unwrap().destination(), Some("s***@e***"));
    let code = newest_code(&pool, &person.email, 2).await;
    let confirm = |code: &str| {
        let confirm = aws.confirm_forgot_password().client_id(&pool.client_id).username(&person.username);
        confirm.confirmation_code(code).password(BETTER).send()
    };
    let refused = confirm(&other_than(&code)).await.unwrap_err().into_service_error();
    assert!(refused.is_code_mismatch_exception(), "{refused:?}");
    confirm(&code).await.unwrap();
    pool.sign_in(&person.username, BETTER).await.unwrap();
    let reset = aws.admin_reset_user_password().user_pool_id(&pool.id).username(&person.username).send();
    reset.await.unwrap();
    let set = aws.admin_set_user_password().user_pool_id(&pool.id).username(&person.username);
    set.password(PASSWORD).permanent(true).send().await.unwrap();
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let change = aws.change_password().access_token(tokens.access_token()).previous_password(BETTER);
    let refused = change.proposed_password(BETTER).send().await.unwrap_err().into_service_error();
    assert!(refused.is_not_authorized_exception(), "{refused:?}");
    pool.verify().await;
}

#[tokio::test]
async fn five_wrong_guesses_spend_the_code_and_five_codes_the_hour() {
    let pool = Pool::create().await;
    let person = pool.person("guessed").await;
    assert_refused(recover(&pool, &person.username, "123456").await, OLD_CODE.0, OLD_CODE.1);
    forgot(&pool, &person.username).await.unwrap();
    let code = newest_code(&pool, &person.email, 2).await;
    for _ in 0..5 {
        assert_refused(recover(&pool, &person.username, &other_than(&code)).await, WRONG_CODE.0, WRONG_CODE.1);
    }
    assert_refused(recover(&pool, &person.username, &code).await, LIMIT.0, LIMIT.1);
    for _ in 0..4 {
        forgot(&pool, &person.username).await.unwrap();
    }
    assert_refused(forgot(&pool, &person.username).await, LIMIT.0, LIMIT.1);
    // The newest code is valid, and the earlier ones are not.
    let newest = newest_code(&pool, &person.email, 6).await;
    if newest != code {
        assert_refused(recover(&pool, &person.username, &code).await, WRONG_CODE.0, WRONG_CODE.1);
    }
    recover(&pool, &person.username, &newest).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn the_pool_says_how_a_password_is_recovered() {
    let recovering = |ways: &[&str]| {
        let option = |(name, priority): (&&str, i32)| RecoveryOptionType {
            priority: Some(priority),
            name: Some((*name).to_owned()),
        };
        let recovery_mechanisms = ways.iter().zip(1..).map(option).collect();
        CreateUserPoolRequest {
            auto_verified_attributes: texts(&["email", "phone_number"]),
            account_recovery_setting: Some(AccountRecoverySettingType { recovery_mechanisms }),
            ..Default::default()
        }
    };
    let phone_first = Pool::create_with(recovering(&["verified_phone_number", "verified_email"]), password_client());
    let pool = phone_first.await;
    let (name, phone) = (unique("ways"), unique_phone());
    let email = format!("{name}@example.com");
    pool.sign_up(&name, &[("email", &email), ("phone_number", &phone)]).await.unwrap();
    pool.confirm(&name, &pool.api.code_for(&phone).await).await.unwrap();
    let delivery = forgot(&pool, &name).await.unwrap();
    assert_eq!((delivery.delivery_medium(), delivery.attribute_name()), ("SMS", "phone_number"));
    recover(&pool, &name, &newest_code(&pool, &phone, 2).await).await.unwrap();
    pool.verify().await;

    // Only a verified address counts.
    let pool = Pool::create_with(recovering(&["verified_email"]), password_client()).await;
    let phone = unique_phone();
    pool.sign_up(&name, &[("email", &email), ("phone_number", &phone)]).await.unwrap();
    assert_refused(forgot(&pool, &name).await, NO_CONTACT.0, NO_CONTACT.1);
    pool.confirm(&name, &pool.api.code_for(&phone).await).await.unwrap();
    assert_refused(forgot(&pool, &name).await, NO_CONTACT.0, NO_CONTACT.1);
    reset(&pool, &name).await.expect("the administrator need not reach the user");
    assert_refused(pool.sign_in(&name, PASSWORD).await, RESET.0, RESET.1);
    assert_refused(reset(&pool, &name).await, NO_CONTACT.0, NO_CONTACT.1);
    set(&pool, &name, PASSWORD, Some(true)).await.unwrap();
    pool.sign_in(&name, PASSWORD).await.unwrap();
    pool.verify().await;

    let pool = Pool::create_with(recovering(&["admin_only"]), password_client()).await;
    for name in [&name, &unique("nobody")] {
        let refused = forgot(&pool, name).await;
        assert_refused(refused, "NotAuthorizedException", "Contact administrator to reset password.");
    }
    let mut contradiction = recovering(&["admin_only", "verified_email"]);
    contradiction.pool_name = Some("contradiction".to_owned());
    assert_eq!(pool.api.call(contradiction).await.unwrap_err().exception, "InvalidParameterException");
    pool.verify().await;
}

#[tokio::test]
async fn where_the_pool_says_nothing_a_proved_phone_number_comes_before_a_proved_address() {
    let verifying =
        CreateUserPoolRequest { auto_verified_attributes: texts(&["email", "phone_number"]), ..Default::default() };
    let pool = Pool::create_with(verifying.clone(), password_client()).await;
    let updated = UpdateUserPoolRequest {
        user_pool_id: Some(pool.id.clone()),
        auto_verified_attributes: verifying.auto_verified_attributes,
        ..Default::default()
    };
    let (name, phone) = (unique("both"), unique_phone());
    let email = format!("{name}@example.com");
    let proved = [("email_verified", "true"), ("phone_number_verified", "true")];
    let addresses = [("email", email.as_str()), ("phone_number", phone.as_str())];
    pool.create_user(&name, &[&addresses[..], &proved].concat(), PASSWORD).await;
    set(&pool, &name, PASSWORD, Some(true)).await.unwrap();
    let went = async || forgot(&pool, &name).await.unwrap().attribute_name().to_owned();
    assert_eq!(went().await, "phone_number");
    pool.api.call(updated).await.unwrap();
    assert_eq!(went().await, "phone_number", "an update that says nothing leaves it so");
    let unproved = AdminUpdateUserAttributesRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(name.clone()),
        user_attributes: attributes(&[("phone_number_verified", "false")]),
        ..Default::default()
    };
    pool.api.call(unproved).await.unwrap();
    assert_eq!(went().await, "email");
    recover(&pool, &name, &newest_code(&pool, &email, 1).await).await.unwrap();
    pool.verify().await;
}

/// The answers to a caller who asks for codes, guesses, and asks again at a name.
async fn answers(pool: &Pool, name: &str) -> Vec<String> {
    let mut answers = Vec::new();
    let told = |answer: Result<(), Refusal>| answer.err().map_or("OK".to_owned(), |refusal| refusal.exception);
    answers.push(told(recover(pool, name, "no-code").await.map(drop)));
    for _ in 0..6 {
        answers.push(told(forgot(pool, name).await.map(drop)));
    }
    for _ in 0..6 {
        answers.push(told(recover(pool, name, "no-code").await.map(drop)));
    }
    answers
}

#[tokio::test]
async fn answers_are_the_same_for_every_name_where_users_are_hidden() {
    let hiding =
        CreateUserPoolClientRequest { prevent_user_existence_errors: Some("ENABLED".into()), ..password_client() };
    let pool = Pool::create_with(email_pool(), hiding).await;
    let known = pool.person("known").await;
    let temporary = pool.person("temporary").await;
    set(&pool, &temporary.username, BETTER, Some(false)).await.unwrap();
    let unconfirmed = unique("unconfirmed");
    let address = format!("{unconfirmed}@example.com");
    pool.sign_up(&unconfirmed, &[("email", &address)]).await.unwrap();
    let nobody = unique("nobody");

    let delivery = forgot(&pool, &nobody).await.unwrap();
    assert_eq!((delivery.delivery_medium(), delivery.attribute_name()), ("EMAIL", "email"));
    let expected: Vec<_> = [
        vec!["CodeMismatchException"],
        vec!["OK"; 5],
        vec!["LimitExceededException"],
        vec!["CodeMismatchException"; 5],
        vec!["LimitExceededException"],
    ]
    .concat();
    for name in [&known.username, &temporary.username, &unconfirmed, &unique("nobody")] {
        assert_eq!(answers(&pool, name).await, expected, "{name}");
    }
    // Codes go only to users who can choose another password. Of those, a code that a later one replaced before it left
    // is not sent.
    pool.api.messages_for(&known.email, 2).await;
    assert_eq!(pool.api.mailbox(&temporary.email).await.len(), 1);
    assert_eq!(pool.api.messages_for(&address, 1).await.len(), 1);

    // A name that is taken later starts with fresh counts.
    let email = format!("{nobody}@example.com");
    pool.sign_up(&nobody, &[("email", &email)]).await.unwrap();
    pool.confirm(&nobody, &pool.api.code_for(&email).await).await.unwrap();
    forgot(&pool, &nobody).await.unwrap();
    recover(&pool, &nobody, &newest_code(&pool, &email, 2).await).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn a_simulated_delivery_uses_a_medium_by_which_the_pool_recovers() {
    let hiding =
        CreateUserPoolClientRequest { prevent_user_existence_errors: Some("ENABLED".into()), ..password_client() };
    for (mechanism, medium, attribute) in
        [("verified_phone_number", "SMS", "phone_number"), ("verified_email", "EMAIL", "email")]
    {
        let option = RecoveryOptionType { priority: Some(1), name: Some(mechanism.into()) };
        let request = CreateUserPoolRequest {
            auto_verified_attributes: texts(&["email", "phone_number"]),
            account_recovery_setting: Some(AccountRecoverySettingType { recovery_mechanisms: vec![option] }),
            ..Default::default()
        };
        let pool = Pool::create_with(request, hiding.clone()).await;
        let (known, nobody) = (unique("known"), unique("nobody"));
        let (email, phone) = (format!("{known}@example.com"), unique_phone());
        let verified = [("email_verified", "true"), ("phone_number_verified", "true")];
        let request = AdminCreateUserRequest {
            user_pool_id: Some(pool.id.clone()),
            username: Some(known.clone()),
            message_action: Some("SUPPRESS".into()),
            user_attributes: attributes(&[&[("email", &*email), ("phone_number", &*phone)], &verified[..]].concat()),
            ..Default::default()
        };
        pool.api.call(request).await.unwrap();
        set(&pool, &known, BETTER, Some(true)).await.unwrap();
        for name in [&known, &nobody, &format!("{nobody}@example.com"), &unique_phone()] {
            let delivery = forgot(&pool, name).await.unwrap();
            assert_eq!((delivery.delivery_medium(), delivery.attribute_name()), (medium, attribute), "{name}");
        }
        pool.verify().await;
    }
}

#[tokio::test]
async fn answers_show_whether_a_user_exists_where_the_client_does_not_hide_it() {
    let pool = Pool::create().await;
    let nobody = unique("nobody");
    assert_refused(forgot(&pool, &nobody).await, UNKNOWN.0, UNKNOWN.1);
    assert_refused(recover(&pool, &nobody, "123456").await, UNKNOWN.0, UNKNOWN.1);
    assert_refused(set(&pool, &nobody, BETTER, None).await, UNKNOWN.0, UNKNOWN.1);
    assert_refused(reset(&pool, &nobody).await, UNKNOWN.0, UNKNOWN.1);
    let name = unique("unconfirmed");
    pool.sign_up(&name, &[("email", &format!("{name}@example.com"))]).await.unwrap();
    assert_refused(forgot(&pool, &name).await, NO_CONTACT.0, NO_CONTACT.1);
    assert_refused(recover(&pool, &name, "123456").await, "UserNotConfirmedException", "User is not confirmed.");
    pool.verify().await;
}

#[tokio::test]
async fn a_client_with_a_secret_proves_it_first() {
    let client = CreateUserPoolClientRequest { generate_secret: Some(true), ..password_client() };
    let mut pool = Pool::create().await;
    let person = pool.person("secret").await;
    let client = pool.add_client(client).await;
    let id = client.client_id.clone().unwrap();
    pool.client_id.clone_from(&id);
    let missing = format!("Client {id} is configured with secret but SECRET_HASH was not received");
    let wrong = format!("Unable to verify secret hash for client {id}");
    assert_refused(forgot(&pool, &person.username).await, "NotAuthorizedException", &missing);
    assert_refused(recover(&pool, &person.username, "123456").await, "NotAuthorizedException", &missing);
    let mut request = forgot_request(&pool, &person.username);
    request.secret_hash = Some(secret_hash("another", &person.username, &id));
    assert_refused(pool.api.call(request.clone()).await, "NotAuthorizedException", &wrong);
    request.secret_hash = Some(secret_hash(client.client_secret(), &person.username, &id));
    pool.api.call(request.clone()).await.unwrap();
    let code = newest_code(&pool, &person.email, 2).await;
    let mut confirm = recover_request(&pool, &person.username, &code, BETTER);
    confirm.secret_hash = request.secret_hash;
    pool.api.call(confirm).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn a_code_is_of_no_use_at_another_address() {
    let pool = Pool::create().await;
    let person = pool.person("moved").await;
    forgot(&pool, &person.username).await.unwrap();
    let code = newest_code(&pool, &person.email, 2).await;
    let request = AdminUpdateUserAttributesRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(person.username.clone()),
        user_attributes: attributes(&[("email", "elsewhere@example.com"), ("email_verified", "true")]),
        ..Default::default()
    };
    pool.api.call(request).await.unwrap();
    assert_refused(recover(&pool, &person.username, &code).await, WRONG_CODE.0, WRONG_CODE.1);
    pool.verify().await;
}

#[tokio::test]
async fn one_code_chooses_one_password_and_five_go_out_in_an_hour_whoever_is_first() {
    let pool = Pool::create().await;
    let person = pool.person("raced").await;
    let asked = join_all((0..8).map(|_| pool.api.call_once(forgot_request(&pool, &person.username)))).await;
    let sent = asked.iter().filter(|answer| answer.is_ok()).count();
    assert!((1..=5).contains(&sent), "{sent}");
    pool.api.messages_for(&person.email, 2).await;

    let person = pool.person("raced").await;
    forgot(&pool, &person.username).await.unwrap();
    let code = newest_code(&pool, &person.email, 2).await;
    let request = recover_request(&pool, &person.username, &code, BETTER);
    let recovered = join_all((0..6).map(|_| pool.api.call(request.clone()))).await;
    let mut outcomes = BTreeMap::new();
    for answer in &recovered {
        *outcomes.entry(answer.as_ref().map_or_else(|refusal| refusal.exception.as_str(), |_| "OK")).or_insert(0) += 1;
    }
    assert_eq!(outcomes, BTreeMap::from([("OK", 1), ("ExpiredCodeException", 5)]));

    forgot(&pool, &person.username).await.unwrap();
    let guesses = join_all((0..10).map(|_| recover(&pool, &person.username, "no-code"))).await;
    let counted = guesses.iter().filter(|answer| answer.as_ref().is_err_and(|it| it.pair() == WRONG_CODE)).count();
    assert_eq!(counted, 5, "{guesses:?}");
    pool.verify().await;
}

#[tokio::test]
async fn a_user_who_knows_their_password_changes_it() {
    let pool = Pool::create().await;
    let person = pool.person("changer").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let token = tokens.access_token();
    let refused = change(&pool, token, Some(PASSWORD), "weak").await.unwrap_err();
    assert_eq!(refused.exception, "InvalidPasswordException");
    let missing = change(&pool, token, None, BETTER).await;
    assert_refused(missing, "InvalidParameterException", "Missing required parameter PreviousPassword");
    assert_refused(change(&pool, token, Some("Wrong-horse-7"), BETTER).await, WRONG.0, WRONG.1);
    change(&pool, token, Some(PASSWORD), BETTER).await.unwrap();
    assert_refused(change(&pool, token, Some(PASSWORD), BETTER).await, WRONG.0, WRONG.1);
    pool.get_user(token).await.expect("the session goes on");
    pool.refresh(tokens.refresh_token()).await.unwrap();
    assert_refused(pool.sign_in(&person.username, PASSWORD).await, WRONG.0, WRONG.1);
    pool.sign_in(&person.username, BETTER).await.unwrap();
    pool.sign_out(token).await.unwrap();
    let revoked = change(&pool, token, Some(BETTER), PASSWORD).await;
    assert_refused(revoked, "NotAuthorizedException", "Access Token has been revoked");
    pool.verify().await;
}

#[tokio::test]
async fn a_stolen_token_guesses_no_password_and_locks_nobody_out() {
    let pool = Pool::create().await;
    let person = pool.person("stolen").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let mut refusals = Vec::new();
    // The first lock lasts a second: on a slow machine it may end before the next guess.
    while refusals.len() < 12 && refusals.last() != Some(&LIMIT.0.to_owned()) {
        let refused = change(&pool, tokens.access_token(), Some("Wrong-horse-7"), BETTER).await.unwrap_err();
        refusals.push(refused.exception);
    }
    assert!(refusals.len() >= 6, "five guesses are free: {refusals:?}");
    assert_eq!(refusals.last().map(String::as_str), Some(LIMIT.0));
    for name in [&person.username, &person.sub] {
        pool.sign_in(name, PASSWORD).await.expect("the owner is not locked out");
    }
    pool.verify().await;
}

#[tokio::test]
async fn an_administrator_gives_a_password_for_good() {
    let pool = Pool::create().await;
    let name = unique("given");
    pool.sign_up(&name, &[]).await.unwrap();
    let refused = set(&pool, &name, "weak", Some(true)).await.unwrap_err();
    assert_eq!(refused.exception, "InvalidPasswordException");
    set(&pool, &name, BETTER, Some(true)).await.unwrap();
    assert_eq!(status(&pool, &name).await, "CONFIRMED");
    assert_refused(pool.sign_in(&name, PASSWORD).await, WRONG.0, WRONG.1);
    pool.sign_in(&name, BETTER).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn a_temporary_password_must_be_changed_by_its_owner() {
    let pool = Pool::create().await;
    let person = pool.person("temporary").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    forgot(&pool, &person.username).await.unwrap();
    let code = newest_code(&pool, &person.email, 2).await;
    // A password is temporary unless the request says otherwise.
    set(&pool, &person.username, BETTER, None).await.unwrap();
    assert_eq!(status(&pool, &person.username).await, "FORCE_CHANGE_PASSWORD");
    assert_refused(pool.sign_in(&person.username, PASSWORD).await, WRONG.0, WRONG.1);
    assert_refused(forgot(&pool, &person.username).await, STATE.0, STATE.1);
    assert_refused(recover(&pool, &person.username, &code).await, STATE.0, STATE.1);
    assert_refused(reset(&pool, &person.username).await, STATE.0, STATE.1);
    assert_refused(change(&pool, tokens.access_token(), Some(BETTER), PASSWORD).await, STATE.0, STATE.1);
    set(&pool, &person.username, PASSWORD, Some(true)).await.unwrap();
    pool.sign_in(&person.username, PASSWORD).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn a_password_that_was_taken_back_is_replaced_by_a_code() {
    let pool = Pool::create().await;
    let person = pool.person("reset").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    reset(&pool, &person.username).await.unwrap();
    assert_eq!(status(&pool, &person.username).await, "RESET_REQUIRED");
    assert_refused(pool.sign_in(&person.username, PASSWORD).await, RESET.0, RESET.1);
    assert_refused(pool.sign_in(&person.username, "Wrong-horse-7").await, RESET.0, RESET.1);
    assert_refused(pool.get_user(tokens.access_token()).await, RESET.0, RESET.1);
    assert_refused(pool.refresh(tokens.refresh_token()).await, RESET.0, RESET.1);
    assert_refused(change(&pool, tokens.access_token(), Some(PASSWORD), BETTER).await, RESET.0, RESET.1);
    let by_token = GetTokensFromRefreshTokenRequest {
        client_id: Some(pool.client_id.clone()),
        refresh_token: tokens.refresh_token.clone(),
        ..Default::default()
    };
    assert_refused(pool.api.call(by_token).await, "NotAuthorizedException", RESET.1);

    // Codes of both origins are the same and share one count: the only effect of a second reset is to send a code.
    forgot(&pool, &person.username).await.unwrap();
    for _ in 0..3 {
        reset(&pool, &person.username).await.unwrap();
    }
    assert_refused(reset(&pool, &person.username).await, LIMIT.0, LIMIT.1);
    recover(&pool, &person.username, &newest_code(&pool, &person.email, 6).await).await.unwrap();
    assert_eq!(status(&pool, &person.username).await, "CONFIRMED");
    let own = pool.sign_in(&person.username, BETTER).await.unwrap();
    pool.get_user(own.access_token()).await.unwrap();
    // A user who was signed in before the reset is signed out.
    let gone = pool.get_user(tokens.access_token()).await;
    assert_refused(gone, "NotAuthorizedException", "Access Token has been revoked");
    let gone = pool.refresh(tokens.refresh_token()).await;
    assert_refused(gone, "NotAuthorizedException", "Refresh Token has been revoked");
    pool.verify().await;
}

#[tokio::test]
async fn codes_that_others_requested_keep_no_administrator_from_resetting_a_password() {
    let pool = Pool::create().await;
    let person = pool.person("flooded").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    for sent in 2..7 {
        forgot(&pool, &person.username).await.unwrap();
        // A code that is replaced before it leaves is not sent.
        pool.api.messages_for(&person.email, sent).await;
    }
    assert_refused(forgot(&pool, &person.username).await, LIMIT.0, LIMIT.1);
    reset(&pool, &person.username).await.unwrap();
    assert_eq!(status(&pool, &person.username).await, "RESET_REQUIRED");
    assert_refused(pool.get_user(tokens.access_token()).await, RESET.0, RESET.1);
    assert_refused(reset(&pool, &person.username).await, LIMIT.0, LIMIT.1);
    // The sign-up's code and those five: the newest is valid, and the reset sent none.
    let messages = pool.api.messages_for(&person.email, 6).await;
    assert_eq!(messages.len(), 6);
    recover(&pool, &person.username, messages[0]["code"].as_str().unwrap()).await.unwrap();
    set(&pool, &person.username, PASSWORD, Some(true)).await.unwrap();
    let gone = pool.get_user(tokens.access_token()).await;
    assert_refused(gone, "NotAuthorizedException", "Access Token has been revoked");
    pool.verify().await;
}

#[tokio::test]
async fn an_administrator_resets_the_password_of_a_user_who_cannot_be_sent_a_code() {
    let pool = Pool::create().await;
    let person = pool.person("barred").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let (user_pool_id, username) = (Some(pool.id.clone()), Some(person.username.clone()));
    let disable = AdminDisableUserRequest { user_pool_id: user_pool_id.clone(), username: username.clone() };
    pool.api.call(disable).await.unwrap();
    reset(&pool, &person.username).await.unwrap();
    assert_refused(reset(&pool, &person.username).await, "NotAuthorizedException", "User is disabled.");
    pool.api.call(AdminEnableUserRequest { user_pool_id, username }).await.unwrap();
    assert_refused(pool.sign_in(&person.username, PASSWORD).await, RESET.0, RESET.1);
    set(&pool, &person.username, BETTER, Some(true)).await.unwrap();
    pool.sign_in(&person.username, BETTER).await.unwrap();
    let gone = pool.get_user(tokens.access_token()).await;
    assert_refused(gone, "NotAuthorizedException", "Access Token has been revoked");
    // An unconfirmed user has no password to reset.
    let waiting = unique("waiting");
    pool.sign_up(&waiting, &[]).await.unwrap();
    assert_refused(reset(&pool, &waiting).await, STATE.0, STATE.1);
    pool.verify().await;
}

#[tokio::test]
async fn a_password_has_spaces_inside_wherever_one_is_set_and_none_at_its_ends() {
    const SPACED: [&str; 4] = ["Correct horse 1", "Correct horse 2", "Correct horse 3", "Correct  horse 4"];
    let pool = Pool::create().await;
    let name = unique("spaced");
    let email = format!("{name}@example.com");
    let sign_up = |password: &str| SignUpRequest {
        password: Some(password.to_owned()),
        ..pool.sign_up_request(&name, &[("email", &email)])
    };
    pool.api.call(sign_up(SPACED[0])).await.unwrap();
    pool.confirm(&name, &pool.api.code_for(&email).await).await.unwrap();
    let tokens = pool.sign_in(&name, SPACED[0]).await.unwrap();
    change(&pool, tokens.access_token(), Some(SPACED[0]), SPACED[1]).await.unwrap();
    forgot(&pool, &name).await.unwrap();
    let code = pool.api.messages_for(&email, 2).await[0]["code"].as_str().unwrap().to_owned();
    pool.api.call(recover_request(&pool, &name, &code, SPACED[2])).await.unwrap();
    pool.sign_in(&name, SPACED[2]).await.unwrap();
    set(&pool, &name, SPACED[3], Some(true)).await.unwrap();
    pool.sign_in(&name, SPACED[3]).await.unwrap();
    assert_refused(pool.sign_in(&name, "Correct horse 4").await, WRONG.0, WRONG.1);

    let invited = unique("invited");
    pool.create_user(&invited, &[], SPACED[0]).await;
    let challenge = pool.challenge(&invited, SPACED[0]).await;
    let form =
        r"Password did not conform with policy: Password must satisfy regular expression pattern: ^[\S]+.*[\S]+$";
    for wrong in [" Correct-horse-1", "Correct-horse-1 "] {
        let answer = pool.new_password_request(challenge.session(), &invited, wrong);
        assert_refused(pool.api.call(answer).await, "InvalidPasswordException", form);
        let member = pool.api.call(sign_up(wrong)).await.unwrap_err();
        assert_eq!(member.exception, "InvalidParameterException");
        assert!(member.message.ends_with(r"pattern: ^[\S]+.*[\S]+$"), "{}", member.message);
        let member = set(&pool, &name, wrong, Some(true)).await.unwrap_err();
        assert_eq!(member.exception, "InvalidParameterException");
    }
    pool.api.call(pool.new_password_request(challenge.session(), &invited, SPACED[1])).await.unwrap();
    pool.sign_in(&invited, SPACED[1]).await.unwrap();
    pool.verify().await;
}
