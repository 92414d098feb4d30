//! Attributes: set, verified and deleted, by users and by administrators.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::join_all;
use userpool::proto::v1::*;

use crate::support::client::{Refusal, assert_refused};
use crate::support::pool::{
    PASSWORD, Person, Pool, attributes, by_name, email_pool, other_than, password_client, text_attribute, texts,
    unique, unique_phone,
};

const WRONG_CODE: (&str, &str) = ("CodeMismatchException", "Invalid verification code provided, please try again.");
const OLD_CODE: (&str, &str) = ("ExpiredCodeException", "Invalid code provided, please request a code again.");
const LIMIT: (&str, &str) = ("LimitExceededException", "Attempt limit exceeded, please try after some time.");
const TAKEN: (&str, &str) = ("AliasExistsException", "An account with the email already exists.");
const UNAUTHORIZED: (&str, &str) = ("NotAuthorizedException", "A client attempted to write unauthorized attribute");

fn update_request(token: &str, values: &[(&str, &str)]) -> UpdateUserAttributesRequest {
    UpdateUserAttributesRequest {
        access_token: Some(token.to_owned()),
        user_attributes: attributes(values),
        ..Default::default()
    }
}

async fn update(pool: &Pool, token: &str, values: &[(&str, &str)]) -> Result<Vec<CodeDeliveryDetailsType>, Refusal> {
    Ok(pool.api.call(update_request(token, values)).await?.code_delivery_details_list)
}

async fn delete(pool: &Pool, token: &str, names: &[&str]) -> Result<DeleteUserAttributesResponse, Refusal> {
    let request =
        DeleteUserAttributesRequest { access_token: Some(token.to_owned()), user_attribute_names: texts(names) };
    pool.api.call(request).await
}

async fn ask_for_code(pool: &Pool, token: &str, attribute: &str) -> Result<CodeDeliveryDetailsType, Refusal> {
    let request = GetUserAttributeVerificationCodeRequest {
        access_token: Some(token.to_owned()),
        attribute_name: Some(attribute.to_owned()),
        ..Default::default()
    };
    Ok(pool.api.call(request).await?.code_delivery_details.expect("where the code went"))
}

async fn verify(pool: &Pool, token: &str, attribute: &str, code: &str) -> Result<(), Refusal> {
    let request = VerifyUserAttributeRequest {
        access_token: Some(token.to_owned()),
        attribute_name: Some(attribute.to_owned()),
        code: Some(code.to_owned()),
    };
    pool.api.call(request).await.map(drop)
}

async fn admin_update(pool: &Pool, username: &str, values: &[(&str, &str)]) -> Result<(), Refusal> {
    let request = AdminUpdateUserAttributesRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(username.to_owned()),
        user_attributes: attributes(values),
        ..Default::default()
    };
    pool.api.call(request).await.map(drop)
}

async fn admin_delete(pool: &Pool, username: &str, names: &[&str]) -> Result<(), Refusal> {
    let request = AdminDeleteUserAttributesRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(username.to_owned()),
        user_attribute_names: texts(names),
    };
    pool.api.call(request).await.map(drop)
}

/// The values of these attributes, as the user sees them.
async fn shown(pool: &Pool, token: &str, names: &[&str]) -> Vec<Option<String>> {
    let mut shown = by_name(&pool.get_user(token).await.unwrap().user_attributes);
    names.iter().map(|name| shown.remove(*name)).collect()
}

fn some(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|value| Some((*value).to_owned())).collect()
}

async fn token_of(pool: &Pool, name: &str) -> String {
    pool.sign_in(name, PASSWORD).await.unwrap().access_token.unwrap()
}

/// A pool whose users can sign in with their verified e-mail address as well.
fn alias_pool() -> CreateUserPoolRequest {
    CreateUserPoolRequest { alias_attributes: texts(&["email", "preferred_username"]), ..email_pool() }
}

/// The same pool, where an address changes only after it is verified.
fn proving_before(pool: CreateUserPoolRequest) -> CreateUserPoolRequest {
    let settings = UserAttributeUpdateSettingsType { attributes_require_verification_before_update: texts(&["email"]) };
    CreateUserPoolRequest { user_attribute_update_settings: Some(settings), ..pool }
}

