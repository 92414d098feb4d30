//! A user pool of a scenario's own, and a check at the scenario's end that nothing unseen went wrong.

use std::collections::BTreeMap;
use std::thread;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use userpool::environment::Random;
use userpool::proto::v1::*;

use super::client::{Api, Refusal};
use super::http;

/// A password that conforms to the default policy.
pub const PASSWORD: &str = "Correct-horse-7";

/// A pool, with a client in it that may sign in by password.
pub struct Pool {
    /// The client that talks to the servers.
    pub api: Api,
    pub id: String,
    /// The id of the client in it.
    pub client_id: String,
    verified: bool,
}

/// A user who has confirmed.
#[derive(Clone, Debug)]
pub struct Person {
    /// The name that they signed up with.
    pub username: String,
    /// Their e-mail address, with which they signed up.
    pub email: String,
    /// Their id, a UUID.
    pub sub: String,
}

/// A name that no other scenario uses.
pub fn unique(name: &str) -> String {
    let random: String = Random::default().uuid().simple().to_string();
    format!("{name}-{}", &random[..12])
}

/// A phone number that no other scenario uses.
pub fn unique_phone() -> String {
    format!("+49{}", Random::default().text(b"123456789", 11))
}

/// A wrong code of the right form.
pub fn other_than(code: &str) -> String {
    let first = if code.starts_with('1') { '2' } else { '1' };
    format!("{first}{}", &code[1..])
}

/// A list of texts.
pub fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

/// A string attribute for a pool's schema.
pub fn text_attribute(name: &str) -> SchemaAttributeType {
    SchemaAttributeType {
        name: Some(name.to_owned()),
        attribute_data_type: Some("String".to_owned()),
        ..SchemaAttributeType::default()
    }
}

/// Attributes for a request, from pairs of name and value.
pub fn attributes(values: &[(&str, &str)]) -> Vec<AttributeType> {
    let attribute =
        |(name, value): &(&str, &str)| AttributeType { name: Some((*name).into()), value: Some((*value).into()) };
    values.iter().map(attribute).collect()
}

/// Attributes of an answer as a map from name to value.
pub fn by_name(attributes: &[AttributeType]) -> BTreeMap<String, String> {
    attributes.iter().map(|attribute| (attribute.name().to_owned(), attribute.value().to_owned())).collect()
}

/// The `SecretHash`, which proves that the caller knows a client's secret.
pub fn secret_hash(secret: &str, username: &str, client_id: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    STANDARD.encode(hmac::sign(&key, format!("{username}{client_id}").as_bytes()))
}

/// A pool that verifies e-mail addresses.
pub fn email_pool() -> CreateUserPoolRequest {
    CreateUserPoolRequest { auto_verified_attributes: texts(&["email"]), ..Default::default() }
}

