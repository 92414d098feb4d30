//! Users whom an administrator creates: names, passwords, invitations.

use userpool::proto::v1::*;

use crate::support::client::{Refusal, assert_refused};
use crate::support::pool::{
    PASSWORD, Pool, by_name, email_pool, password_client, text_attribute, texts, unique, unique_phone,
};

const TEMPORARY: &str = "Temporary-horse-7";

fn by_mail(request: AdminCreateUserRequest) -> AdminCreateUserRequest {
    AdminCreateUserRequest { desired_delivery_mediums: texts(&["EMAIL"]), ..request }
}

async fn create(pool: &Pool, request: AdminCreateUserRequest) -> Result<UserType, Refusal> {
    Ok(pool.api.call(request).await?.user.expect("a user"))
}

#[tokio::test]
async fn an_invitation_brings_a_temporary_password_that_is_good_for_a_challenge() {
    let pool = Pool::create().await;
    let name = unique("invited");
    let email = format!("{name}@example.com");
    let values = [("email", email.as_str()), ("email_verified", "true"), ("nickname", "I")];
    let user = create(&pool, by_mail(pool.create_user_request(&name, &values))).await.unwrap();
    assert_eq!((user.username(), user.user_status(), user.enabled()), (name.as_str(), "FORCE_CHANGE_PASSWORD", true));
    assert_eq!(user.user_create_date, user.user_last_modified_date);
    let shown = by_name(&user.attributes);
    assert_eq!((shown["email"].as_str(), shown["email_verified"].as_str()), (email.as_str(), "true"));
    let read = pool.admin_get_user(&name).await.unwrap();
    assert_eq!(by_name(&read.user_attributes), shown);
    assert_eq!(read.user_status(), "FORCE_CHANGE_PASSWORD");

    let [message] = &pool.api.messages_for(&email, 1).await[..] else { panic!("one message") };
    let password = message["code"].as_str().expect("the password");
    let body = message["body"].as_str().expect("a body");
    assert!(body.contains(&name) && body.contains(password), "{body}");
    assert_eq!((message["medium"].as_str(), message["subject"].is_string()), (Some("EMAIL"), true));
    let challenge = pool.challenge(&name, password).await;
    assert_eq!(challenge.challenge_name(), "NEW_PASSWORD_REQUIRED");
    let wrong = pool.sign_in(&name, "Wrong-horse-7").await;
    assert_refused(wrong, "NotAuthorizedException", "Incorrect username or password.");
    pool.verify().await;
}

#[tokio::test]
async fn an_invitation_has_the_texts_of_the_pool_and_goes_by_the_media_that_are_asked_for() {
    let template = MessageTemplateType {
        email_subject: Some("Welcome".into()),
        email_message: Some("Mail for {username}: {####}".into()),
        sms_message: Some("SMS for {username}: {####}".into()),
    };
    let config = AdminCreateUserConfigType { invite_message_template: Some(template), ..Default::default() };
    let request = CreateUserPoolRequest { admin_create_user_config: Some(config), ..email_pool() };
    let pool = Pool::create_with(request, password_client()).await;
    let of = |name: &str| (format!("{name}@example.com"), unique_phone());

    let name = unique("both");
    let (email, phone) = of(&name);
    let values = [("email", email.as_str()), ("phone_number", phone.as_str())];
    let both = AdminCreateUserRequest {
        desired_delivery_mediums: texts(&["SMS", "EMAIL"]),
        temporary_password: Some(TEMPORARY.into()),
        ..pool.create_user_request(&name, &values)
    };
    create(&pool, both).await.unwrap();
    let mail = &pool.api.messages_for(&email, 1).await[0];
    assert_eq!(mail["body"], format!("Mail for {name}: {TEMPORARY}"));
    assert_eq!(mail["subject"], "Welcome");
    let sms = &pool.api.messages_for(&phone, 1).await[0];
    assert_eq!(
        (sms["body"].as_str(), sms["medium"].as_str()),
        (Some(&*format!("SMS for {name}: {TEMPORARY}")), Some("SMS"))
    );

    // With no medium in the request, it goes by SMS.
    let name = unique("unsaid");
    let (email, phone) = of(&name);
    let values = [("email", email.as_str()), ("phone_number", phone.as_str())];
    create(&pool, pool.create_user_request(&name, &values)).await.unwrap();
    pool.api.messages_for(&phone, 1).await;
    assert!(pool.api.mailbox(&email).await.is_empty());

    let name = unique("nowhere");
    let message = "The invitation can't be delivered: the user has no email.";
    let nowhere = create(&pool, by_mail(pool.create_user_request(&name, &[("phone_number", &phone)]))).await;
    assert_refused(nowhere, "CodeDeliveryFailureException", message);
    assert_refused(pool.admin_get_user(&name).await, "UserNotFoundException", "User does not exist.");

    // Without an address and a medium, no message is sent.
    create(&pool, pool.create_user_request(&name, &[])).await.unwrap();
    let silent = unique("silent");
    let (email, _) = of(&silent);
    pool.create_user(&silent, &[("email", &email)], TEMPORARY).await;
    assert_eq!(pool.challenge(&silent, TEMPORARY).await.challenge_name(), "NEW_PASSWORD_REQUIRED");
    assert!(pool.api.mailbox(&email).await.is_empty());
    pool.verify().await;
}