fn new_address(person: &Person) -> String {
    format!("new-{}", person.email)
}

#[tokio::test]
async fn a_changed_address_is_unproved_until_its_code_is_entered() {
    let pool = Pool::create_with(alias_pool(), password_client()).await;
    let person = pool.person("changer").await;
    let token = token_of(&pool, &person.email).await;
    let new = new_address(&person);
    let deliveries = update(&pool, &token, &[("email", &new), ("given_name", "Jane")]).await.unwrap();
    let [delivery] = &deliveries[..] else { panic!("one code") };
    assert_eq!(delivery.destination.as_deref(), Some("n***@e***"));
    assert_eq!((delivery.delivery_medium(), delivery.attribute_name()), ("EMAIL", "email"));
    let names = ["email", "email_verified", "given_name"];
    assert_eq!(shown(&pool, &token, &names).await, some(&[&new, "false", "Jane"]));
    // Neither address signs in now.
    for address in [&person.email, &new] {
        assert_eq!(pool.sign_in(address, PASSWORD).await.unwrap_err().exception, "UserNotFoundException");
    }
    let code = pool.api.code_for(&new).await;
    assert_refused(verify(&pool, &token, "email", &other_than(&code)).await, WRONG_CODE.0, WRONG_CODE.1);
    verify(&pool, &token, "email", &code).await.unwrap();
    assert_eq!(shown(&pool, &token, &names[..2]).await, some(&[&new, "true"]));
    pool.sign_in(&new, PASSWORD).await.unwrap();
    assert_refused(verify(&pool, &token, "email", &code).await, OLD_CODE.0, OLD_CODE.1);
    let again = update(&pool, &token, &[("email", &new)]).await.unwrap();
    assert_eq!(again, [], "nothing changed");
    assert_eq!(shown(&pool, &token, &names[..2]).await, some(&[&new, "true"]));
    pool.verify().await;
}

#[tokio::test]
async fn the_old_address_counts_until_the_new_one_is_proved_where_the_pool_says_so() {
    let pool = Pool::create_with(proving_before(alias_pool()), password_client()).await;
    let person = pool.person("sue").await;
    let token = token_of(&pool, &person.email).await;
    let (mistaken, new) = (format!("mistaken-{}", person.email), new_address(&person));
    assert_eq!(update(&pool, &token, &[("email", &mistaken)]).await.unwrap().len(), 1);
    let names = ["email", "email_verified"];
    assert_eq!(shown(&pool, &token, &names).await, some(&[&person.email, "true"]));
    let mistaken_code = pool.api.code_for(&mistaken).await;
    let token = token_of(&pool, &person.email).await;
    update(&pool, &token, &[("email", &new)]).await.unwrap();
    let code = pool.api.code_for(&new).await;
    if mistaken_code != code {
        assert_refused(verify(&pool, &token, "email", &mistaken_code).await, WRONG_CODE.0, WRONG_CODE.1);
    }
    // The next code goes to the new address, which waits.
    let delivery = ask_for_code(&pool, &token, "email").await.unwrap();
    assert_eq!(delivery.destination.as_deref(), Some("n***@e***"));
    let code = pool.api.messages_for(&new, 2).await[0]["code"].as_str().unwrap().to_owned();
    verify(&pool, &token, "email", &code).await.unwrap();
    assert_eq!(shown(&pool, &token, &names).await, some(&[&new, "true"]));
    pool.sign_in(&new, PASSWORD).await.unwrap();
    assert_eq!(pool.sign_in(&person.email, PASSWORD).await.unwrap_err().exception, "UserNotFoundException");

    // A user who returns to the old address cancels the change.
    let third = format!("third-{}", person.email);
    update(&pool, &token, &[("email", &third)]).await.unwrap();
    update(&pool, &token, &[("email", &new)]).await.unwrap();
    let code = pool.api.code_for(&third).await;
    assert_refused(verify(&pool, &token, "email", &code).await, WRONG_CODE.0, WRONG_CODE.1);
    assert_eq!(shown(&pool, &token, &names).await, some(&[&new, "true"]));
    pool.verify().await;
}

