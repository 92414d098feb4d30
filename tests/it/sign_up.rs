//! Self-service registration.

use tonic::Code;
use userpool::proto::v1::*;

use crate::support::client::{Api, Refusal, assert_refused};
use crate::support::http;
use crate::support::pool::{
    PASSWORD, Pool, attributes, by_name, email_pool, other_than, password_client, secret_hash, texts, unique,
    unique_phone,
};

const WRONG_CODE: (&str, &str) = ("CodeMismatchException", "Invalid verification code provided, please try again.");
const LIMIT: (&str, &str) = ("LimitExceededException", "Attempt limit exceeded, please try after some time.");
const OLD_CODE: (&str, &str) = ("ExpiredCodeException", "Invalid code provided, please request a code again.");

#[tokio::test]
async fn a_user_signs_up_confirms_and_signs_in() {
    let pool = Pool::create().await;
    let name = unique("jane");
    let email = format!("{name}@example.com");
    let signed_up = pool.sign_up(&name, &[("email", &email), ("given_name", "Jane")]).await.unwrap();
    assert_eq!(signed_up.user_confirmed, Some(false));
    let sub = signed_up.user_sub.unwrap();
    assert_eq!(sub.parse::<uuid::Uuid>().unwrap().get_version_num(), 4);
    let delivery = signed_up.code_delivery_details.unwrap();
    assert_eq!(delivery.destination.as_deref(), Some("j***@e***"));
    assert_eq!(delivery.delivery_medium.as_deref(), Some("EMAIL"));
    assert_eq!(delivery.attribute_name.as_deref(), Some("email"));

    let message = pool.api.messages_for(&email, 1).await.remove(0);
    let code = message["code"].as_str().unwrap().to_owned();
    assert!(code.len() == 6 && code.bytes().all(|digit| digit.is_ascii_digit()));
    assert_eq!(message["medium"], "EMAIL");
    assert_eq!(message["to"], email.as_str());
    assert_eq!(message["subject"], "Your verification code");
    assert_eq!(message["body"], format!("Your confirmation code is {code}"));

    assert_refused(pool.sign_in(&name, PASSWORD).await, "UserNotConfirmedException", "User is not confirmed.");
    pool.confirm(&name, &code).await.unwrap();
    let tokens = pool.sign_in(&name, PASSWORD).await.unwrap();
    let user = pool.get_user(tokens.access_token()).await.unwrap();
    assert_eq!(user.username.as_deref(), Some(name.as_str()));
    let shown = by_name(&user.user_attributes);
    let expected =
        [("email", email.as_str()), ("email_verified", "true"), ("given_name", "Jane"), ("sub", sub.as_str())];
    assert_eq!(shown, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    pool.verify().await;
}

#[tokio::test]
async fn the_mailbox_is_a_page_for_a_browser() {
    let pool = Pool::create().await;
    let name = unique("page");
    let email = format!("{name}@example.com");
    pool.sign_up(&name, &[("email", &email)]).await.unwrap();
    let code = pool.api.code_for(&email).await;
    for process in &pool.api.environment().processes {
        let path = format!("/dev/messages?to={email}");
        let page = http::send(process.http, "GET", &path, &[("accept", "text/html,*/*")], b"").await;
        assert!(page.headers["content-type"].starts_with("text/html"));
        assert!(page.text().contains(&code) && page.text().contains(&email));
    }
    pool.verify().await;
}

#[tokio::test]
async fn the_same_through_the_aws_sdk() {
    let pool = Pool::create().await;
    let name = unique("sdk");
    let email = format!("{name}@example.com");
    let attribute = aws_sdk_cognitoidentityprovider::types::AttributeType::builder().name("email").value(&email);
    let signed_up = pool.api.aws().sign_up().client_id(&pool.client_id).username(&name).password(PASSWORD);
    let signed_up = signed_up.user_attributes(attribute.build().unwrap()).send().await.unwrap();
    assert!(!signed_up.user_confirmed());
    assert_eq!(signed_up.code_delivery_details().unwrap().destination(), Some("j***@e***".replace('j', "s").as_str()));
    let code = pool.api.code_for(&email).await;
    let confirm = || pool.api.aws().confirm_sign_up().client_id(&pool.client_id).username(&name);
    let refused = confirm().confirmation_code(other_than(&code)).send().await.unwrap_err().into_service_error();
    assert!(refused.is_code_mismatch_exception(), "{refused:?}");
    assert_eq!(refused.meta().message(), Some(WRONG_CODE.1));
    confirm().confirmation_code(&code).send().await.unwrap();
    let flow = aws_sdk_cognitoidentityprovider::types::AuthFlowType::UserPasswordAuth;
    let sign_in = pool.api.aws().initiate_auth().client_id(&pool.client_id).auth_flow(flow);
    let tokens = sign_in.auth_parameters("USERNAME", &name).auth_parameters("PASSWORD", PASSWORD).send().await.unwrap();
    let tokens = tokens.authentication_result().unwrap();
    let access_token = tokens.access_token().unwrap();
    let user = pool.api.aws().get_user().access_token(access_token).send().await.unwrap();
    assert_eq!(user.username(), name);
    assert_eq!(user.user_attributes()[0].value(), Some(signed_up.user_sub()));
    let flow = aws_sdk_cognitoidentityprovider::types::AuthFlowType::RefreshTokenAuth;
    let refresh = || {
        let refresh = pool.api.aws().initiate_auth().client_id(&pool.client_id).auth_flow(flow.clone());
        refresh.auth_parameters("REFRESH_TOKEN", tokens.refresh_token().unwrap())
    };
    assert!(refresh().send().await.unwrap().authentication_result().unwrap().refresh_token().is_none());
    pool.api.aws().global_sign_out().access_token(access_token).send().await.unwrap();
    let refused = refresh().send().await.unwrap_err().into_service_error();
    assert!(refused.is_not_authorized_exception(), "{refused:?}");
    pool.verify().await;
}

#[tokio::test]
async fn a_name_is_taken_once() {
    let pool = Pool::create().await;
    let person = pool.person("once").await;
    let again = pool.sign_up(&person.username, &[("email", "other@example.com")]).await;
    let refusal = again.unwrap_err();
    assert_eq!(refusal.pair(), ("UsernameExistsException", "User already exists"));
    assert_eq!(refusal.code, Code::AlreadyExists);
    // The same name in another pool is free.
    let other = Pool::create().await;
    other.sign_up(&person.username, &[("email", &person.email)]).await.unwrap();
    other.verify().await;
    pool.verify().await;
}

#[tokio::test]
async fn a_uuid_is_a_name_like_others_unless_it_is_the_sub_of_somebody() {
    let uuid = || userpool::environment::Random::default().uuid().to_string();
    for case_sensitive in [true, false] {
        let configuration = UsernameConfigurationType { case_sensitive: Some(case_sensitive) };
        let request = CreateUserPoolRequest { username_configuration: Some(configuration), ..email_pool() };
        let pool = Pool::create_with(request, password_client()).await;
        let (name, email) = (uuid(), format!("{}@example.com", unique("uuid")));
        let sub = pool.sign_up(&name, &[("email", &email)]).await.unwrap().user_sub.unwrap();
        assert_ne!(sub, name);
        pool.confirm(&name, &pool.api.code_for(&email).await).await.unwrap();
        for known in [&name, &sub] {
            let tokens = pool.sign_in(known, PASSWORD).await.unwrap();
            let user = pool.get_user(tokens.access_token()).await.unwrap();
            assert_eq!(
                (user.username(), by_name(&user.user_attributes)["sub"].as_str()),
                (name.as_str(), sub.as_str())
            );
            assert_eq!(pool.admin_get_user(known).await.unwrap().username(), name);
        }
        let created = uuid();
        assert_eq!(pool.create_user(&created, &[], PASSWORD).await.username(), created);
        // Names and `sub`s share one namespace.
        let folded = sub.to_uppercase();
        for taken in [&name, &sub, &folded].into_iter().take(if case_sensitive { 2 } else { 3 }) {
            assert_refused(pool.sign_up(taken, &[]).await, "UsernameExistsException", "User already exists");
            let created = pool.api.call(pool.create_user_request(taken, &[])).await;
            assert_refused(created, "UsernameExistsException", "User account already exists");
        }
        let raced = uuid();
        let answers = futures::future::join_all((0..4).map(|_| pool.sign_up(&raced, &[]))).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        pool.verify().await;
    }
}

#[tokio::test]
async fn names_differ_by_case_unless_the_pool_says_otherwise() {
    let strict = Pool::create().await;
    let name = unique("case");
    strict.sign_up(&name, &[]).await.unwrap();
    strict.sign_up(&name.to_uppercase(), &[]).await.unwrap();
    strict.verify().await;

    let insensitive = CreateUserPoolRequest {
        username_configuration: Some(UsernameConfigurationType { case_sensitive: Some(false) }),
        ..email_pool()
    };
    let loose = Pool::create_with(insensitive, password_client()).await;
    let person = loose.person("Case").await;
    let upper = person.username.to_uppercase();
    assert_refused(loose.sign_up(&upper, &[]).await, "UsernameExistsException", "User already exists");
    let tokens = loose.sign_in(&upper, PASSWORD).await.unwrap();
    // It is shown as it was first written.
    assert_eq!(
        loose.get_user(tokens.access_token()).await.unwrap().username.as_deref(),
        Some(person.username.as_str())
    );
    assert_eq!(loose.admin_get_user(&upper).await.unwrap().username(), person.username);
    loose.verify().await;
}

#[tokio::test]
async fn a_password_conforms_to_the_policy() {
    let pool = Pool::create().await;
    let name = unique("policy");
    let with = |password: &str| SignUpRequest { password: Some(password.into()), ..pool.sign_up_request(&name, &[]) };
    for (password, what) in [
        ("aA1!", "Password not long enough"),
        ("AAAAAAA1!", "Password must have lowercase characters"),
        ("aaaaaaa1!", "Password must have uppercase characters"),
        ("aaaaaaaA!", "Password must have numeric characters"),
        ("aaaaaaA1", "Password must have symbol characters"),
    ] {
        let message = format!("Password did not conform with policy: {what}");
        assert_refused(pool.api.call(with(password)).await, "InvalidPasswordException", &message);
    }
    let missing = SignUpRequest { password: None, ..pool.sign_up_request(&name, &[]) };
    assert_refused(pool.api.call(missing).await, "InvalidParameterException", "Missing required parameter Password");
    let too_long = pool.api.call(with(&"aA1!".repeat(65))).await.unwrap_err();
    assert_eq!(too_long.exception, "InvalidParameterException");
    assert!(
        too_long
            .message
            .contains("'password' failed to satisfy constraint: Member must have length less than or equal to 256"),
        "{}",
        too_long.message
    );
    assert!(!too_long.message.contains("aA1!"), "a password is never shown");
    assert_eq!(too_long.fields, ["password"]);
    pool.verify().await;

    let easy = PasswordPolicyType { minimum_length: Some(6), ..Default::default() };
    let policies = UserPoolPolicyType { password_policy: Some(easy), ..Default::default() };
    let pool =
        Pool::create_with(CreateUserPoolRequest { policies: Some(policies), ..email_pool() }, password_client()).await;
    let easy = SignUpRequest { password: Some("simple".into()), ..pool.sign_up_request(&name, &[]) };
    pool.api.call(easy).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn attributes_conform_to_the_schema() {
    let attribute = |name: &str, kind: &str| SchemaAttributeType {
        name: Some(name.into()),
        attribute_data_type: Some(kind.into()),
        ..Default::default()
    };
    let length = |min: &str, max: &str| StringAttributeConstraintsType {
        min_length: Some(min.into()),
        max_length: Some(max.into()),
    };
    let range = NumberAttributeConstraintsType { min_value: Some("1".into()), max_value: Some("120".into()) };
    let schema = vec![
        SchemaAttributeType { required: Some(true), ..attribute("family_name", "String") },
        SchemaAttributeType { string_attribute_constraints: Some(length("2", "4")), ..attribute("plan", "String") },
        SchemaAttributeType { number_attribute_constraints: Some(range), ..attribute("age", "Number") },
        attribute("member", "Boolean"),
        attribute("since", "DateTime"),
        SchemaAttributeType { developer_only_attribute: Some(true), ..attribute("note", "String") },
    ];
    let pool = Pool::create_with(CreateUserPoolRequest { schema, ..email_pool() }, password_client()).await;
    let name = unique("schema");
    let unconforming = |what: &str| format!("Attributes did not conform to the schema: {what}");
    for (value, message) in [
        (("custom:color", "blue"), unconforming("Type for attribute {custom:color} could not be determined")),
        (("custom:plan", "x"), unconforming("custom:plan: The length must be at least 2")),
        (("custom:plan", "xxxxx"), unconforming("custom:plan: The length must be at most 4")),
        (("custom:age", "0"), unconforming("custom:age: The value must be at least 1")),
        (("custom:age", "121"), unconforming("custom:age: The value must be at most 120")),
        (("custom:age", "ten"), unconforming("custom:age: The value is not a number")),
        (("custom:member", "maybe"), unconforming("custom:member: The value is neither true nor false")),
        (("custom:since", "monday"), unconforming("custom:since: The value is not a time in seconds since 1970")),
        (("email", "not an address"), "Invalid email address format.".to_owned()),
        (("phone_number", "0123"), "Invalid phone number format.".to_owned()),
    ] {
        let refused = pool.sign_up(&name, &[("family_name", "Doe"), value]).await;
        assert_refused(refused, "InvalidParameterException", &message);
    }
    let missing = unconforming("family_name: The attribute is required");
    assert_refused(pool.sign_up(&name, &[]).await, "InvalidParameterException", &missing);
    for forbidden in [
        ("sub", "6f1c7d3e-0000-4000-8000-000000000001"),
        ("email_verified", "true"),
        ("phone_number_verified", "true"),
        ("dev:custom:note", "x"),
        ("identities", "[]"),
    ] {
        let refused = pool.sign_up(&name, &[("family_name", "Doe"), forbidden]).await;
        assert_refused(refused, "NotAuthorizedException", "A client attempted to write unauthorized attribute");
    }
    let good = [
        ("family_name", "Doe"),
        ("custom:plan", "gold"),
        ("custom:age", "42"),
        ("custom:member", "true"),
        ("custom:since", "1700000000"),
    ];
    let person = pool.person_with("schema", &good).await;
    let shown = by_name(&pool.admin_get_user(&person.username).await.unwrap().user_attributes);
    for (name, value) in good {
        assert_eq!(shown[name], value);
    }
    pool.verify().await;
}

#[tokio::test]
async fn a_client_writes_only_its_write_attributes() {
    let client = CreateUserPoolClientRequest { write_attributes: texts(&["email", "nickname"]), ..password_client() };
    let pool = Pool::create_with(email_pool(), client).await;
    let name = unique("write");
    let refused = pool.sign_up(&name, &[("given_name", "Jane")]).await;
    assert_refused(refused, "NotAuthorizedException", "A client attempted to write unauthorized attribute");
    pool.sign_up(&name, &[("nickname", "jj"), ("email", &format!("{name}@example.com"))]).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn a_client_with_a_secret_needs_its_hash() {
    let client = CreateUserPoolClientRequest { generate_secret: Some(true), ..password_client() };
    let pool = Pool::create_with(email_pool(), password_client()).await;
    let client = pool.add_client(client).await;
    let (id, secret) = (client.client_id(), client.client_secret());
    let name = unique("secret");
    let email = format!("{name}@example.com");
    let sign_up = |hash: Option<String>| SignUpRequest {
        client_id: Some(id.to_owned()),
        secret_hash: hash,
        ..pool.sign_up_request(&name, &[("email", &email)])
    };
    let missing = format!("Client {id} is configured with secret but SECRET_HASH was not received");
    let wrong = format!("Unable to verify secret hash for client {id}");
    let (right, other) = (secret_hash(secret, &name, id), secret_hash("another", &name, id));
    assert_refused(pool.api.call(sign_up(None)).await, "NotAuthorizedException", &missing);
    assert_refused(pool.api.call(sign_up(Some(other.clone()))).await, "NotAuthorizedException", &wrong);
    pool.api.call(sign_up(Some(right.clone()))).await.unwrap();

    let code = pool.api.code_for(&email).await;
    let confirm = |hash: Option<&String>| ConfirmSignUpRequest {
        client_id: Some(id.to_owned()),
        secret_hash: hash.cloned(),
        ..pool.confirm_request(&name, &code)
    };
    assert_refused(pool.api.call(confirm(None)).await, "NotAuthorizedException", &missing);
    assert_refused(pool.api.call(confirm(Some(&other))).await, "NotAuthorizedException", &wrong);
    pool.api.call(confirm(Some(&right))).await.unwrap();

    let sign_in = |hash: Option<&String>| {
        let mut request = pool.sign_in_request(&name, PASSWORD);
        request.client_id = Some(id.to_owned());
        request.auth_parameters.extend(hash.map(|hash| ("SECRET_HASH".to_owned(), hash.clone())));
        request
    };
    assert_refused(pool.api.call(sign_in(None)).await, "NotAuthorizedException", &missing);
    assert_refused(pool.api.call(sign_in(Some(&other))).await, "NotAuthorizedException", &wrong);
    let tokens = pool.api.call(sign_in(Some(&right))).await.unwrap().authentication_result.unwrap();

    let refresh = |hash: Option<&String>| {
        let mut request = pool.refresh_request(tokens.refresh_token());
        request.client_id = Some(id.to_owned());
        request.auth_parameters.extend(hash.map(|hash| ("SECRET_HASH".to_owned(), hash.clone())));
        request
    };
    assert_refused(pool.api.call(refresh(None)).await, "NotAuthorizedException", &missing);
    let wrong = format!("SecretHash does not match for the client: {id}");
    assert_refused(pool.api.call(refresh(Some(&other))).await, "NotAuthorizedException", &wrong);
    pool.api.call(refresh(Some(&right))).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn without_an_attribute_to_verify_no_code_is_sent() {
    let pool = Pool::create_with(CreateUserPoolRequest::default(), password_client()).await;
    let name = unique("nocode");
    let email = format!("{name}@example.com");
    let signed_up = pool.sign_up(&name, &[("email", &email)]).await.unwrap();
    assert_eq!(signed_up.code_delivery_details, None);
    assert_refused(pool.confirm(&name, "123456").await, OLD_CODE.0, OLD_CODE.1);
    assert_eq!(pool.admin_get_user(&name).await.unwrap().user_status.as_deref(), Some("UNCONFIRMED"));
    // A message that was sent later has arrived, so this one would have arrived too.
    let other = Pool::create().await;
    let person = other.person("later").await;
    assert_eq!(pool.api.mailbox(&person.email).await.len(), 1);
    assert!(pool.api.mailbox(&email).await.is_empty());
    other.verify().await;
    pool.verify().await;
}

#[tokio::test]
async fn a_phone_number_is_verified_before_an_address() {
    let both = CreateUserPoolRequest {
        auto_verified_attributes: texts(&["email", "phone_number"]),
        sms_verification_message: Some("Your number: {####}.".into()),
        ..Default::default()
    };
    let pool = Pool::create_with(both, password_client()).await;
    let (name, phone) = (unique("phone"), unique_phone());
    let email = format!("{name}@example.com");
    let signed_up = pool.sign_up(&name, &[("email", &email), ("phone_number", &phone)]).await.unwrap();
    let delivery = signed_up.code_delivery_details.unwrap();
    assert_eq!(delivery.delivery_medium.as_deref(), Some("SMS"));
    assert_eq!(delivery.attribute_name.as_deref(), Some("phone_number"));
    assert_eq!(delivery.destination, Some(format!("+{}{}", "*".repeat(9), &phone[phone.len() - 4..])));
    let message = pool.api.messages_for(&phone, 1).await.remove(0);
    let code = message["code"].as_str().unwrap();
    assert_eq!(message["body"], format!("Your number: {code}."));
    assert_eq!((&message["medium"], &message["subject"]), (&"SMS".into(), &serde_json::Value::Null));
    pool.confirm(&name, code).await.unwrap();
    let shown = by_name(&pool.admin_get_user(&name).await.unwrap().user_attributes);
    assert_eq!((shown["phone_number_verified"].as_str(), shown["email_verified"].as_str()), ("true", "false"));
    pool.verify().await;
}

#[tokio::test]
async fn a_message_follows_the_pools_template() {
    let template = VerificationMessageTemplateType {
        email_subject: Some("Welcome".into()),
        email_message: Some("Hello {username}, {####} it is".into()),
        ..Default::default()
    };
    let request = CreateUserPoolRequest { verification_message_template: Some(template), ..email_pool() };
    let pool = Pool::create_with(request, password_client()).await;
    let name = unique("template");
    let email = format!("{name}@example.com");
    pool.sign_up(&name, &[("email", &email)]).await.unwrap();
    let message = pool.api.messages_for(&email, 1).await.remove(0);
    assert_eq!(message["subject"], "Welcome");
    assert_eq!(message["body"], format!("Hello {name}, {} it is", message["code"].as_str().unwrap()));
    pool.verify().await;
}

#[tokio::test]
async fn five_wrong_guesses_spend_a_code() {
    let pool = Pool::create().await;
    let name = unique("guess");
    let email = format!("{name}@example.com");
    pool.sign_up(&name, &[("email", &email)]).await.unwrap();
    let code = pool.api.code_for(&email).await;
    for _ in 0..5 {
        assert_refused(pool.confirm(&name, &other_than(&code)).await, WRONG_CODE.0, WRONG_CODE.1);
    }
    for guess in [other_than(&code), code] {
        let refusal = pool.confirm(&name, &guess).await.unwrap_err();
        assert_eq!(refusal.exception, "LimitExceededException");
        assert_eq!(refusal.code, Code::ResourceExhausted);
    }
    assert_eq!(pool.admin_get_user(&name).await.unwrap().user_status(), "UNCONFIRMED");
    pool.verify().await;
}

#[tokio::test]
async fn a_code_works_once_and_for_its_user_only() {
    let pool = Pool::create().await;
    let (first, second) = (unique("first"), unique("second"));
    for name in [&first, &second] {
        pool.sign_up(name, &[("email", &format!("{name}@example.com"))]).await.unwrap();
    }
    let code = pool.api.code_for(&format!("{first}@example.com")).await;
    if code != pool.api.code_for(&format!("{second}@example.com")).await {
        assert_refused(pool.confirm(&second, &code).await, WRONG_CODE.0, WRONG_CODE.1);
    }
    pool.confirm(&first, &code).await.unwrap();
    assert_refused(
        pool.confirm(&first, &code).await,
        "NotAuthorizedException",
        "User cannot be confirmed. Current status is CONFIRMED",
    );
    pool.verify().await;
}

fn client(hiding: &str) -> CreateUserPoolClientRequest {
    CreateUserPoolClientRequest { prevent_user_existence_errors: Some(hiding.into()), ..password_client() }
}

async fn resend(pool: &Pool, name: &str) -> Result<CodeDeliveryDetailsType, Refusal> {
    let request = ResendConfirmationCodeRequest {
        client_id: Some(pool.client_id.clone()),
        username: Some(name.to_owned()),
        ..Default::default()
    };
    Ok(pool.api.call(request).await?.code_delivery_details.expect("where the code went"))
}

/// The answers to a caller who guesses at a name, asks for codes until there are no more, and guesses again.
async fn answers(pool: &Pool, name: &str) -> Vec<String> {
    let told = |refusal: Refusal| format!("{}: {}", refusal.exception, refusal.message);
    let mut answers = Vec::new();
    answers.push(pool.confirm(name, "no-code").await.err().map_or("OK".to_owned(), told));
    for _ in 0..6 {
        let delivery = resend(pool, name).await;
        answers.push(delivery.map_or_else(told, |it| format!("{} {}", it.delivery_medium(), it.attribute_name())));
    }
    for _ in 0..6 {
        answers.push(pool.confirm(name, "no-code").await.err().map_or("OK".to_owned(), told));
    }
    answers
}

#[tokio::test]
async fn answers_are_the_same_for_every_name_where_users_are_hidden() {
    let pool = Pool::create_with(email_pool(), client("ENABLED")).await;
    let [unconfirmed, disabled, without_address] = ["unconfirmed", "disabled", "nowhere"].map(unique);
    let address = |name: &str| format!("{name}@example.com");
    for name in [&unconfirmed, &disabled] {
        pool.sign_up(name, &[("email", &address(name))]).await.unwrap();
    }
    pool.sign_up(&without_address, &[]).await.unwrap();
    let (user_pool_id, username) = (Some(pool.id.clone()), Some(disabled.clone()));
    pool.api.call(AdminDisableUserRequest { user_pool_id, username }).await.unwrap();
    let confirmed = pool.person("confirmed").await;
    // Moves the registration's code into an earlier hour.
    let database = sqlx::PgPool::connect(&pool.api.environment().database_url()).await.unwrap();
    let aged = sqlx::query("update codes set window_began = window_began - interval '1 hour' where user_pool_id = $1");
    assert_eq!(aged.bind(&pool.id).execute(&database).await.unwrap().rows_affected(), 3);

    let (wrong, limit) = (format!("{}: {}", WRONG_CODE.0, WRONG_CODE.1), format!("{}: {}", LIMIT.0, LIMIT.1));
    let expected =
        [vec![wrong.clone()], vec!["EMAIL email".to_owned(); 5], vec![limit.clone()], vec![wrong; 5], vec![limit]];
    let names = [unconfirmed.clone(), disabled.clone(), without_address, confirmed.username, unique("nobody")];
    for name in &names {
        assert_eq!(answers(&pool, name).await, expected.concat(), "{name}");
    }
    // Besides the registration's code, codes went only to users who can be confirmed.
    pool.api.messages_for(&address(&unconfirmed), 2).await;
    assert_eq!(pool.api.mailbox(&address(&disabled)).await.len(), 1);
    assert_eq!(pool.api.mailbox(&confirmed.email).await.len(), 1);
    pool.verify().await;
}

#[tokio::test]
async fn guesses_at_a_name_that_nobody_has_are_limited_and_the_name_stays_free() {
    let pool = Pool::create_with(email_pool(), client("ENABLED")).await;
    let name = unique("later");
    for _ in 0..5 {
        assert_refused(pool.confirm(&name, "123456").await, WRONG_CODE.0, WRONG_CODE.1);
    }
    assert_refused(pool.confirm(&name, "123456").await, LIMIT.0, LIMIT.1);
    let email = format!("{name}@example.com");
    pool.sign_up(&name, &[("email", &email)]).await.unwrap();
    pool.confirm(&name, &pool.api.code_for(&email).await).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn a_caller_with_the_code_reads_its_outcome_even_where_users_are_hidden() {
    let pool = Pool::create_with(email_pool(), client("ENABLED")).await;
    let mut people = Vec::new();
    for name in ["twice", "late", "disabled"].map(unique) {
        let email = format!("{name}@example.com");
        let sub = pool.sign_up(&name, &[("email", &email)]).await.unwrap().user_sub.unwrap();
        let code = pool.api.code_for(&email).await;
        people.push((name, code, sub.parse::<uuid::Uuid>().unwrap()));
    }
    let [(twice, code, _), late, disabled] = &people[..] else { panic!("three people") };
    pool.confirm(twice, code).await.unwrap();
    let confirmed = ("NotAuthorizedException", "User cannot be confirmed. Current status is CONFIRMED");
    assert_refused(pool.confirm(twice, code).await, confirmed.0, confirmed.1);
    assert_refused(pool.confirm(twice, &other_than(code)).await, WRONG_CODE.0, WRONG_CODE.1);

    let database = sqlx::PgPool::connect(&pool.api.environment().database_url()).await.unwrap();
    let aged = sqlx::query("update codes set expires_at = now() where user_pool_id = $1 and sub = $2");
    assert_eq!(aged.bind(&pool.id).bind(late.2).execute(&database).await.unwrap().rows_affected(), 1);
    assert_refused(pool.confirm(&late.0, &late.1).await, OLD_CODE.0, OLD_CODE.1);
    assert_refused(pool.confirm(&late.0, &other_than(&late.1)).await, WRONG_CODE.0, WRONG_CODE.1);

    let (user_pool_id, username) = (Some(pool.id.clone()), Some(disabled.0.clone()));
    pool.api.call(AdminDisableUserRequest { user_pool_id, username }).await.unwrap();
    assert_refused(pool.confirm(&disabled.0, &disabled.1).await, "NotAuthorizedException", "User is disabled.");
    assert_refused(pool.confirm(&disabled.0, &other_than(&disabled.1)).await, WRONG_CODE.0, WRONG_CODE.1);
    pool.verify().await;
}

#[tokio::test]
async fn answers_show_whether_a_user_exists_where_the_client_does_not_hide_it() {
    let pool = Pool::create_with(email_pool(), client("LEGACY")).await;
    let unknown = ("UserNotFoundException", "User does not exist.");
    let nobody = unique("nobody");
    assert_refused(pool.confirm(&nobody, "123456").await, unknown.0, unknown.1);
    assert_refused(resend(&pool, &nobody).await, unknown.0, unknown.1);
    let confirmed = pool.person("confirmed").await;
    let already = ("InvalidParameterException", "User is already confirmed.");
    assert_refused(resend(&pool, &confirmed.username).await, already.0, already.1);
    pool.verify().await;
}

#[tokio::test]
async fn an_alias_names_the_user_once_it_is_verified() {
    let request = CreateUserPoolRequest { alias_attributes: texts(&["email"]), ..email_pool() };
    let pool = Pool::create_with(request, password_client()).await;
    let (first, second) = (unique("holder"), unique("taker"));
    let email = format!("{}@example.com", unique("shared"));
    let as_address = pool.sign_up(&email, &[]).await;
    let message = "Username cannot be of email format, since user pool is configured for email alias.";
    assert_refused(as_address, "InvalidParameterException", message);

    pool.sign_up(&first, &[("email", &email)]).await.unwrap();
    assert_refused(pool.sign_in(&email, PASSWORD).await, "UserNotFoundException", "User does not exist.");
    let first_code = pool.api.code_for(&email).await;
    pool.confirm(&first, &first_code).await.unwrap();
    for alias in [&email, &first] {
        let tokens = pool.sign_in(alias, PASSWORD).await.unwrap();
        assert_eq!(pool.get_user(tokens.access_token()).await.unwrap().username(), first);
    }

    // Another user may have the same address, but it names one user at a time.
    pool.sign_up(&second, &[("email", &email)]).await.unwrap();
    let messages = pool.api.messages_for(&email, 2).await;
    let second_code = messages[0]["code"].as_str().unwrap().to_owned();
    assert_refused(
        pool.confirm(&second, &second_code).await,
        "AliasExistsException",
        "An account with the email already exists.",
    );
    let tokens = pool.sign_in(&email, PASSWORD).await.unwrap();
    assert_eq!(pool.get_user(tokens.access_token()).await.unwrap().username(), first);

    let forced =
        ConfirmSignUpRequest { force_alias_creation: Some(true), ..pool.confirm_request(&second, &second_code) };
    pool.api.call(forced).await.unwrap();
    let tokens = pool.sign_in(&email, PASSWORD).await.unwrap();
    assert_eq!(pool.get_user(tokens.access_token()).await.unwrap().username(), second);
    let shown = by_name(&pool.admin_get_user(&first).await.unwrap().user_attributes);
    assert_eq!((shown["email"].as_str(), shown["email_verified"].as_str()), (email.as_str(), "false"));
    pool.sign_in(&first, PASSWORD).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn a_phone_number_can_be_an_alias() {
    let request = CreateUserPoolRequest {
        alias_attributes: texts(&["phone_number"]),
        auto_verified_attributes: texts(&["phone_number"]),
        ..Default::default()
    };
    let pool = Pool::create_with(request, password_client()).await;
    let (name, phone) = (unique("caller"), unique_phone());
    let message = "Username cannot be of phone number format, since user pool is configured for phone number alias.";
    assert_refused(pool.sign_up(&phone, &[]).await, "InvalidParameterException", message);
    pool.sign_up(&name, &[("phone_number", &phone)]).await.unwrap();
    pool.confirm(&name, &pool.api.code_for(&phone).await).await.unwrap();
    pool.sign_in(&phone, PASSWORD).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn an_address_can_be_the_name() {
    let request = CreateUserPoolRequest {
        username_attributes: texts(&["email", "phone_number"]),
        auto_verified_attributes: texts(&["email", "phone_number"]),
        ..Default::default()
    };
    let pool = Pool::create_with(request, password_client()).await;
    let email = format!("{}@example.com", unique("address"));
    let phone = unique_phone();
    let invalid = "Username should be either an email or a phone number.";
    assert_refused(pool.sign_up("jane", &[]).await, "InvalidParameterException", invalid);
    let other = pool.sign_up(&email, &[("email", "other@example.com")]).await;
    assert_refused(other, "InvalidParameterException", "The attribute email and the Username must be the same.");
    for (address, taken) in [
        (&email, "An account with the given email already exists."),
        (&phone, "An account with the given phone_number already exists."),
    ] {
        let sub = pool.sign_up(address, &[]).await.unwrap().user_sub.unwrap();
        assert_refused(pool.sign_up(address, &[]).await, "UsernameExistsException", taken);
        pool.confirm(address, &pool.api.code_for(address).await).await.unwrap();
        let tokens = pool.sign_in(address, PASSWORD).await.unwrap();
        let user = pool.get_user(tokens.access_token()).await.unwrap();
        // The name itself is the `sub`.
        assert_eq!(user.username(), sub);
        assert!(by_name(&user.user_attributes).values().any(|value| value == address));
        pool.sign_in(&sub, PASSWORD).await.unwrap();
    }
    pool.verify().await;

    for (attribute, message) in
        [("email", "Username should be an email."), ("phone_number", "Username should be a phone number.")]
    {
        let request = CreateUserPoolRequest { username_attributes: texts(&[attribute]), ..Default::default() };
        let pool = Pool::create_with(request, password_client()).await;
        assert_refused(pool.sign_up("jane", &[]).await, "InvalidParameterException", message);
        pool.verify().await;
    }
}

#[tokio::test]
async fn sign_up_can_be_closed() {
    let config = AdminCreateUserConfigType { allow_admin_create_user_only: Some(true), ..Default::default() };
    let request = CreateUserPoolRequest { admin_create_user_config: Some(config), ..email_pool() };
    let pool = Pool::create_with(request, password_client()).await;
    let refused = pool.sign_up(&unique("closed"), &[]).await;
    assert_refused(refused, "NotAuthorizedException", "SignUp is not permitted for this user pool");
    pool.verify().await;
}

#[tokio::test]
async fn an_unknown_client_is_not_found() {
    let api = Api::connect().await;
    let request = SignUpRequest {
        client_id: Some("0123456789abcdefghijklmnop".into()),
        username: Some("jane".into()),
        password: Some(PASSWORD.into()),
        user_attributes: attributes(&[]),
        ..Default::default()
    };
    let refusal = api.call(request).await.unwrap_err();
    let message = "User pool client 0123456789abcdefghijklmnop does not exist.";
    assert_eq!(refusal.pair(), ("ResourceNotFoundException", message));
    assert_eq!(refusal.code, Code::NotFound);
}

#[tokio::test]
async fn an_expired_code_is_refused() {
    let pool = Pool::create().await;
    let name = unique("late");
    let email = format!("{name}@example.com");
    pool.sign_up(&name, &[("email", &email)]).await.unwrap();
    let code = pool.api.code_for(&email).await;
    // The test can't wait for a day, so it ends the code now.
    let database = sqlx::PgPool::connect(&pool.api.environment().database_url()).await.unwrap();
    let aged = sqlx::query("update codes set expires_at = expires_at - interval '24 hours' where user_pool_id = $1");
    assert_eq!(aged.bind(&pool.id).execute(&database).await.unwrap().rows_affected(), 1);
    assert_refused(pool.confirm(&name, &code).await, OLD_CODE.0, OLD_CODE.1);
    pool.verify().await;
}

#[tokio::test]
async fn names_of_unusual_form_are_names() {
    let pool = Pool::create().await;
    let suffix = unique("");
    for name in [
        format!("{}{suffix}", "x".repeat(128 - suffix.len())),
        format!("Ünïcode-日本語-🙂{suffix}"),
        format!("a+b=c,d.e@f{suffix}"),
        format!("'\"\\;--{suffix}"),
        format!("users/{suffix}%_"),
    ] {
        let sub = pool.sign_up(&name, &[]).await.unwrap().user_sub.unwrap();
        let found = pool.admin_get_user(&name).await.unwrap();
        assert_eq!((found.username(), found.user_attributes[0].value()), (name.as_str(), sub.as_str()));
        assert_refused(pool.sign_up(&name, &[]).await, "UsernameExistsException", "User already exists");
    }
    for name in [String::new(), "with space".to_owned(), "tab\t".to_owned(), "x".repeat(129), "nul\0".to_owned()] {
        let refusal = pool.sign_up(&name, &[]).await.unwrap_err();
        assert_eq!((refusal.exception.as_str(), refusal.fields[0].as_str()), ("InvalidParameterException", "username"));
    }
    pool.verify().await;
}

#[tokio::test]
async fn a_deleted_users_alias_is_free() {
    let request = CreateUserPoolRequest { alias_attributes: texts(&["email"]), ..email_pool() };
    let pool = Pool::create_with(request, password_client()).await;
    let person = pool.person("first").await;
    let tokens = pool.sign_in(&person.email, PASSWORD).await.unwrap();
    pool.delete_user(tokens.access_token()).await.unwrap();
    let next = unique("next");
    pool.sign_up(&next, &[("email", &person.email)]).await.unwrap();
    pool.confirm(&next, &pool.api.code_for(&person.email).await).await.unwrap();
    assert_eq!(pool.admin_get_user(&person.email).await.unwrap().username(), next);
    pool.verify().await;
}

#[tokio::test]
async fn a_preferred_name_that_is_an_alias_waits_for_the_confirmation() {
    let request = CreateUserPoolRequest { alias_attributes: texts(&["preferred_username"]), ..email_pool() };
    let pool = Pool::create_with(request, password_client()).await;
    let refused = pool.sign_up(&unique("eager"), &[("preferred_username", "nick")]).await;
    let message = "Preferred username cannot be provided for unconfirmed account, since user pool is configured for \
    preferred username alias.";
    assert_refused(refused, "InvalidParameterException", message);
    pool.verify().await;

    // Where the preferred name is no alias, it is an ordinary attribute: it finds no user, and two users may share it.
    let pool = Pool::create().await;
    let (one, other, nick) = (unique("one"), unique("other"), unique("nick"));
    for name in [&one, &other] {
        pool.sign_up(name, &[("preferred_username", &nick)]).await.unwrap();
    }
    assert_refused(pool.admin_get_user(&nick).await, "UserNotFoundException", "User does not exist.");
    pool.sign_up(&nick, &[("preferred_username", &one)]).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn an_address_that_may_be_a_name_belongs_to_one_user() {
    let request = CreateUserPoolRequest {
        username_attributes: texts(&["email", "phone_number"]),
        auto_verified_attributes: texts(&["email"]),
        ..Default::default()
    };
    let pool = Pool::create_with(request, password_client()).await;
    let address = || format!("{}@example.com", unique("belongs"));
    let (first, second, phone) = (address(), address(), unique_phone());
    let sub = pool.sign_up(&first, &[("phone_number", &phone)]).await.unwrap().user_sub.unwrap();
    let taken = "An account with the given phone_number already exists.";
    let refused = pool.sign_up(&second, &[("phone_number", &phone)]).await;
    assert_refused(refused, "UsernameExistsException", taken);
    assert_refused(pool.sign_up(&phone, &[]).await, "UsernameExistsException", taken);
    for name in [&first, &phone, &sub] {
        assert_eq!(pool.admin_get_user(name).await.unwrap().username(), sub);
    }
    pool.verify().await;
}

#[tokio::test]
async fn addresses_compare_like_names() {
    let insensitive = Some(UsernameConfigurationType { case_sensitive: Some(false) });
    let request = CreateUserPoolRequest {
        username_attributes: texts(&["email"]),
        username_configuration: insensitive,
        ..email_pool()
    };
    let pool = Pool::create_with(request, password_client()).await;
    let email = format!("{}@Example.com", unique("Mixed"));
    pool.sign_up(&email, &[]).await.unwrap();
    let taken = "An account with the given email already exists.";
    assert_refused(pool.sign_up(&email.to_lowercase(), &[]).await, "UsernameExistsException", taken);
    pool.confirm(&email.to_uppercase(), &pool.api.code_for(&email).await).await.unwrap();
    pool.sign_in(&email.to_lowercase(), PASSWORD).await.unwrap();
    pool.verify().await;

    let request = CreateUserPoolRequest {
        alias_attributes: texts(&["email"]),
        username_configuration: insensitive,
        ..email_pool()
    };
    let pool = Pool::create_with(request, password_client()).await;
    let person = pool.person("Alias").await;
    pool.sign_in(&person.email.to_uppercase(), PASSWORD).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn all_spellings_of_a_mailbox_are_one_name() {
    let request = CreateUserPoolRequest { username_attributes: texts(&["email"]), ..email_pool() };
    let pool = Pool::create_with(request, password_client()).await;
    let name = unique("mailbox");
    let spellings = ["example.com", "EXAMPLE.com", "\u{ff45}xample.com", "example\u{ff0e}com"];
    let spellings = spellings.map(|domain| format!("{name}@{domain}"));
    let answers = futures::future::join_all(spellings.iter().map(|spelled| pool.sign_up(spelled, &[]))).await;
    let (good, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    let sub = good[0].as_ref().unwrap().user_sub().to_owned();
    assert_eq!(good.len(), 1);
    for refused in refused {
        assert_refused(refused, "UsernameExistsException", "An account with the given email already exists.");
    }
    for spelled in &spellings {
        assert_eq!(pool.admin_get_user(spelled).await.unwrap().username(), sub, "{spelled}");
    }
    let nowhere = pool.sign_up(&unique("nobody"), &[("email", "jane@\u{ad}")]).await;
    assert_refused(nowhere, "InvalidParameterException", "Invalid email address format.");
    pool.verify().await;

    // Invisible characters in an address don't make it another alias.
    let request = CreateUserPoolRequest { alias_attributes: texts(&["email"]), ..email_pool() };
    let pool = Pool::create_with(request, password_client()).await;
    let (plain, hidden) = (format!("{name}@exämple.com"), format!("{name}@xn--ex\u{ad}mple-cua.com"));
    let holder = unique("holder");
    pool.create_user(&holder, &[("email", &hidden), ("email_verified", "true")], "Temporary-horse-7").await;
    let shown = by_name(&pool.admin_get_user(&plain).await.unwrap().user_attributes);
    assert_eq!(shown["email"], hidden, "it is shown as it was typed");
    let taken = pool.create_user_request(&unique("taker"), &[("email", &plain), ("email_verified", "true")]);
    let taken = AdminCreateUserRequest { message_action: Some("SUPPRESS".to_owned()), ..taken };
    let message = "An account with the given email already exists.";
    assert_refused(pool.api.call(taken.clone()).await, "UsernameExistsException", message);
    // A user who loses the alias loses all its spellings.
    pool.api.call(AdminCreateUserRequest { force_alias_creation: Some(true), ..taken.clone() }).await.unwrap();
    for spelled in [plain.clone(), plain.replace("exämple", "EXÄMPLE"), format!("{name}@xn--exmple-cua.com")] {
        assert_eq!(pool.admin_get_user(&spelled).await.unwrap().username(), taken.username(), "{spelled}");
    }
    pool.verify().await;
}