#[tokio::test]
async fn a_temporary_password_obeys_the_policy_of_the_pool() {
    let policy = PasswordPolicyType {
        minimum_length: Some(20),
        require_symbols: Some(true),
        require_numbers: Some(true),
        require_uppercase: Some(true),
        require_lowercase: Some(true),
        ..Default::default()
    };
    let policies = UserPoolPolicyType { password_policy: Some(policy), ..Default::default() };
    let pool =
        Pool::create_with(CreateUserPoolRequest { policies: Some(policies), ..email_pool() }, password_client()).await;
    let name = unique("policy");
    let email = format!("{name}@example.com");
    let weak = AdminCreateUserRequest {
        temporary_password: Some("Short-horse-7".into()),
        ..by_mail(pool.create_user_request(&name, &[("email", &email)]))
    };
    let message = "Password did not conform with policy: Password not long enough";
    assert_refused(create(&pool, weak).await, "InvalidPasswordException", message);
    create(&pool, by_mail(pool.create_user_request(&name, &[("email", &email)]))).await.unwrap();
    let password = pool.api.code_for(&email).await;
    let has = |is: fn(char) -> bool| password.chars().any(is);
    assert!(password.chars().count() >= 20);
    assert!(has(|it| it.is_ascii_digit()) && has(|it| it.is_ascii_uppercase()) && has(|it| it.is_ascii_lowercase()));
    assert!(has(|it| it.is_ascii_punctuation()));
    pool.challenge(&name, &password).await;
    pool.verify().await;
}

#[tokio::test]
async fn an_invitation_is_sent_again_with_another_password() {
    let pool = Pool::create().await;
    let name = unique("again");
    let email = format!("{name}@example.com");
    create(&pool, by_mail(pool.create_user_request(&name, &[("email", &email)]))).await.unwrap();
    let first = pool.api.code_for(&email).await;
    let again = |name: &str| AdminCreateUserRequest {
        message_action: Some("RESEND".into()),
        ..by_mail(pool.create_user_request(name, &[]))
    };
    let user = create(&pool, again(&name)).await.unwrap();
    assert_eq!(user.user_status(), "FORCE_CHANGE_PASSWORD");
    assert_eq!(by_name(&user.attributes)["email"], email);
    let second = pool.api.messages_for(&email, 2).await[0]["code"].as_str().expect("a password").to_owned();
    assert_refused(pool.sign_in(&name, &first).await, "NotAuthorizedException", "Incorrect username or password.");
    pool.challenge(&name, &second).await;

    let given = AdminCreateUserRequest { temporary_password: Some(TEMPORARY.into()), ..again(&name) };
    create(&pool, given).await.unwrap();
    let session = pool.challenge(&name, TEMPORARY).await.session.unwrap();

    assert_refused(create(&pool, again("nobody")).await, "UserNotFoundException", "User does not exist.");
    let unsaid = AdminCreateUserRequest { desired_delivery_mediums: Vec::new(), ..again(&name) };
    let message = "The invitation can't be delivered: the user has no address for it.";
    assert_refused(create(&pool, unsaid).await, "CodeDeliveryFailureException", message);
    pool.challenge(&name, TEMPORARY).await;

    // The password that was proved is no longer valid, so the sign-in that it began can't go on.
    create(&pool, again(&name)).await.unwrap();
    let late = pool.api.call(pool.new_password_request(&session, &name, PASSWORD)).await;
    assert_refused(late, "NotAuthorizedException", "Invalid session for the user.");

    let own = pool.person("own").await;
    let message = "The invitation can't be sent again: the user's status is CONFIRMED.";
    assert_refused(create(&pool, again(&own.username)).await, "UnsupportedUserStateException", message);
    let disable = AdminDisableUserRequest { user_pool_id: Some(pool.id.clone()), username: Some(name.clone()) };
    pool.api.call(disable).await.unwrap();
    assert_refused(create(&pool, again(&name)).await, "NotAuthorizedException", "User is disabled.");
    pool.verify().await;
}