#[tokio::test]
async fn an_address_is_the_alias_of_the_user_who_verified_it_first() {
    for request in [alias_pool(), proving_before(alias_pool())] {
        let pool = Pool::create_with(request, password_client()).await;
        let owner = pool.person("owner").await;
        let other = pool.person("other").await;
        let token = token_of(&pool, &other.username).await;
        update(&pool, &token, &[("email", &owner.email)]).await.unwrap();
        let code = pool.api.messages_for(&owner.email, 2).await[0]["code"].as_str().unwrap().to_owned();
        assert_refused(verify(&pool, &token, "email", &other_than(&code)).await, WRONG_CODE.0, WRONG_CODE.1);
        assert_refused(verify(&pool, &token, "email", &code).await, TAKEN.0, TAKEN.1);
        let proved = [("email", owner.email.as_str()), ("email_verified", "true")];
        assert_refused(admin_update(&pool, &other.username, &proved).await, TAKEN.0, TAKEN.1);
        pool.sign_in(&owner.email, PASSWORD).await.unwrap();

        // A preferred name takes effect at once.
        let name = unique("preferred");
        let owners = token_of(&pool, &owner.username).await;
        update(&pool, &owners, &[("preferred_username", &name)]).await.unwrap();
        pool.sign_in(&name, PASSWORD).await.unwrap();
        let message = "An account with the preferred_username already exists.";
        for taken in [&name, &owner.username, &owner.sub] {
            let refused = update(&pool, &token, &[("preferred_username", taken)]).await;
            assert_refused(refused, "AliasExistsException", message);
        }
        let lookalike = update(&pool, &token, &[("preferred_username", "somebody@example.com")]).await;
        assert_eq!(lookalike.unwrap_err().exception, "InvalidParameterException");
        delete(&pool, &owners, &["preferred_username"]).await.unwrap();
        update(&pool, &token, &[("preferred_username", &name)]).await.unwrap();

        // Once its owner gives it up, the address is free.
        admin_update(&pool, &owner.username, &[("email_verified", "false")]).await.unwrap();
        verify(&pool, &token, "email", &code).await.unwrap();
        pool.sign_in(&owner.email, PASSWORD).await.unwrap();
        pool.verify().await;
    }
}