/// A client that may sign in by password and refresh.
pub fn password_client() -> CreateUserPoolClientRequest {
    CreateUserPoolClientRequest {
        explicit_auth_flows: texts(&["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]),
        ..Default::default()
    }
}

impl Pool {
    /// A pool that verifies e-mail addresses, with a client that may sign in by password.
    pub async fn create() -> Self {
        Self::create_with(email_pool(), password_client()).await
    }

    /// A pool and its client by these requests; their names are filled in.
    pub async fn create_with(pool: CreateUserPoolRequest, client: CreateUserPoolClientRequest) -> Self {
        Self::create_by(Api::connect().await, pool, client).await
    }

    /// The same, by another `Api`.
    pub async fn create_by(api: Api, pool: CreateUserPoolRequest, client: CreateUserPoolClientRequest) -> Self {
        let pool_name = pool.pool_name.clone().or(Some("scenario".to_owned()));
        let created = api.call(CreateUserPoolRequest { pool_name, ..pool }).await.expect("a pool is created");
        let id = created.user_pool.and_then(|pool| pool.id).expect("a pool has an id");
        let mut pool = Self { api, id, client_id: String::new(), verified: false };
        pool.client_id = pool.add_client(client).await.client_id.expect("a client has an id");
        pool
    }

    /// Another client of the pool.
    pub async fn add_client(&self, client: CreateUserPoolClientRequest) -> UserPoolClientType {
        self.try_client(client).await.expect("a client is created")
    }

    /// The same, where the request may be refused.
    pub async fn try_client(&self, client: CreateUserPoolClientRequest) -> Result<UserPoolClientType, Refusal> {
        let request = CreateUserPoolClientRequest {
            user_pool_id: Some(self.id.clone()),
            client_name: client.client_name.clone().or(Some("app".to_owned())),
            ..client
        };
        Ok(self.api.call(request).await?.user_pool_client.expect("a client"))
    }

    /// The pool, by DescribeUserPool.
    pub async fn describe(&self) -> UserPoolType {
        let request = DescribeUserPoolRequest { user_pool_id: Some(self.id.clone()) };
        self.api.call(request).await.expect("the pool is there").user_pool.expect("a pool")
    }

    /// A request to sign up through the pool's client, to be sent as it is or changed.
    pub fn sign_up_request(&self, username: &str, values: &[(&str, &str)]) -> SignUpRequest {
        SignUpRequest {
            client_id: Some(self.client_id.clone()),
            username: Some(username.to_owned()),
            password: Some(PASSWORD.to_owned()),
            user_attributes: attributes(values),
            ..Default::default()
        }
    }

    /// Signs up through the pool's client.
    pub async fn sign_up(&self, username: &str, values: &[(&str, &str)]) -> Result<SignUpResponse, Refusal> {
        self.api.call(self.sign_up_request(username, values)).await
    }

    /// A request to confirm through the pool's client, to be sent as it is or changed.
    pub fn confirm_request(&self, username: &str, code: &str) -> ConfirmSignUpRequest {
        ConfirmSignUpRequest {
            client_id: Some(self.client_id.clone()),
            username: Some(username.to_owned()),
            confirmation_code: Some(code.to_owned()),
            ..Default::default()
        }
    }

    /// Confirms through the pool's client.
    pub async fn confirm(&self, username: &str, code: &str) -> Result<ConfirmSignUpResponse, Refusal> {
        self.api.call(self.confirm_request(username, code)).await
    }

    /// A user with an e-mail address of its own, signed up and confirmed.
    pub async fn person(&self, name: &str) -> Person {
        self.person_with(name, &[]).await
    }

    /// The same with more attributes.
    pub async fn person_with(&self, name: &str, values: &[(&str, &str)]) -> Person {
        let username = unique(name);
        let email = format!("{username}@example.com");
        let values: Vec<_> = values.iter().copied().chain([("email", email.as_str())]).collect();
        let signed_up = self.sign_up(&username, &values).await.expect("the user signs up");
        self.confirm(&username, &self.api.code_for(&email).await).await.expect("the user confirms");
        Person { username, sub: signed_up.user_sub.expect("a user has a sub"), email }
    }

    /// A request to sign in by password through the pool's client, to be sent as it is or changed.
    pub fn sign_in_request(&self, username: &str, password: &str) -> InitiateAuthRequest {
        InitiateAuthRequest {
            auth_flow: Some("USER_PASSWORD_AUTH".to_owned()),
            client_id: Some(self.client_id.clone()),
            auth_parameters: parameters(&[("USERNAME", username), ("PASSWORD", password)]),
            ..Default::default()
        }
    }

    /// Signs in by password through the pool's client.
    pub async fn sign_in(&self, username: &str, password: &str) -> Result<AuthenticationResultType, Refusal> {
        let answer = self.api.call(self.sign_in_request(username, password)).await?;
        assert_eq!(answer.challenge_name, None);
        Ok(answer.authentication_result.expect("tokens"))
    }

    /// Asks for new tokens through the pool's client.
    pub async fn refresh(&self, refresh_token: &str) -> Result<AuthenticationResultType, Refusal> {
        let answer = self.api.call(self.refresh_request(refresh_token)).await?;
        Ok(answer.authentication_result.expect("tokens"))
    }

    /// A request to refresh through the pool's client, to be sent as it is or changed.
    pub fn refresh_request(&self, refresh_token: &str) -> InitiateAuthRequest {
        InitiateAuthRequest {
            auth_flow: Some("REFRESH_TOKEN_AUTH".to_owned()),
            client_id: Some(self.client_id.clone()),
            auth_parameters: parameters(&[("REFRESH_TOKEN", refresh_token)]),
            ..Default::default()
        }
    }

    /// Reads the user of an access token.
    pub async fn get_user(&self, access_token: &str) -> Result<GetUserResponse, Refusal> {
        self.api.call(GetUserRequest { access_token: Some(access_token.to_owned()) }).await
    }

    /// Signs the user of an access token out everywhere.
    pub async fn sign_out(&self, access_token: &str) -> Result<GlobalSignOutResponse, Refusal> {
        self.api.call(GlobalSignOutRequest { access_token: Some(access_token.to_owned()) }).await
    }

    /// Deletes the user of an access token.
    pub async fn delete_user(&self, access_token: &str) -> Result<DeleteUserResponse, Refusal> {
        self.api.call(DeleteUserRequest { access_token: Some(access_token.to_owned()) }).await
    }

    /// Reads a user as an administrator.
    pub async fn admin_get_user(&self, username: &str) -> Result<AdminGetUserResponse, Refusal> {
        let (user_pool_id, username) = (Some(self.id.clone()), Some(username.to_owned()));
        self.api.call(AdminGetUserRequest { user_pool_id, username }).await
    }

    /// An administrator's request to create a user, to be sent as it is or changed.
    pub fn create_user_request(&self, username: &str, values: &[(&str, &str)]) -> AdminCreateUserRequest {
        AdminCreateUserRequest {
            user_pool_id: Some(self.id.clone()),
            username: Some(username.to_owned()),
            user_attributes: attributes(values),
            ..Default::default()
        }
    }

    /// Creates a user with a temporary password, without a message.
    pub async fn create_user(&self, username: &str, values: &[(&str, &str)], password: &str) -> UserType {
        let request = AdminCreateUserRequest {
            temporary_password: Some(password.to_owned()),
            message_action: Some("SUPPRESS".to_owned()),
            ..self.create_user_request(username, values)
        };
        self.api.call(request).await.expect("the user is created").user.expect("a user")
    }

    /// The challenge that answers a sign-in by password.
    pub async fn challenge(&self, username: &str, password: &str) -> InitiateAuthResponse {
        let answer = self.api.call(self.sign_in_request(username, password)).await.expect("a challenge");
        assert_eq!(answer.authentication_result, None);
        answer
    }

    /// An answer to NEW_PASSWORD_REQUIRED, to be sent as it is or changed.
    pub fn new_password_request(&self, session: &str, username: &str, password: &str) -> RespondToAuthChallengeRequest {
        RespondToAuthChallengeRequest {
            client_id: Some(self.client_id.clone()),
            challenge_name: Some("NEW_PASSWORD_REQUIRED".to_owned()),
            session: Some(session.to_owned()),
            challenge_responses: parameters(&[("USERNAME", username), ("NEW_PASSWORD", password)]),
            ..Default::default()
        }
    }

    /// Ends a scenario: log and read models must agree, and no operation may have answered an exception that it does
    /// not list.
    pub async fn verify(mut self) {
        self.verified = true;
        let (environment, processes) = (self.api.environment(), self.api.processes());
        let output = environment
            .command_on(&processes[0].database_url)
            .args(["log", "verify", "--pool", &self.id])
            .output()
            .await;
        let output = output.expect("the program starts");
        assert!(
            output.status.success(),
            "log verify: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        for process in processes {
            let metrics = http::get(process.http, "/metrics").await.text();
            let undeclared = metrics.lines().find(|line| line.starts_with("userpool_undeclared_exceptions_total"));
            assert_eq!(undeclared, None);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        assert!(self.verified || thread::panicking(), "a scenario ends with the verification of its pool");
    }
}

/// Parameters of a flow, from pairs of name and value.
pub fn parameters(values: &[(&str, &str)]) -> BTreeMap<String, String> {
    values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
