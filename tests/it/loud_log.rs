//! Logs, metrics and traces contain nothing secret and nothing personal, even at the most verbose level.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tonic::transport::Channel;
use userpool::api::operation::Operation;

use crate::support::dev::{Address, Dev, data_directory, shared};
use crate::support::otlp::Receiver;
use crate::support::passkeys::{Authenticator, ORIGIN, PARTY, challenge_of};
use crate::support::wire;

const PASSWORD: &str = "Correct-horse-staple-7";
const WRONG_PASSWORD: &str = "Wrong-donkey-screw-8";
const EMAIL: &str = "jane.whistleblower@example.com";
const NAME: &str = "Janina Whistleblower";

#[test]
fn the_loudest_log_the_metrics_and_the_traces_hold_no_secret_and_no_address() {
    shared().postgres.create_database("secrets");
    let url = shared().postgres.url("secrets");
    let data = data_directory("secrets");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let receiver = runtime.block_on(Receiver::start());
    let mut dev = Dev::start(&data, |command| {
        command.env("USERPOOL_DATABASE_URL", &url).env("RUST_LOG", "trace").env("NO_COLOR", "1");
        // Everything is traced, too.
        command.env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("http://{}", receiver.grpc));
        command.env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc").env("OTEL_BSP_SCHEDULE_DELAY", "100");
    });
    let address = dev.address();
    let (mut secrets, metrics) = runtime.block_on(async {
        let secrets = drive(&address).await;
        (secrets, wire::send(address.http, "GET", "/metrics", &[], b"").await.text())
    });
    let keys = std::fs::read_to_string(data.join("master.keys")).expect("it has master keys");
    let key = keys.split_whitespace().nth(1).expect("an id and a key");
    secrets.push(("the master key", key.to_owned()));
    secrets.push(("the database's password", "only-for-tests".to_owned()));
    assert!(dev.end(Signal::SIGTERM).success());

    let (log, traces) = (dev.log(), receiver.received().spans);
    for name in ["userpool.v1.SignUpService/SignUp", "hashing", "deliver EMAIL", "userpool.v1.UserService/GetUser"] {
        assert!(traces.iter().any(|span| span.name == name), "{name} was not traced");
    }
    let traces = format!("{traces:#?}");
    for loud in ["TRACE", "DEBUG", "h2::", "sqlx"] {
        assert!(log.contains(loud), "the log is not as loud as it should be");
    }
    assert!(metrics.contains("rpc_server_call_duration_seconds_count"), "{metrics}");
    let mut found = Vec::new();
    for (what, secret) in &secrets {
        assert!(secret.len() >= 6, "{what} is too short to be looked for");
        for (place, text) in
            [("the log", &log), ("the output", &dev.output()), ("the metrics", &metrics), ("the traces", &traces)]
        {
            if let Some(line) = text.lines().find(|line| stands_in(line, secret)) {
                let source: String = line.chars().take(160).collect();
                found.push(format!("{what} stands in {place}: {source}"));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Whether a line contains a secret. A code's six digits count only if they stand alone and are no part of a time.
fn stands_in(line: &str, secret: &str) -> bool {
    if secret.len() > 6 {
        return line.contains(secret);
    }
    let (_, line) = line.split_once('Z').unwrap_or(("", line));
    let part = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-');
    line.match_indices(secret).any(|(at, _)| {
        !line[..at].ends_with(part)
            && !line[at + secret.len()..].starts_with(|character: char| character.is_ascii_alphanumeric())
    })
}

fn secret_hash(secret: &str, username: &str, client: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    STANDARD.encode(hmac::sign(&key, format!("{username}{client}").as_bytes()))
}

/// Goes through a user's life at both doors, with failures. Returns the values that must not be logged.
async fn drive(address: &Address) -> Vec<(&'static str, String)> {
    let channel = wire::channel(address).await;
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let policies = json!({ "SignInPolicy": { "AllowedFirstAuthFactors": ["PASSWORD", "WEB_AUTHN"] } });
    let pool = json!({ "PoolName": "secrets", "AutoVerifiedAttributes": ["email"], "Policies": policies });
    let pool = wire::must(&channel, address, "CreateUserPool", pool).await;
    let client = json!({
        "UserPoolId": pool["UserPool"]["Id"], "ClientName": "secrets", "GenerateSecret": true,
        "ExplicitAuthFlows": ["ALLOW_USER_AUTH", "ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
    });
    let party = json!({
        "UserPoolId": pool["UserPool"]["Id"], "MfaConfiguration": "OFF",
        "WebAuthnConfiguration": { "RelyingPartyId": PARTY, "UserVerification": "required" },
    });
    wire::must(&channel, address, "SetUserPoolMfaConfig", party).await;
    let client = wire::must(&channel, address, "CreateUserPoolClient", client).await["UserPoolClient"].clone();
    let (client, secret) = (text(&client["ClientId"]), text(&client["ClientSecret"]));
    let hash = secret_hash(&secret, "jane", &client);

    let sign_up = json!({
        "ClientId": client, "SecretHash": hash, "Username": "jane", "Password": PASSWORD,
        "UserAttributes": [{ "Name": "email", "Value": EMAIL }, { "Name": "name", "Value": NAME }],
        "ClientMetadata": { "note": NAME },
    });
    let signed_up = wire::must(&channel, address, "SignUp", sign_up.clone()).await;
    let (sub, session) = (text(&signed_up["UserSub"]), text(&signed_up["Session"]));
    let code = code(address).await;

    for (operation, request) in mistakes(&client, &hash, &sign_up, &code) {
        let info = operation.info();
        let answer = wire::aws(address, info, request.as_bytes()).await;
        assert_ne!(answer.status, 200, "{}: {request}", info.name);
        assert!(answer.status < 500, "{}: {}", info.name, answer.text());
        if let Ok(json) = serde_json::from_str::<Value>(&request)
            && json["Password"].as_u64().is_none()
        {
            let body = wire::message_of(info.request, &json);
            assert!(wire::grpc(&channel, address, info, body).await.is_err(), "{}: {request}", info.name);
        }
    }

    let confirm = json!({ "ClientId": client, "SecretHash": hash, "Username": "jane", "ConfirmationCode": code });
    wire::must(&channel, address, "ConfirmSignUp", confirm).await;
    let sign_in = json!({
        "ClientId": client, "AuthFlow": "USER_PASSWORD_AUTH",
        "AuthParameters": { "USERNAME": "jane", "PASSWORD": PASSWORD, "SECRET_HASH": hash },
    });
    let tokens = wire::must(&channel, address, "InitiateAuth", sign_in.clone()).await["AuthenticationResult"].clone();
    let again = wire::aws(address, Operation::InitiateAuth.info(), sign_in.to_string().as_bytes()).await;
    let again = again.json()["AuthenticationResult"].clone();
    let by_passkey = by_passkey(&channel, address, &client, &hash, &tokens["AccessToken"]).await;
    let refresh = json!({
        "ClientId": client, "AuthFlow": "REFRESH_TOKEN_AUTH",
        "AuthParameters": { "REFRESH_TOKEN": tokens["RefreshToken"], "SECRET_HASH": secret_hash(&secret, &sub, &client) },
    });
    let refreshed = wire::must(&channel, address, "InitiateAuth", refresh).await["AuthenticationResult"].clone();
    for operation in ["GetUser", "GlobalSignOut"] {
        let request = json!({ "AccessToken": refreshed["AccessToken"] });
        wire::must(&channel, address, operation, request).await;
    }
    let revoked = json!({ "AccessToken": refreshed["AccessToken"] }).to_string();
    assert_eq!(wire::aws(address, Operation::DeleteUser.info(), revoked.as_bytes()).await.status, 400);

    let mut secrets = vec![
        ("the password", PASSWORD.to_owned()),
        ("a wrong password", WRONG_PASSWORD.to_owned()),
        ("the address", EMAIL.to_owned()),
        ("the address's name", "jane.whistleblower".to_owned()),
        ("the name", NAME.to_owned()),
        ("the code", code),
        ("the client's secret", secret),
        ("the secret hash", hash),
        ("the service account's secret", address.secret_access_key.clone()),
        ("the session of the sign-up", session),
    ];
    secrets.extend(by_passkey);
    for (which, tokens) in [("first", &tokens), ("second", &again), ("third", &refreshed)] {
        for name in ["AccessToken", "IdToken", "RefreshToken"] {
            let Some(token) = tokens[name].as_str() else {
                assert_eq!((which, name), ("third", "RefreshToken"), "a refresh gives no new refresh token");
                continue;
            };
            secrets.push((name, token.to_owned()));
            // The signature alone identifies the token.
            secrets.push((name, token.rsplit('.').next().unwrap_or_default().to_owned()));
        }
    }
    secrets
}

/// Registers a passkey, signs in by it and deletes it, with a failure at each. Returns the values that must not be logged.
async fn by_passkey(
    channel: &Channel,
    address: &Address,
    client: &str,
    hash: &str,
    token: &Value,
) -> Vec<(&'static str, String)> {
    let call = async |operation: &str, request: Value| wire::must(channel, address, operation, request).await;
    let refused = async |operation: Operation, request: &Value| {
        let (info, body) = (operation.info(), request.to_string());
        assert_eq!(wire::aws(address, info, body.as_bytes()).await.status, 400, "{}", info.name);
        let body = wire::message_of(info.request, request);
        assert!(wire::grpc(channel, address, info, body).await.is_err(), "{}", info.name);
    };
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let (authenticator, other) = (Authenticator::new(), Authenticator::new());
    let started = call("StartWebAuthnRegistration", json!({ "AccessToken": token })).await;
    let options = &started["CredentialCreationOptions"];
    let made = authenticator.attestation(PARTY, ORIGIN, &challenge_of(options));
    let elsewhere = authenticator.attestation(PARTY, "https://example.org", &challenge_of(options));
    let completion = |credential: &Value| json!({ "AccessToken": token, "Credential": credential });
    refused(Operation::CompleteWebAuthnRegistration, &completion(&elsewhere)).await;
    call("CompleteWebAuthnRegistration", completion(&made)).await;
    let listed = call("ListWebAuthnCredentials", json!({ "AccessToken": token })).await;
    let id = text(&listed["Credentials"][0]["CredentialId"]);
    assert_eq!(made["id"].as_str(), Some(id.as_str()));
    call("GetUserAuthFactors", json!({ "AccessToken": token })).await;

    let parameters = json!({ "USERNAME": "jane", "SECRET_HASH": hash, "PREFERRED_CHALLENGE": "WEB_AUTHN" });
    let begin = json!({ "ClientId": client, "AuthFlow": "USER_AUTH", "AuthParameters": parameters });
    let begun = call("InitiateAuth", begin).await;
    let asked = text(&begun["ChallengeParameters"]["CREDENTIAL_REQUEST_OPTIONS"]);
    let asked = challenge_of(&serde_json::from_str(&asked).expect("JSON"));
    let answer = |given: &Value| {
        let responses = json!({ "USERNAME": "jane", "SECRET_HASH": hash, "CREDENTIAL": given.to_string() });
        json!({
            "ClientId": client, "ChallengeName": "WEB_AUTHN", "Session": begun["Session"],
            "ChallengeResponses": responses,
        })
    };
    let wrong = other.assertion(PARTY, ORIGIN, &asked, None);
    refused(Operation::RespondToAuthChallenge, &answer(&wrong)).await;
    let right = authenticator.assertion(PARTY, ORIGIN, &asked, None);
    let tokens = call("RespondToAuthChallenge", answer(&right)).await["AuthenticationResult"].clone();
    refused(Operation::RespondToAuthChallenge, &answer(&right)).await;
    let deletion = json!({ "AccessToken": token, "CredentialId": id });
    call("DeleteWebAuthnCredential", deletion.clone()).await;
    refused(Operation::DeleteWebAuthnCredential, &deletion).await;
    vec![
        ("the challenge of a registration", text(&options["challenge"])),
        ("a new credential", text(&made["response"]["attestationObject"])),
        ("a credential's id", id),
        ("the session of a passkey", text(&begun["Session"])),
        ("a passkey's signature", text(&right["response"]["signature"])),
        ("a wrong passkey's signature", text(&wrong["response"]["signature"])),
        ("a passkey's access token", text(&tokens["AccessToken"])),
        ("a passkey's refresh token", text(&tokens["RefreshToken"])),
    ]
}

/// Refused requests that contain secrets.
fn mistakes(client: &str, hash: &str, sign_up: &Value, code: &str) -> Vec<(Operation, String)> {
    let with = |member: &str, value: Value| {
        let mut changed = sign_up.clone();
        changed[member] = value;
        changed.to_string()
    };
    let guess = if code == "123456" { "654321" } else { "123456" };
    vec![
        // The name is taken.
        (Operation::SignUp, sign_up.to_string()),
        (Operation::SignUp, with("SecretHash", json!("d3Jvbmc="))),
        (Operation::SignUp, with("Password", json!(format!("{PASSWORD} ")))),
        (Operation::SignUp, with("Password", json!(PASSWORD.repeat(20)))),
        (Operation::SignUp, with("UserAttributes", json!([{ "Name": "email", "Value": EMAIL.repeat(200) }]))),
        (Operation::SignUp, with("UserAttributes", json!([{ "Name": "email", "Value": format!("{EMAIL} {NAME}") }]))),
        (Operation::SignUp, with("Username", json!(format!("{EMAIL} with a space")))),
        (Operation::SignUp, format!("{{\"Password\": \"{PASSWORD}\", \"Username\": ")),
        (Operation::SignUp, format!("{{\"Password\": 7, \"Username\": \"{EMAIL}\"}}")),
        (
            Operation::ConfirmSignUp,
            json!({ "ClientId": client, "SecretHash": hash, "Username": "jane", "ConfirmationCode": guess })
                .to_string(),
        ),
        (
            Operation::InitiateAuth,
            json!({
                "ClientId": client, "AuthFlow": "USER_PASSWORD_AUTH",
                "AuthParameters": { "USERNAME": "jane", "PASSWORD": WRONG_PASSWORD, "SECRET_HASH": hash },
            })
            .to_string(),
        ),
        (
            Operation::InitiateAuth,
            json!({ "ClientId": client, "AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": { "PASSWORD": PASSWORD } })
                .to_string(),
        ),
        (
            Operation::ConfirmForgotPassword,
            json!({
                "ClientId": client, "SecretHash": hash, "Username": "jane", "ConfirmationCode": code,
                "Password": WRONG_PASSWORD,
            })
            .to_string(),
        ),
        (
            Operation::ChangePassword,
            json!({ "AccessToken": "not.a.token", "PreviousPassword": PASSWORD, "ProposedPassword": WRONG_PASSWORD })
                .to_string(),
        ),
        (
            Operation::UpdateUserAttributes,
            json!({ "AccessToken": "not.a.token", "UserAttributes": [{ "Name": "email", "Value": EMAIL }] })
                .to_string(),
        ),
        (Operation::GetUser, json!({ "AccessToken": format!("{PASSWORD}.{PASSWORD}.{PASSWORD}") }).to_string()),
    ]
}

async fn code(address: &Address) -> String {
    let path = format!("/dev/messages?to={EMAIL}");
    for _ in 0..200 {
        let messages = wire::send(address.http, "GET", &path, &[], b"").await.json();
        if let Some(code) = messages[0]["code"].as_str() {
            return code.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no code arrived");
}