#[tokio::test]
async fn an_address_that_is_the_name_moves_with_its_attribute() {
    let by_address = CreateUserPoolRequest { username_attributes: texts(&["email"]), ..email_pool() };
    let pool = Pool::create_with(by_address.clone(), password_client()).await;
    let arrive = async |pool: &Pool, name: &str| {
        let email = format!("{}@example.com", unique(name));
        pool.sign_up(&email, &[]).await.unwrap();
        pool.confirm(&email, &pool.api.code_for(&email).await).await.unwrap();
        email
    };
    let (email, other) = (arrive(&pool, "mover").await, arrive(&pool, "other").await);
    let token = token_of(&pool, &email).await;
    let taken = "An account with the given email already exists.";
    assert_refused(update(&pool, &token, &[("email", &other)]).await, "AliasExistsException", taken);
    let new = format!("new-{email}");
    update(&pool, &token, &[("email", &new)]).await.unwrap();
    pool.sign_in(&new, PASSWORD).await.unwrap();
    assert_eq!(pool.sign_in(&email, PASSWORD).await.unwrap_err().exception, "UserNotFoundException");
    pool.sign_up(&email, &[]).await.expect("the address is free");
    let message = "user.email: Attribute cannot be deleted: it is what the user signs in with.";
    for refused in
        [delete(&pool, &token, &["email"]).await.map(drop), update(&pool, &token, &[("email", "")]).await.map(drop)]
    {
        assert_refused(refused, "InvalidParameterException", message);
    }
    for refused in [admin_delete(&pool, &new, &["email"]).await, admin_update(&pool, &new, &[("email", "")]).await] {
        assert_refused(refused, "InvalidParameterException", message);
    }
    pool.verify().await;

    let pool = Pool::create_with(proving_before(by_address), password_client()).await;
    let (email, other) = (arrive(&pool, "waiter").await, arrive(&pool, "other").await);
    let token = token_of(&pool, &email).await;
    update(&pool, &token, &[("email", &other)]).await.unwrap();
    pool.sign_in(&email, PASSWORD).await.unwrap();
    let code = pool.api.messages_for(&other, 2).await[0]["code"].as_str().unwrap().to_owned();
    assert_refused(verify(&pool, &token, "email", &code).await, "AliasExistsException", taken);
    let new = format!("new-{email}");
    update(&pool, &token, &[("email", &new)]).await.unwrap();
    verify(&pool, &token, "email", &pool.api.code_for(&new).await).await.unwrap();
    pool.sign_in(&new, PASSWORD).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn a_phone_number_is_proved_when_its_user_asks_for_a_code() {
    let pool = Pool::create().await;
    let person = pool.person("caller").await;
    let token = token_of(&pool, &person.username).await;
    let nothing = ask_for_code(&pool, &token, "phone_number").await;
    assert_refused(nothing, "InvalidParameterException", "The user has no phone_number to be verified.");
    let phone = unique_phone();
    let sent = update(&pool, &token, &[("phone_number", &phone)]).await.unwrap();
    assert_eq!(sent, [], "the pool proves e-mail addresses only");
    assert_refused(verify(&pool, &token, "phone_number", "123456").await, OLD_CODE.0, OLD_CODE.1);
    let delivery = ask_for_code(&pool, &token, "phone_number").await.unwrap();
    assert_eq!((delivery.delivery_medium(), delivery.attribute_name()), ("SMS", "phone_number"));
    verify(&pool, &token, "phone_number", &pool.api.code_for(&phone).await).await.unwrap();
    assert_eq!(shown(&pool, &token, &["phone_number", "phone_number_verified"]).await, some(&[&phone, "true"]));
    for refused in [ask_for_code(&pool, &token, "name").await.map(drop), verify(&pool, &token, "name", "123456").await]
    {
        let message = "Only email and phone_number can be verified by a code.";
        assert_refused(refused, "InvalidParameterException", message);
    }
    pool.verify().await;
}

#[tokio::test]
async fn five_wrong_guesses_spend_the_code_and_five_codes_the_hour() {
    let pool = Pool::create().await;
    let person = pool.person("guessed").await;
    let token = token_of(&pool, &person.username).await;
    for sent in 2..=6 {
        ask_for_code(&pool, &token, "email").await.unwrap();
        pool.api.messages_for(&person.email, sent).await;
    }
    assert_refused(ask_for_code(&pool, &token, "email").await, LIMIT.0, LIMIT.1);
    let refused = pool.api.call_once(update_request(&token, &[("email", &new_address(&person))])).await;
    assert_refused(refused, "TooManyRequestsException", LIMIT.1);
    let guesses = join_all((0..10).map(|_| verify(&pool, &token, "email", "no-code"))).await;
    let counted = guesses.iter().filter(|answer| answer.as_ref().is_err_and(|it| it.pair() == WRONG_CODE)).count();
    assert_eq!(counted, 5, "{guesses:?}");
    let code = pool.api.messages_for(&person.email, 6).await[0]["code"].as_str().unwrap().to_owned();
    assert_refused(verify(&pool, &token, "email", &code).await, LIMIT.0, LIMIT.1);
    pool.verify().await;
}

#[tokio::test]
async fn an_address_is_proved_once_whoever_enters_the_code_first() {
    let pool = Pool::create_with(alias_pool(), password_client()).await;
    let wanted = format!("{}@example.com", unique("wanted"));
    let mut attempts = Vec::new();
    for name in ["one", "other"] {
        let person = pool.person(name).await;
        let token = token_of(&pool, &person.username).await;
        update(&pool, &token, &[("email", &wanted)]).await.unwrap();
        let sent = pool.api.messages_for(&wanted, attempts.len() + 1).await;
        attempts.push((token, sent[0]["code"].as_str().unwrap().to_owned()));
    }
    let proofs = join_all(attempts.iter().map(|(token, code)| verify(&pool, token, "email", code))).await;
    let (proved, refused): (Vec<_>, Vec<_>) = proofs.into_iter().partition(Result::is_ok);
    assert_eq!((proved.len(), refused.len()), (1, 1));
    assert_eq!(refused[0].as_ref().unwrap_err().pair(), TAKEN);
    pool.sign_in(&wanted, PASSWORD).await.unwrap();
    pool.verify().await;
}

fn schema() -> Vec<SchemaAttributeType> {
    let bounds = StringAttributeConstraintsType { min_length: Some("2".to_owned()), max_length: Some("4".to_owned()) };
    vec![
        SchemaAttributeType { string_attribute_constraints: Some(bounds), ..text_attribute("plan") },
        SchemaAttributeType { mutable: Some(false), ..text_attribute("born") },
        SchemaAttributeType { developer_only_attribute: Some(true), ..text_attribute("rank") },
        SchemaAttributeType { required: Some(true), ..text_attribute("given_name") },
    ]
}

#[tokio::test]
async fn an_address_that_is_somebodys_name_is_taken_by_nobody_else() {
    let request = CreateUserPoolRequest { username_attributes: texts(&["email"]), ..Default::default() };
    let pool = Pool::create_with(request, password_client()).await;
    let emails = ["one", "other"].map(|name| format!("{}@example.com", unique(name)));
    for email in &emails {
        pool.create_user(email, &[], PASSWORD).await;
        let set = AdminSetUserPasswordRequest {
            user_pool_id: Some(pool.id.clone()),
            username: Some(email.clone()),
            password: Some(PASSWORD.into()),
            permanent: Some(true),
        };
        pool.api.call(set).await.unwrap();
    }
    let message = "An account with the given email already exists.";
    for values in [vec![("email", emails[0].as_str())], vec![("email", emails[0].as_str()), ("email_verified", "true")]]
    {
        assert_refused(admin_update(&pool, &emails[1], &values).await, "AliasExistsException", message);
    }
    let token = token_of(&pool, &emails[1]).await;
    assert_refused(update(&pool, &token, &[("email", &emails[0])]).await, "AliasExistsException", message);
    pool.verify().await;
}

#[tokio::test]
async fn email_verified_is_shown_only_where_it_was_set() {
    let pool = Pool::create().await;
    let flag = async |name: &str| {
        let shown = by_name(&pool.admin_get_user(name).await.unwrap().user_attributes);
        shown.get("email_verified").cloned()
    };
    let [yes, no] = ["true", "false"].map(|flag| Some(flag.to_owned()));
    let (created, email, new) = (unique("created"), unique("mail"), unique("new"));
    let [email, new] = [email, new].map(|name| format!("{name}@example.com"));
    let user = pool.create_user(&created, &[("email", &email)], PASSWORD).await;
    assert!(!by_name(&user.attributes).contains_key("email_verified"));
    assert_eq!(flag(&created).await, None);
    let challenge = pool.challenge(&created, PASSWORD).await;
    let told: serde_json::Value = serde_json::from_str(&challenge.challenge_parameters["userAttributes"]).unwrap();
    assert_eq!(told, serde_json::json!({ "email": email }));
    let answer = pool.new_password_request(challenge.session(), &created, PASSWORD);
    let tokens = pool.api.call(answer).await.unwrap().authentication_result.unwrap();
    let claims = URL_SAFE_NO_PAD.decode(tokens.id_token().split('.').nth(1).unwrap()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!((claims["email"].as_str(), claims.get("email_verified")), (Some(email.as_str()), None));
    assert_eq!(shown(&pool, tokens.access_token(), &["email", "email_verified"]).await, [Some(email.clone()), None]);

    admin_update(&pool, &created, &[("name", "Jane")]).await.unwrap();
    assert_eq!(flag(&created).await, None);
    admin_update(&pool, &created, &[("email_verified", "false")]).await.unwrap();
    assert_eq!(flag(&created).await, no);
    admin_update(&pool, &created, &[("email_verified", "true")]).await.unwrap();
    assert_eq!(flag(&created).await, yes);
    admin_update(&pool, &created, &[("email", &new)]).await.unwrap();
    assert_eq!(flag(&created).await, no, "another address");
    admin_delete(&pool, &created, &["email"]).await.unwrap();
    assert_eq!(flag(&created).await, None, "it is gone");

    let said = unique("said");
    pool.create_user(&said, &[("email", &format!("{said}@example.com")), ("email_verified", "false")], PASSWORD).await;
    assert_eq!(flag(&said).await, no, "an administrator said so");
    let signed_up = unique("signed-up");
    pool.sign_up(&signed_up, &[("email", &format!("{signed_up}@example.com"))]).await.unwrap();
    assert_eq!(flag(&signed_up).await, no);
    let (user_pool_id, username) = (Some(pool.id.clone()), Some(signed_up.clone()));
    pool.api.call(AdminConfirmSignUpRequest { user_pool_id, username, ..Default::default() }).await.unwrap();
    assert_eq!(flag(&signed_up).await, no, "an administrator proves nothing");
    pool.verify().await;
}

#[tokio::test]
async fn only_a_confirmed_user_has_a_preferred_name() {
    let aliases = texts(&["email", "preferred_username"]);
    let aliases = CreateUserPoolRequest { alias_attributes: aliases, ..email_pool() };
    let pool = Pool::create_with(aliases, password_client()).await;
    let name = unique("early");
    pool.sign_up(&name, &[("email", &format!("{name}@example.com"))]).await.unwrap();
    let preferred = [("preferred_username", name.as_str())];
    let message = "Preferred username cannot be provided for unconfirmed account, since user pool is configured for \
    preferred username alias.";
    assert_refused(admin_update(&pool, &name, &preferred).await, "InvalidParameterException", message);
    assert_refused(pool.sign_up(&unique("early"), &preferred).await, "InvalidParameterException", message);
    let confirmed = pool.person("confirmed").await.username;
    let lookalike = admin_update(&pool, &confirmed, &[("preferred_username", "somebody@example.com")]).await;
    let message = "preferred_username cannot be of email format, since user pool is configured for email alias.";
    assert_refused(lookalike, "InvalidParameterException", message);
    pool.verify().await;
}

#[tokio::test]
async fn writable_attributes_depend_on_the_caller() {
    let pool = Pool::create_with(CreateUserPoolRequest { schema: schema(), ..email_pool() }, password_client()).await;
    let person = pool.person_with("writer", &[("given_name", "Jane"), ("custom:born", "1990")]).await;
    let token = token_of(&pool, &person.username).await;
    let invalid = "InvalidParameterException";
    let immutable = "user.custom:born: Attribute cannot be updated.";
    let required = "Attributes did not conform to the schema: given_name: The attribute is required";
    let unknown = "user.custom:shoe: Attribute does not exist in the schema.";
    let unknown_to_delete = "Invalid user attributes: user.custom:shoe: Attribute does not exist in the schema.";
    let length = "Attributes did not conform to the schema: custom:plan: The length must be at least 2";
    for (name, value, message) in [
        ("custom:born", "1991", immutable),
        ("custom:born", "", immutable),
        ("given_name", "", required),
        ("custom:shoe", "44", unknown),
        ("custom:plan", "x", length),
        ("email", "nowhere", "Invalid email address format."),
        ("phone_number", "0123", "Invalid phone number format."),
    ] {
        assert_refused(update(&pool, &token, &[(name, value)]).await, invalid, message);
        assert_refused(admin_update(&pool, &person.username, &[(name, value)]).await, invalid, message);
    }
    for (name, message) in [("custom:born", immutable), ("given_name", required), ("custom:shoe", unknown_to_delete)] {
        assert_refused(delete(&pool, &token, &[name]).await, invalid, message);
        assert_refused(admin_delete(&pool, &person.username, &[name]).await, invalid, message);
    }
    for name in ["sub", "identities", "email_verified", "dev:custom:rank"] {
        assert_refused(update(&pool, &token, &[(name, "true")]).await, UNAUTHORIZED.0, UNAUTHORIZED.1);
        assert_refused(delete(&pool, &token, &[name]).await, UNAUTHORIZED.0, UNAUTHORIZED.1);
    }
    let sub = admin_update(&pool, &person.username, &[("sub", "x")]).await;
    assert_refused(sub, invalid, "user.sub: Attribute cannot be updated.");
    let flag = admin_delete(&pool, &person.username, &["email_verified"]).await;
    assert_refused(flag, invalid, "user.email_verified: Attribute cannot be updated.");
    // An update changes all attributes or none.
    let both = update(&pool, &token, &[("nickname", "J"), ("custom:born", "1991")]).await;
    assert_refused(both, invalid, immutable);
    assert_eq!(shown(&pool, &token, &["nickname", "custom:born"]).await, [None, Some("1990".to_owned())]);

    admin_update(&pool, &person.username, &[("dev:custom:rank", "1"), ("custom:plan", "gold")]).await.unwrap();
    assert_eq!(shown(&pool, &token, &["dev:custom:rank", "custom:plan"]).await, [None, Some("gold".to_owned())]);
    let all = by_name(&pool.admin_get_user(&person.username).await.unwrap().user_attributes);
    assert_eq!(all["dev:custom:rank"], "1");
    update(&pool, &token, &[("custom:plan", "")]).await.unwrap();
    admin_delete(&pool, &person.username, &["dev:custom:rank", "nickname"]).await.unwrap();
    let all = by_name(&pool.admin_get_user(&person.username).await.unwrap().user_attributes);
    assert!(!all.contains_key("dev:custom:rank") && !all.contains_key("custom:plan"));

    let write_attributes = texts(&["given_name", "nickname"]);
    let client = pool.add_client(CreateUserPoolClientRequest { write_attributes, ..password_client() }).await;
    let mut request = pool.sign_in_request(&person.username, PASSWORD);
    request.client_id = client.client_id;
    let token = pool.api.call(request).await.unwrap().authentication_result.unwrap().access_token.unwrap();
    update(&pool, &token, &[("nickname", "J")]).await.unwrap();
    delete(&pool, &token, &["nickname"]).await.unwrap();
    assert_refused(update(&pool, &token, &[("name", "J")]).await, UNAUTHORIZED.0, UNAUTHORIZED.1);
    assert_refused(update(&pool, &token, &[("email", "")]).await, UNAUTHORIZED.0, UNAUTHORIZED.1);
    assert_refused(delete(&pool, &token, &["email"]).await, UNAUTHORIZED.0, UNAUTHORIZED.1);
    pool.verify().await;
}

#[tokio::test]
async fn an_administrator_marks_addresses_as_verified() {
    let pool = Pool::create_with(proving_before(alias_pool()), password_client()).await;
    let person = pool.person("managed").await;
    let token = token_of(&pool, &person.username).await;
    let new = new_address(&person);
    let names = ["email", "email_verified"];
    // Without `email_verified` an address waits for its code.
    admin_update(&pool, &person.username, &[("email", &new)]).await.unwrap();
    assert_eq!(shown(&pool, &token, &names).await, some(&[&person.email, "true"]));
    verify(&pool, &token, "email", &pool.api.code_for(&new).await).await.unwrap();
    assert_eq!(shown(&pool, &token, &names).await, some(&[&new, "true"]));
    // With it, no code is sent.
    admin_update(&pool, &person.username, &[("email", &person.email), ("email_verified", "true")]).await.unwrap();
    assert_eq!(shown(&pool, &token, &names).await, some(&[&person.email, "true"]));
    pool.sign_in(&person.email, PASSWORD).await.unwrap();
    admin_update(&pool, &person.username, &[("email_verified", "False")]).await.unwrap();
    assert_eq!(shown(&pool, &token, &names).await, some(&[&person.email, "false"]));
    assert_eq!(pool.sign_in(&person.email, PASSWORD).await.unwrap_err().exception, "UserNotFoundException");
    let message = "user.phone_number_verified: the user has no phone_number to be verified.";
    let nothing = admin_update(&pool, &person.username, &[("phone_number_verified", "true")]).await;
    assert_refused(nothing, "InvalidParameterException", message);
    assert_eq!(pool.api.mailbox(&person.email).await.len(), 1, "the code of the sign-up");
    let nobody = unique("nobody");
    for refused in [admin_update(&pool, &nobody, &[("name", "J")]).await, admin_delete(&pool, &nobody, &["name"]).await]
    {
        assert_refused(refused, "UserNotFoundException", "User does not exist.");
    }
    pool.verify().await;
}

#[tokio::test]
async fn the_code_of_a_sign_up_proves_the_address_that_it_was_sent_to_and_no_other() {
    let pool = Pool::create().await;
    let (name, new) = (unique("early"), format!("{}@example.com", unique("late")));
    let email = format!("{name}@example.com");
    pool.sign_up(&name, &[("email", &email)]).await.unwrap();
    let code = pool.api.code_for(&email).await;
    admin_update(&pool, &name, &[("email", &new)]).await.unwrap();
    assert_refused(pool.confirm(&name, &code).await, WRONG_CODE.0, WRONG_CODE.1);
    let resend = ResendConfirmationCodeRequest {
        client_id: Some(pool.client_id.clone()),
        username: Some(name.clone()),
        ..Default::default()
    };
    pool.api.call(resend).await.unwrap();
    pool.confirm(&name, &pool.api.code_for(&new).await).await.unwrap();
    let token = token_of(&pool, &name).await;
    assert_eq!(shown(&pool, &token, &["email", "email_verified"]).await, some(&[&new, "true"]));
    pool.verify().await;
}

#[tokio::test]
async fn only_a_token_that_counts_changes_anything() {
    let pool = Pool::create().await;
    let person = pool.person("gone").await;
    let token = token_of(&pool, &person.username).await;
    pool.sign_out(&token).await.unwrap();
    for (token, message) in [("not.a.token", "Invalid Access Token"), (&token, "Access Token has been revoked")] {
        for refused in [
            update(&pool, token, &[("name", "J")]).await.map(drop),
            delete(&pool, token, &["name"]).await.map(drop),
            ask_for_code(&pool, token, "email").await.map(drop),
            verify(&pool, token, "email", "123456").await,
        ] {
            assert_refused(refused, "NotAuthorizedException", message);
        }
    }
    pool.verify().await;
}

#[tokio::test]
async fn the_same_through_the_aws_sdk() {
    let pool = Pool::create().await;
    let person = pool.person("sdk").await;
    let token = token_of(&pool, &person.username).await;
    let (aws, new) = (pool.api.aws(), new_address(&person));
    let attribute = |name: &str, value: &str| {
        aws_sdk_cognitoidentityprovider::types::AttributeType::builder().name(name).value(value).build().unwrap()
    };
    let updated = aws.update_user_attributes().access_token(&token).user_attributes(attribute("email", &new));
    let updated = updated.user_attributes(attribute("name", "Jane")).send().await.unwrap();
    assert_eq!(updated.code_delivery_details_list()[0].destination(), Some("n***@e***"));
    let code = pool.api.code_for(&new).await;
    let verify = aws.verify_user_attribute().access_token(&token).attribute_name("email").code(code);
    verify.send().await.unwrap();
    let code = aws.get_user_attribute_verification_code().access_token(&token).attribute_name("email");
    assert_eq!(code.send().await.unwrap().code_delivery_details().unwrap().attribute_name(), Some("email"));
    aws.delete_user_attributes().access_token(&token).user_attribute_names("name").send().await.unwrap();
    let admin = aws.admin_update_user_attributes().user_pool_id(&pool.id).username(&person.username);
    admin.user_attributes(attribute("email_verified", "false")).send().await.unwrap();
    let admin = aws.admin_delete_user_attributes().user_pool_id(&pool.id).username(&person.username);
    admin.user_attribute_names("email").send().await.unwrap();
    assert_eq!(shown(&pool, &token, &["email", "name"]).await, [None, None]);
    pool.verify().await;
}