#[tokio::test]
async fn an_invitation_that_is_sent_again_names_the_address_that_is_the_name() {
    let request = CreateUserPoolRequest { username_attributes: texts(&["email"]), ..email_pool() };
    let pool = Pool::create_with(request, password_client()).await;
    let email = format!("{}@example.com", unique("again"));
    let user = create(&pool, by_mail(pool.create_user_request(&email, &[]))).await.unwrap();
    let sub = user.username().to_owned();
    for (name, count) in [(&sub, 2), (&email, 3)] {
        let again = AdminCreateUserRequest {
            message_action: Some("RESEND".into()),
            ..by_mail(pool.create_user_request(name, &[]))
        };
        create(&pool, again).await.unwrap();
        let message = pool.api.messages_for(&email, count).await.remove(0);
        let body = message["body"].as_str().unwrap();
        assert!(body.contains(&email) && !body.contains(&sub), "{body}");
        pool.challenge(&email, message["code"].as_str().unwrap()).await;
    }
    pool.verify().await;
}

#[tokio::test]
async fn a_temporary_password_expires_and_an_administrator_can_extend_it() {
    let pool = Pool::create().await;
    let name = unique("late");
    let email = format!("{name}@example.com");
    pool.create_user(&name, &[("email", &email)], TEMPORARY).await;
    pool.challenge(&name, TEMPORARY).await;
    let days = async |days: i32| {
        let policy = PasswordPolicyType {
            minimum_length: Some(8),
            temporary_password_validity_days: Some(days),
            ..Default::default()
        };
        let policies = UserPoolPolicyType { password_policy: Some(policy), ..Default::default() };
        let request = UpdateUserPoolRequest {
            user_pool_id: Some(pool.id.clone()),
            policies: Some(policies),
            auto_verified_attributes: texts(&["email"]),
            ..Default::default()
        };
        pool.api.call(request).await.unwrap();
    };
    // The test can't wait for days, so it sets the user's last change that many days back.
    let database = sqlx::PgPool::connect(&pool.api.environment().database_url()).await.unwrap();
    let age = async |days: i64| {
        let earlier = sqlx::query(
            "update users set state = jsonb_set(state, '{modified_at}', to_jsonb((state->>'modified_at')::bigint - $2))
             where user_pool_id = $1",
        );
        let aged = earlier.bind(&pool.id).bind(days * 24 * 60 * 60 * 1_000).execute(&database).await.unwrap();
        assert_eq!(aged.rows_affected(), 1);
    };
    days(3).await;
    age(2).await;
    pool.challenge(&name, TEMPORARY).await;
    age(1).await;
    let message = "Temporary password has expired and must be reset by an administrator.";
    for _ in 0..6 {
        // A caller who knows the right password does not count as a guesser.
        assert_refused(pool.sign_in(&name, TEMPORARY).await, "NotAuthorizedException", message);
    }
    let wrong = pool.sign_in(&name, "Wrong-horse-7").await;
    assert_refused(wrong, "NotAuthorizedException", "Incorrect username or password.");
    days(4).await;
    pool.challenge(&name, TEMPORARY).await;
    age(-3).await;
    pool.verify().await;
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused() {
    let pool = Pool::create().await;
    let person = pool.person("taken").await;
    let exists = "UsernameExistsException";
    let again = create(&pool, pool.create_user_request(&person.username, &[])).await;
    assert_refused(again, exists, "User account already exists");
    let name = unique("first");
    pool.create_user(&name, &[], TEMPORARY).await;
    assert_refused(pool.sign_up(&name, &[]).await, exists, "User already exists");
    pool.verify().await;

    let request = CreateUserPoolRequest { username_attributes: texts(&["email", "phone_number"]), ..email_pool() };
    let pool = Pool::create_with(request, password_client()).await;
    let email = format!("{}@example.com", unique("address"));
    let user = create(&pool, by_mail(pool.create_user_request(&email, &[("email_verified", "true")]))).await.unwrap();
    let shown = by_name(&user.attributes);
    assert_eq!((user.username(), shown["email"].as_str()), (shown["sub"].as_str(), email.as_str()));
    let message = &pool.api.messages_for(&email, 1).await[0];
    assert!(message["body"].as_str().is_some_and(|body| body.contains(&email)), "nobody types a sub");
    pool.challenge(&email, message["code"].as_str().unwrap()).await;
    let force = AdminCreateUserRequest { force_alias_creation: Some(true), ..pool.create_user_request(&email, &[]) };
    let message = "An account with the given email already exists.";
    assert_refused(create(&pool, force).await, exists, message);
    let phone = unique_phone();
    pool.create_user(&phone, &[], TEMPORARY).await;
    let both = create(&pool, pool.create_user_request(&unique_phone(), &[("email", &email)])).await;
    assert_refused(both, exists, message);
    let no_address = create(&pool, pool.create_user_request("jane", &[])).await;
    let message = "Username should be either an email or a phone number.";
    assert_refused(no_address, "InvalidParameterException", message);
    pool.verify().await;
}

#[tokio::test]
async fn an_alias_moves_to_the_new_user_by_force_only() {
    let request = CreateUserPoolRequest { alias_attributes: texts(&["email", "phone_number"]), ..email_pool() };
    let pool = Pool::create_with(request, password_client()).await;
    let owner = pool.person("owner").await;
    pool.sign_in(&owner.email, PASSWORD).await.unwrap();
    let name = unique("heir");
    let values = [("email", owner.email.as_str()), ("email_verified", "true")];
    let plain = AdminCreateUserRequest {
        temporary_password: Some(TEMPORARY.into()),
        message_action: Some("SUPPRESS".into()),
        ..pool.create_user_request(&name, &values)
    };
    let message = "An account with the given email already exists.";
    assert_refused(create(&pool, plain.clone()).await, "UsernameExistsException", message);
    let force = AdminCreateUserRequest { force_alias_creation: Some(true), ..plain };
    create(&pool, force).await.unwrap();
    let found = pool.admin_get_user(&owner.email).await.unwrap();
    assert_eq!(found.username(), name);
    let before = by_name(&pool.admin_get_user(&owner.username).await.unwrap().user_attributes);
    assert_eq!((before["email"].as_str(), before["email_verified"].as_str()), (owner.email.as_str(), "false"));
    pool.sign_in(&owner.username, PASSWORD).await.unwrap();
    pool.challenge(&owner.email, TEMPORARY).await;

    // An unverified address is no alias yet.
    let other = unique("other");
    create(&pool, pool.create_user_request(&other, &[("email", &owner.email)])).await.unwrap();
    assert_eq!(pool.admin_get_user(&owner.email).await.unwrap().username(), name);
    pool.verify().await;
}

#[tokio::test]
async fn of_two_simultaneous_creations_of_one_name_one_succeeds() {
    let pool = Pool::create().await;
    let name = unique("raced");
    let request = || pool.create_user_request(&name, &[]);
    let answers = futures::future::join_all((0..4).map(|_| create(&pool, request()))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for refused in answers.into_iter().filter(Result::is_err) {
        assert_refused(refused, "UsernameExistsException", "User account already exists");
    }
    pool.verify().await;
}

#[tokio::test]
async fn attributes_conform_to_the_schema() {
    let schema = vec![
        SchemaAttributeType { developer_only_attribute: Some(true), ..text_attribute("rank") },
        SchemaAttributeType { required: Some(true), ..text_attribute("nickname") },
    ];
    let pool = Pool::create_with(CreateUserPoolRequest { schema, ..email_pool() }, password_client()).await;
    let name = unique("schema");
    for (values, message) in [
        (
            [("custom:nothing", "x")],
            "Attributes did not conform to the schema: Type for attribute {custom:nothing} could not be determined",
        ),
        ([("sub", "x")], "user.sub: Attribute cannot be updated."),
        ([("email", "nobody")], "Invalid email address format."),
        ([("email_verified", "true")], "email_verified needs a value of email."),
    ] {
        let refused = create(&pool, pool.create_user_request(&name, &values)).await;
        assert_refused(refused, "InvalidParameterException", message);
    }
    let user = pool.create_user(&name, &[("dev:custom:rank", "7")], TEMPORARY).await;
    assert_eq!(by_name(&user.attributes)["dev:custom:rank"], "7");
    pool.verify().await;
}

#[tokio::test]
async fn the_aws_sdk_creates_a_user() {
    let pool = Pool::create().await;
    let name = unique("sdk");
    let email = format!("{name}@example.com");
    let attribute = aws_sdk_cognitoidentityprovider::types::AttributeType::builder().name("email").value(&email);
    let created = pool
        .api
        .aws()
        .admin_create_user()
        .user_pool_id(&pool.id)
        .username(&name)
        .user_attributes(attribute.build().unwrap())
        .desired_delivery_mediums(aws_sdk_cognitoidentityprovider::types::DeliveryMediumType::Email)
        .send()
        .await
        .unwrap();
    let user = created.user().unwrap();
    assert_eq!(user.user_status().map(|status| status.as_str()), Some("FORCE_CHANGE_PASSWORD"));
    assert!(user.user_create_date().is_some() && user.enabled());
    let missing = pool.api.aws().admin_create_user().user_pool_id("us-east-1_000000000").username(&name).send().await;
    let missing = missing.unwrap_err().into_service_error();
    assert!(missing.is_resource_not_found_exception(), "{missing}");
    pool.verify().await;
}
