use serde_json::{Value, json};

use super::*;

fn with(mut base: Value, changes: Value) -> Value {
    let (Value::Object(base_object), Value::Object(changes)) = (&mut base, changes) else { panic!("objects") };
    base_object.extend(changes);
    base
}

fn email(changes: Value) -> Result<EmailSettings, String> {
    let base = json!({ "host": "smtp.example.com", "from": "Codes <codes@example.com>" });
    let settings: EmailSettings = serde_json::from_value(with(base, changes)).map_err(|error| error.to_string())?;
    settings.check().map_err(|error| error.to_string())?;
    Ok(settings)
}

fn sms(changes: Value) -> Result<SmsSettings, String> {
    let base = json!({ "url": "https://sms.example.com/send", "body": r#"{"to": "{to}", "text": "{message}"}"# });
    let settings: SmsSettings = serde_json::from_value(with(base, changes)).map_err(|error| error.to_string())?;
    settings.check().map_err(|error| error.to_string())?;
    Ok(settings)
}

#[test]
fn a_relay_is_reached_by_tls_by_default() {
    let port = |changes| email(changes).map(|settings| (settings.security, settings.port()));
    assert_eq!(port(json!({})), Ok((Security::Tls, 465)));
    assert_eq!(port(json!({ "security": "starttls" })), Ok((Security::Starttls, 587)));
    assert_eq!(port(json!({ "port": 2465 })), Ok((Security::Tls, 2465)));
    for host in ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"] {
        assert_eq!(port(json!({ "security": "none", "host": host })), Ok((Security::None, 25)), "{host}");
    }
}

#[test]
fn plain_text_never_leaves_the_machine() {
    for host in ["smtp.example.com", "10.0.0.1", "localhost.example.com"] {
        let refused = email(json!({ "security": "none", "host": host })).unwrap_err();
        assert!(refused.starts_with("email.security would send codes in plain text"), "{refused}");
    }
    let refused = sms(json!({ "url": "http://sms.example.com/send" })).unwrap_err();
    assert!(refused.starts_with("sms.url would send codes in plain text"), "{refused}");
    assert!(sms(json!({ "url": "http://127.0.0.1:8025/send" })).is_ok());
}

#[test]
fn contradictory_and_missing_settings_are_refused_by_name() {
    let refusals = [
        (json!({ "host": " " }), "email.host is missing"),
        (json!({ "from": "codes" }), "email.from is not an e-mail address"),
        (json!({ "from": "Codes <codes@example.com>\r\nBcc: <x@example.com>" }), "email.from is not"),
        (json!({ "reply-to": "nobody" }), "email.reply-to is not"),
        (json!({ "username": "me" }), "email.username is given without email.password"),
        (json!({ "password": "hunter2" }), "email.password is given without email.username"),
        (json!({ "username": "me", "password": "" }), "email.password is missing"),
        (
            json!({ "username": "me", "password": "x", "password-file": "/x" }),
            "email.password and email.password-file say the same thing",
        ),
        (json!({ "host": "localhost", "security": "none", "ca-file": "/x" }), "email.ca-file is given without"),
        (json!({ "timeout-seconds": 31 }), "email.timeout-seconds must be between 1 and 30"),
        (json!({ "timeout-seconds": 0 }), "email.timeout-seconds must be between 1 and 30"),
        (json!({ "concurrency": 0 }), "email.concurrency must be between 1 and 64"),
        (json!({ "sender-domains": ["a@example.com"] }), "email.sender-domains is not"),
        (json!({ "pasword": "hunter2" }), "unknown field `pasword`"),
    ];
    for (changes, expected) in refusals {
        let refused = email(changes.clone()).expect_err(&changes.to_string());
        assert!(refused.starts_with(expected), "{changes}: {refused}");
    }
}

#[test]
fn a_gateway_needs_an_address_and_a_body_with_placeholders() {
    let refusals = [
        (json!({ "url": "sms.example.com" }), "sms.url is not"),
        (json!({ "url": "ftp://sms.example.com" }), "sms.url is not"),
        (json!({ "url": "https://me:secret@sms.example.com" }), "sms.url is not"),
        (json!({ "body": "{}" }), "sms.body: it has no place for {to}"),
        (json!({ "body": r#"{"to": "{to}", "text": "{message}", "from": "{sender}"}"# }), "{sender} in sms.body"),
        (json!({ "headers": { "bad name": "x" } }), "sms.headers is not"),
        (json!({ "headers": { "x-key": "a\nb" } }), "sms.headers is not"),
        (json!({ "headers": { "Authorization": "x" } }), "sms.headers.authorization and sms.authorization say"),
        (json!({ "headers": { "x-key": "x" }, "headers-file": "/x" }), "sms.headers and sms.headers-file say"),
        (json!({ "success-statuses": [] }), "sms.success-statuses is not"),
        (json!({ "success-statuses": [500] }), "sms.success-statuses is not"),
        (json!({ "header": {} }), "unknown field `header`"),
    ];
    for (changes, expected) in refusals {
        let refused = sms(changes.clone()).expect_err(&changes.to_string());
        assert!(refused.starts_with(expected), "{changes}: {refused}");
    }
    let settings = sms(json!({ "success-statuses": [202] })).unwrap();
    assert!(settings.is_success(202) && !settings.is_success(200));
}

#[test]
fn a_secret_comes_from_a_file_without_the_line_break_at_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    let read = |text: &str| {
        let _ = std::fs::remove_file(&file);
        secret_file::create(&file, text.as_bytes()).unwrap();
        let settings = email(json!({ "username": "me", "password-file": file })).unwrap();
        settings.credentials().map(|found| found.map(|(user, Secret(password))| (user, password)))
    };
    let found = |password: &str| Some(("me".to_owned(), password.to_owned()));
    assert_eq!(read("hunter2\n").unwrap(), found("hunter2"));
    assert_eq!(read(" hunter2\r\n").unwrap(), found(" hunter2"));
    assert!(matches!(read("\n"), Err(SettingsError::Missing("email.password-file"))));
    let missing = email(json!({ "username": "me", "password-file": "/nowhere/password" })).unwrap();
    assert!(matches!(missing.credentials(), Err(SettingsError::SecretFile { .. })));
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let exposed = [
        email(json!({ "username": "me", "password-file": file })).unwrap().credentials().map(drop),
        sms(json!({ "authorization-file": file })).unwrap().all_headers().map(drop),
        sms(json!({ "headers-file": file })).unwrap().all_headers().map(drop),
    ];
    for refused in exposed {
        let told = refused.unwrap_err().to_string();
        assert!(told.contains("-file") && told.contains("mode 0644"), "{told}");
    }
}

#[test]
fn headers_come_from_a_file_with_a_line_for_each() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("headers");
    let read = |text: &str| {
        let _ = std::fs::remove_file(&file);
        secret_file::create(&file, text.as_bytes()).unwrap();
        sms(json!({ "headers-file": file, "authorization": "Bearer x" })).unwrap().all_headers().map(|headers| {
            let shown = headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
            assert!(headers.iter().all(|(_, value)| value.is_sensitive()));
            shown.collect::<Vec<_>>()
        })
    };
    let expected = [("x-key", "hunter2: yes"), ("x-account", "a b"), ("authorization", "Bearer x")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(read("x-key: hunter2: yes\nX-Account:a b\n").unwrap(), expected);
    assert_eq!(read("\n x-key : hunter2: yes\r\n\nx-account: a b \r\n\n").unwrap(), expected);
    for (text, expected) in [
        ("x-key hunter2", "sms.headers-file is not a file with a line"),
        ("x key: hunter2", "sms.headers-file is not a file with a line"),
        ("x-key: hunter2\nX-Key: hunter3", "sms.headers-file is not a file with a line"),
        ("x-key: hunter\u{7f}2", "sms.headers-file is not the value of a header"),
        ("Authorization: hunter2", "sms.headers.authorization and sms.authorization say"),
        ("\n", "sms.headers-file is missing"),
    ] {
        let refused = read(text).unwrap_err().to_string();
        assert!(refused.starts_with(expected) && !refused.contains("hunter"), "{text:?}: {refused}");
    }
}

#[test]
fn debug_shows_no_secret() {
    let settings = email(json!({ "username": "me", "password": "hunter2" })).unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"));
    let settings = sms(json!({ "authorization": "Bearer hunter2", "headers": { "x-key": "hunter2" } })).unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"));
    assert!(!format!("{:?}", settings.all_headers().unwrap()).contains("hunter2"));
}
