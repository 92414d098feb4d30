//! Devices: keys that sign-ins give out, what apps and administrators make of them, and sessions that are bound to them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use serde_json::json;
use userpool::domain::auth::srp;
use userpool::proto::v1::*;

use crate::support::client::assert_refused;
use crate::support::devices::{
    admin_get, claims, confirmation, forget, get, new_device, refresh, sign_in, tracking_pool, update, with_device,
};
use crate::support::environment::DATABASE;
use crate::support::pool::{PASSWORD, Person, Pool, by_name, parameters, texts, unique};
use crate::support::tables::about_user;

const NO_DEVICE: (&str, &str) = ("ResourceNotFoundException", "Device does not exist.");
const UNBOUND: (&str, &str) = ("NotAuthorizedException", "Invalid Refresh Token");
const REVOKED: (&str, &str) = ("NotAuthorizedException", "Access Token has been revoked");

#[tokio::test]
async fn a_sign_in_gives_out_a_key_and_its_access_token_confirms_the_device() {
    let pool = tracking_pool(false).await;
    let person = pool.person("device").await;
    let tokens = sign_in(&pool, &person, None).await;
    let NewDeviceMetadataType { device_key, device_group_key } = new_device(&tokens);
    let (key, group) = (device_key.unwrap(), device_group_key.unwrap());
    let (region, id) = key.split_once('_').unwrap();
    assert_eq!((region, id.parse::<uuid::Uuid>().is_ok(), group.is_empty()), ("us-east-1", true, false));
    assert_eq!(claims(tokens.access_token())["device_key"], key);
    assert_eq!(claims(tokens.id_token()).get("device_key"), None);
    assert_refused(get(&pool, &tokens, &key).await, NO_DEVICE.0, NO_DEVICE.1);

    let confirmed = pool.api.call(confirmation(&tokens)).await.unwrap();
    assert_eq!(confirmed.user_confirmation_necessary, Some(false));
    let device = get(&pool, &tokens, &key).await.unwrap();
    assert_eq!(device.device_key.as_deref(), Some(key.as_str()));
    let shown = [
        ("dev:device_remembered_status", "remembered"),
        ("device_name", "a phone"),
        ("device_status", "valid"),
        ("last_ip_used", "127.0.0.1"),
    ];
    assert_eq!(
        by_name(&device.device_attributes),
        shown.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    );
    assert_eq!(device.device_create_date, device.device_last_modified_date);
    assert_eq!(admin_get(&pool, &person.username, &key).await.unwrap(), device);
    let again = pool.api.call(confirmation(&tokens)).await;
    assert_refused(again, "DeviceKeyExistsException", "The device was confirmed already.");

    // A sign-in with the device gives out no other key; one without it does.
    let known = sign_in(&pool, &person, Some(&key)).await;
    assert_eq!(known.new_device_metadata, None);
    assert_eq!(claims(known.access_token())["device_key"], key);
    let later = get(&pool, &known, &key).await.unwrap();
    let seconds = |device: &DeviceType| {
        let at = device.device_last_authenticated_date.as_ref().unwrap();
        (at.seconds, at.nanos)
    };
    assert!(seconds(&later) > seconds(&device), "the device was used again");
    assert_eq!(later.device_last_modified_date, device.device_last_modified_date);
    let other = sign_in(&pool, &person, None).await;
    assert_ne!(new_device(&other).device_key.as_deref(), Some(key.as_str()));
    pool.verify().await;
}

#[tokio::test]
async fn where_users_are_to_be_asked_a_device_is_remembered_once_they_say_so() {
    let pool = tracking_pool(true).await;
    let person = pool.person("asked").await;
    let tokens = sign_in(&pool, &person, None).await;
    let key = new_device(&tokens).device_key.unwrap();
    let bare = ConfirmDeviceRequest { device_name: None, device_secret_verifier_config: None, ..confirmation(&tokens) };
    assert_eq!(pool.api.call(bare).await.unwrap().user_confirmation_necessary, Some(true));
    let status = async || {
        let device = get(&pool, &tokens, &key).await.unwrap();
        assert!(!by_name(&device.device_attributes).contains_key("device_name"));
        by_name(&device.device_attributes)["dev:device_remembered_status"].clone()
    };
    assert_eq!(status().await, "not_remembered");
    update(&pool, &tokens, &key, None).await.unwrap();
    assert_eq!(status().await, "not_remembered");
    for said in ["remembered", "not_remembered"] {
        update(&pool, &tokens, &key, Some(said)).await.unwrap();
        assert_eq!(status().await, said);
        let request = AdminUpdateDeviceStatusRequest {
            user_pool_id: Some(pool.id.clone()),
            username: Some(person.username.clone()),
            device_key: Some(key.clone()),
            device_remembered_status: Some(
                if said == "remembered" { "not_remembered" } else { "remembered" }.to_owned(),
            ),
        };
        pool.api.call(request.clone()).await.unwrap();
        assert_eq!(status().await, request.device_remembered_status());
    }
    let device = get(&pool, &tokens, &key).await.unwrap();
    assert_ne!(device.device_create_date, device.device_last_modified_date);
    let unheard = update(&pool, &tokens, &key, Some("forgotten")).await.unwrap_err();
    assert_eq!(unheard.exception, "InvalidParameterException");
    pool.verify().await;
}

#[tokio::test]
async fn a_pool_without_a_device_configuration_gives_out_no_keys() {
    let pool = Pool::create().await;
    let person = pool.person("untracked").await;
    let tokens = sign_in(&pool, &person, Some("us-east-1_00000000-0000-4000-8000-000000000001")).await;
    assert_eq!(tokens.new_device_metadata, None);
    assert_eq!(claims(tokens.access_token()).get("device_key"), None);
    refresh(&pool, tokens.refresh_token(), None).await.unwrap();
    let request = ConfirmDeviceRequest {
        access_token: tokens.access_token.clone(),
        device_key: Some("us-east-1_00000000-0000-4000-8000-000000000001".to_owned()),
        ..Default::default()
    };
    let untracked = ("InvalidUserPoolConfigurationException", "The user pool does not track devices.");
    assert_refused(pool.api.call(request).await, untracked.0, untracked.1);
    pool.verify().await;
}

#[tokio::test]
async fn what_is_no_verifier_and_keys_of_other_sign_ins_are_not_confirmed() {
    let pool = tracking_pool(false).await;
    let person = pool.person("strange").await;
    let (tokens, other) = (sign_in(&pool, &person, None).await, sign_in(&pool, &person, None).await);
    let beyond = STANDARD.encode([0xff; 384]);
    for (salt, verifier, field) in [
        ("", "AQ==", "Salt"),
        ("no base64", "AQ==", "Salt"),
        ("BwcH", "", "PasswordVerifier"),
        ("BwcH", "AAAA", "PasswordVerifier"),
        ("BwcH", &beyond, "PasswordVerifier"),
    ] {
        let config = DeviceSecretVerifierConfigType {
            salt: Some(salt.to_owned()),
            password_verifier: Some(verifier.to_owned()),
        };
        let request = ConfirmDeviceRequest { device_secret_verifier_config: Some(config), ..confirmation(&tokens) };
        let message = format!("DeviceSecretVerifierConfig.{field} is not a valid one.");
        assert_refused(pool.api.call(request).await, "InvalidParameterException", &message);
    }
    let others_key = new_device(&other).device_key.unwrap();
    for key in [others_key.as_str(), "us-east-1_00000000-0000-4000-8000-000000000001", "somewhere_0123"] {
        let request = ConfirmDeviceRequest { device_key: Some(key.to_owned()), ..confirmation(&tokens) };
        assert_refused(pool.api.call(request).await, NO_DEVICE.0, NO_DEVICE.1);
    }
    pool.verify().await;
}

#[tokio::test]
async fn of_many_confirmations_at_one_moment_one_counts() {
    let pool = tracking_pool(false).await;
    let person = pool.person("burst").await;
    let tokens = sign_in(&pool, &person, None).await;
    let answers = join_all((0..8).map(|_| pool.api.call(confirmation(&tokens)))).await;
    let (confirmed, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(confirmed.len(), 1);
    for refusal in refused {
        assert_refused(refusal, "DeviceKeyExistsException", "The device was confirmed already.");
    }
    pool.verify().await;
}

#[tokio::test]
async fn a_session_with_a_device_is_refreshed_with_its_key_alone() {
    let pool = tracking_pool(false).await;
    let person = pool.person("bound").await;
    let (first, key) = with_device(&pool, &person).await;
    let unconfirmed = sign_in(&pool, &person, None).await;
    let other_key = new_device(&unconfirmed).device_key.unwrap();
    for (tokens, right, wrong) in [(&first, &key, &other_key), (&unconfirmed, &other_key, &key)] {
        for wrong in [None, Some(wrong.as_str()), Some("")] {
            assert_refused(refresh(&pool, tokens.refresh_token(), wrong).await, UNBOUND.0, UNBOUND.1);
        }
        let renewed = refresh(&pool, tokens.refresh_token(), Some(right)).await.unwrap();
        assert_eq!(claims(renewed.access_token())["device_key"], right.as_str());
        assert_eq!(renewed.new_device_metadata, None);
        let by_server = AdminInitiateAuthRequest {
            user_pool_id: Some(pool.id.clone()),
            client_id: Some(pool.client_id.clone()),
            auth_flow: Some("REFRESH_TOKEN".to_owned()),
            auth_parameters: parameters(&[("REFRESH_TOKEN", tokens.refresh_token()), ("DEVICE_KEY", right)]),
            ..Default::default()
        };
        pool.api.call(by_server.clone()).await.unwrap();
        let without = AdminInitiateAuthRequest {
            auth_parameters: parameters(&[("REFRESH_TOKEN", tokens.refresh_token())]),
            ..by_server
        };
        assert_refused(pool.api.call(without).await, UNBOUND.0, UNBOUND.1);
    }
    pool.verify().await;
}

#[tokio::test]
async fn a_rotating_client_names_the_device_as_well() {
    let pool = tracking_pool(false).await;
    let person = pool.person("rotating").await;
    let rotation = RefreshTokenRotationType { feature: Some("ENABLED".into()), retry_grace_period_seconds: Some(0) };
    let client = CreateUserPoolClientRequest {
        explicit_auth_flows: texts(&["ALLOW_USER_PASSWORD_AUTH"]),
        refresh_token_rotation: Some(rotation),
        ..Default::default()
    };
    let client_id = pool.add_client(client).await.client_id;
    let request =
        InitiateAuthRequest { client_id: client_id.clone(), ..pool.sign_in_request(&person.username, PASSWORD) };
    let tokens = pool.api.call(request).await.unwrap().authentication_result.unwrap();
    let key = new_device(&tokens).device_key.unwrap();
    let renew = |token: &str, device_key: Option<&str>| {
        let request = GetTokensFromRefreshTokenRequest {
            client_id: client_id.clone(),
            refresh_token: Some(token.to_owned()),
            device_key: device_key.map(str::to_owned),
            ..Default::default()
        };
        pool.api.call(request)
    };
    let other = "us-east-1_00000000-0000-4000-8000-000000000001";
    for wrong in [None, Some(other)] {
        assert_refused(renew(tokens.refresh_token(), wrong).await, UNBOUND.0, UNBOUND.1);
    }
    let renewed = renew(tokens.refresh_token(), Some(&key)).await.unwrap().authentication_result.unwrap();
    // A copy of the old token without the device's key does not end the session of whoever has it.
    assert_refused(renew(tokens.refresh_token(), None).await, UNBOUND.0, UNBOUND.1);
    renew(renewed.refresh_token(), Some(&key)).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn a_server_signs_in_by_password_without_a_device_and_such_a_session_is_not_refreshed() {
    let pool = tracking_pool(false).await;
    let person = pool.person("served").await;
    let (_, key) = with_device(&pool, &person).await;
    let request = AdminInitiateAuthRequest {
        user_pool_id: Some(pool.id.clone()),
        client_id: Some(pool.client_id.clone()),
        auth_flow: Some("ADMIN_USER_PASSWORD_AUTH".to_owned()),
        auth_parameters: parameters(&[("USERNAME", &person.username), ("PASSWORD", PASSWORD), ("DEVICE_KEY", &key)]),
        ..Default::default()
    };
    let tokens = pool.api.call(request).await.unwrap().authentication_result.unwrap();
    assert_eq!(tokens.new_device_metadata, None);
    assert_eq!(claims(tokens.access_token()).get("device_key"), None);
    pool.get_user(tokens.access_token()).await.unwrap();
    for key in [None, Some(key.as_str())] {
        assert_refused(refresh(&pool, tokens.refresh_token(), key).await, UNBOUND.0, UNBOUND.1);
    }
    pool.verify().await;
}

#[tokio::test]
async fn a_forgotten_device_ends_its_sessions_and_no_others() {
    let pool = tracking_pool(false).await;
    let person = pool.person("forgetful").await;
    let (first, key) = with_device(&pool, &person).await;
    let second = sign_in(&pool, &person, Some(&key)).await;
    let (elsewhere, elsewhere_key) = with_device(&pool, &person).await;
    forget(&pool, &elsewhere, &key).await.unwrap();
    for ended in [&first, &second] {
        assert_refused(pool.get_user(ended.access_token()).await, REVOKED.0, REVOKED.1);
        let refusal = refresh(&pool, ended.refresh_token(), Some(&key)).await;
        assert_refused(refusal, "NotAuthorizedException", "Refresh Token has been revoked");
    }
    pool.get_user(elsewhere.access_token()).await.unwrap();
    for gone in [forget(&pool, &elsewhere, &key).await, update(&pool, &elsewhere, &key, Some("remembered")).await] {
        assert_refused(gone, NO_DEVICE.0, NO_DEVICE.1);
    }
    // Its key means nothing any more: the next sign-in gives out another.
    let again = sign_in(&pool, &person, Some(&key)).await;
    assert_ne!(new_device(&again).device_key.as_deref(), Some(key.as_str()));

    let request = AdminForgetDeviceRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(person.username.clone()),
        device_key: Some(elsewhere_key.clone()),
    };
    pool.api.call(request.clone()).await.unwrap();
    assert_refused(pool.get_user(elsewhere.access_token()).await, REVOKED.0, REVOKED.1);
    assert_refused(pool.api.call(request).await, NO_DEVICE.0, NO_DEVICE.1);
    assert_refused(admin_get(&pool, &person.username, &elsewhere_key).await, NO_DEVICE.0, NO_DEVICE.1);
    pool.get_user(again.access_token()).await.unwrap();
    // Each session that ended is a fact.
    let database = sqlx::PgPool::connect_lazy(&pool.api.environment().postgres.url(DATABASE)).unwrap();
    let mut recorded: Vec<String> = sqlx::query_scalar(
        "select payload->>'session_id' from activity where user_pool_id = $1 and owner = $2
         and type = 'user.tokens_revoked' and payload->>'reason' = 'TOKEN_REVOCATION_DEVICE_FORGOTTEN'
         and payload->>'client_id' = $3",
    )
    .bind(&pool.id)
    .bind(&person.sub)
    .bind(&pool.client_id)
    .fetch_all(&database)
    .await
    .unwrap();
    recorded.sort_unstable();
    let mut ended = [&first, &second, &elsewhere].map(|tokens| claims(tokens.access_token())["event_id"].clone());
    ended.sort_unstable_by_key(|id| id.to_string());
    assert_eq!(recorded, ended);
    pool.verify().await;
}

#[tokio::test]
async fn the_device_of_another_user_is_as_if_it_did_not_exist() {
    let pool = tracking_pool(false).await;
    let (jane, joan) = (pool.person("jane").await, pool.person("joan").await);
    let (_, key) = with_device(&pool, &jane).await;
    let tokens = sign_in(&pool, &joan, Some(&key)).await;
    assert_ne!(new_device(&tokens).device_key.as_deref(), Some(key.as_str()));
    assert_refused(get(&pool, &tokens, &key).await.map(drop), NO_DEVICE.0, NO_DEVICE.1);
    assert_refused(forget(&pool, &tokens, &key).await, NO_DEVICE.0, NO_DEVICE.1);
    assert_refused(update(&pool, &tokens, &key, Some("not_remembered")).await, NO_DEVICE.0, NO_DEVICE.1);
    let request = ConfirmDeviceRequest { device_key: Some(key.clone()), ..confirmation(&tokens) };
    assert_refused(pool.api.call(request).await, NO_DEVICE.0, NO_DEVICE.1);
    assert_refused(admin_get(&pool, &joan.username, &key).await, NO_DEVICE.0, NO_DEVICE.1);
    let update = AdminUpdateDeviceStatusRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(joan.username.clone()),
        device_key: Some(key.clone()),
        device_remembered_status: None,
    };
    assert_refused(pool.api.call(update).await, NO_DEVICE.0, NO_DEVICE.1);
    admin_get(&pool, &jane.username, &key).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn the_device_that_a_sign_in_began_with_stays_until_its_end() {
    const TEMPORARY: &str = "Temporary-horse-7";
    let pool = tracking_pool(false).await;
    let person = pool.person("interrupted").await;
    let (first, key) = with_device(&pool, &person).await;
    let set = AdminSetUserPasswordRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(person.username.clone()),
        password: Some(TEMPORARY.to_owned()),
        permanent: Some(false),
    };
    let mut ends = Vec::new();
    for named_again in [None, Some(key.as_str()), Some("us-east-1_00000000-0000-4000-8000-000000000001")] {
        pool.api.call(set.clone()).await.unwrap();
        let mut request = pool.sign_in_request(&person.username, TEMPORARY);
        request.auth_parameters.insert("DEVICE_KEY".to_owned(), key.clone());
        let session = pool.api.call(request).await.unwrap().session.expect("a challenge");
        let mut answer = pool.new_password_request(&session, &person.username, PASSWORD);
        answer.challenge_responses.extend(named_again.map(|key| ("DEVICE_KEY".to_owned(), key.to_owned())));
        ends.push(pool.api.call(answer).await.unwrap().authentication_result.unwrap());
    }
    let used = |tokens: &AuthenticationResultType| claims(tokens.access_token())["device_key"] == key.as_str();
    assert_eq!(ends.iter().map(used).collect::<Vec<_>>(), [true, true, false]);
    let named: Vec<_> = ends.iter().map(|tokens| tokens.new_device_metadata.is_none()).collect();
    assert_eq!(named, [true, true, false]);
    let device = admin_get(&pool, &person.username, &key).await.unwrap();
    let auth_time = claims(ends[1].access_token())["auth_time"].as_i64();
    assert_eq!(device.device_last_authenticated_date.map(|at| at.seconds), auth_time);
    assert!(claims(first.access_token())["auth_time"].as_i64() <= auth_time);
    pool.verify().await;
}

#[tokio::test]
async fn devices_are_listed_page_by_page() {
    let pool = tracking_pool(false).await;
    let (person, other) = (pool.person("many").await, pool.person("other").await);
    let mut keys = Vec::new();
    for _ in 0..5 {
        keys.push(with_device(&pool, &person).await.1);
    }
    keys.sort();
    let (tokens, _) = with_device(&pool, &other).await;
    let own = sign_in(&pool, &person, Some(&keys[0])).await;
    for limit in [None, Some(0), Some(2), Some(5)] {
        let mut request = ListDevicesRequest { access_token: own.access_token.clone(), limit, pagination_token: None };
        let mut found = Vec::new();
        loop {
            let page = pool.api.call(request.clone()).await.unwrap();
            assert!(limit.is_none_or(|limit| limit == 0 || page.devices.len() <= usize::try_from(limit).unwrap()));
            found.extend(page.devices);
            request.pagination_token = page.pagination_token;
            if request.pagination_token.is_none() {
                break;
            }
            // The token of one user's list is none of another's, and none of the other operation's.
            let not_theirs = ListDevicesRequest { access_token: tokens.access_token.clone(), ..request.clone() };
            let refused = ("InvalidParameterException", "The pagination token is not one of this list.");
            assert_refused(pool.api.call(not_theirs).await, refused.0, refused.1);
            let admins = AdminListDevicesRequest {
                user_pool_id: Some(pool.id.clone()),
                username: Some(person.username.clone()),
                limit,
                pagination_token: request.pagination_token.clone(),
            };
            assert_refused(pool.api.call(admins).await, refused.0, refused.1);
        }
        assert_eq!(found.iter().map(|device| device.device_key().to_owned()).collect::<Vec<_>>(), keys);
        let mut request = AdminListDevicesRequest {
            user_pool_id: Some(pool.id.clone()),
            username: Some(person.username.clone()),
            limit,
            pagination_token: None,
        };
        let mut by_server = Vec::new();
        loop {
            let page = pool.api.call(request.clone()).await.unwrap();
            by_server.extend(page.devices);
            request.pagination_token = page.pagination_token;
            if request.pagination_token.is_none() {
                break;
            }
        }
        assert_eq!(by_server, found);
    }
    let nobody = AdminListDevicesRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some("nobody".to_owned()),
        ..Default::default()
    };
    assert_refused(pool.api.call(nobody).await, "ResourceNotFoundException", "User does not exist.");
    let nobodys = admin_get(&pool, "nobody", &keys[0]).await;
    assert_refused(nobodys, "ResourceNotFoundException", "User does not exist.");
    let (user_pool_id, username, device_key) =
        (Some(pool.id.clone()), Some("nobody".to_owned()), Some(keys[0].clone()));
    let forget = AdminForgetDeviceRequest { user_pool_id, username, device_key };
    let AdminForgetDeviceRequest { user_pool_id, username, device_key } = forget.clone();
    let update = AdminUpdateDeviceStatusRequest { user_pool_id, username, device_key, ..Default::default() };
    assert_refused(pool.api.call(forget).await, "UserNotFoundException", "User does not exist.");
    assert_refused(pool.api.call(update).await, "UserNotFoundException", "User does not exist.");
    pool.verify().await;
}

#[tokio::test]
async fn nothing_of_a_device_is_left_after_its_user_is_deleted() {
    let pool = tracking_pool(false).await;
    let (person, other) = (pool.person("gone").await, pool.person("administered").await);
    let name = unique("the-name-of-a-phone");
    let tokens = sign_in(&pool, &person, None).await;
    let request = ConfirmDeviceRequest { device_name: Some(name.clone()), ..confirmation(&tokens) };
    pool.api.call(request).await.unwrap();
    for _ in 0..2 {
        with_device(&pool, &person).await;
        with_device(&pool, &other).await;
    }
    let environment = pool.api.environment();
    let database = sqlx::PgPool::connect(&environment.database_url()).await.unwrap();
    let about = async |person: &Person| about_user(&database, &pool.id, &person.sub).await;
    for table in ["user_devices", "device_uses", "sessions"] {
        assert!(about(&person).await.contains(&table.to_owned()), "{table}");
    }
    pool.delete_user(tokens.access_token()).await.unwrap();
    let (user_pool_id, username) = (Some(pool.id.clone()), Some(other.username.clone()));
    pool.api.call(AdminDeleteUserRequest { user_pool_id, username }).await.unwrap();
    for person in [&person, &other] {
        assert_eq!(about(person).await, ["activity"]);
    }
    let left: i64 = sqlx::query_scalar("select count(*) from devices where user_pool_id = $1")
        .bind(&pool.id)
        .fetch_one(&database)
        .await
        .unwrap();
    assert_eq!(left, 0);
    // Names and addresses in the log were sealed under keys that are gone.
    let of_users: Vec<(String, Option<String>)> = sqlx::query_as(
        "select payload->>'name', metadata->>'address' from log where user_pool_id = $1 and type = 'device.confirmed'",
    )
    .bind(&pool.id)
    .fetch_all(&database)
    .await
    .unwrap();
    assert_eq!(of_users.len(), 5);
    let keys: Vec<Vec<u8>> = sqlx::query_scalar("select uuid_send(key_id) from keys where user_pool_id = $1")
        .bind(&pool.id)
        .fetch_all(&database)
        .await
        .unwrap();
    for sealed in of_users.into_iter().flat_map(|(name, address)| [name, address.expect("an address")]) {
        let blob = STANDARD.decode(sealed).unwrap();
        assert!(!keys.iter().any(|id| blob.starts_with(id)), "sealed under a key that is there");
    }
    let dump = tokio::task::spawn_blocking(|| environment.postgres.dump(DATABASE)).await.unwrap();
    assert!(!dump.contains(&name));
    pool.verify().await;
}

#[tokio::test]
async fn the_aws_sdk_confirms_shows_lists_changes_and_forgets_devices() {
    let pool = tracking_pool(true).await;
    let person = pool.person("sdk").await;
    let sdk = pool.api.aws();
    let flow = aws_sdk_cognitoidentityprovider::types::AuthFlowType::UserPasswordAuth;
    let signed_in = sdk.initiate_auth().client_id(&pool.client_id).auth_flow(flow);
    let signed_in = signed_in.auth_parameters("USERNAME", &person.username).auth_parameters("PASSWORD", PASSWORD);
    let result = signed_in.send().await.unwrap().authentication_result.unwrap();
    let (token, device) = (result.access_token.unwrap(), result.new_device_metadata.unwrap());
    let (key, group) = (device.device_key.unwrap(), device.device_group_key.unwrap());
    let made = srp::verifier(&group, &key, "secret", [9; 16]);
    let config = aws_sdk_cognitoidentityprovider::types::DeviceSecretVerifierConfigType::builder()
        .password_verifier(STANDARD.encode(made.verifier))
        .salt(STANDARD.encode(made.salt))
        .build();
    let confirm = sdk.confirm_device().access_token(&token).device_key(&key).device_name("a laptop");
    assert!(confirm.device_secret_verifier_config(config).send().await.unwrap().user_confirmation_necessary);
    let remembered = aws_sdk_cognitoidentityprovider::types::DeviceRememberedStatusType::Remembered;
    let update = sdk.update_device_status().access_token(&token).device_key(&key);
    update.device_remembered_status(remembered).send().await.unwrap();
    let shown = sdk.get_device().access_token(&token).device_key(&key).send().await.unwrap().device.unwrap();
    let attributes: Vec<_> =
        shown.device_attributes.unwrap().iter().map(|it| (it.name.clone(), it.value.clone())).collect();
    assert!(attributes.contains(&("dev:device_remembered_status".to_owned(), Some("remembered".to_owned()))));
    assert!(shown.device_last_authenticated_date.is_some());
    assert_eq!(sdk.list_devices().access_token(&token).send().await.unwrap().devices.unwrap().len(), 1);
    let named = json!({ "UserPoolId": pool.id, "Username": person.username, "DeviceKey": key });
    let forgotten = pool.api.aws_json("AdminForgetDevice", &named).await;
    assert_eq!(forgotten.status, 200);
    let gone = sdk.get_device().access_token(&token).device_key(&key).send().await.unwrap_err();
    assert!(gone.into_service_error().is_not_authorized_exception(), "its session is over");
    let all = sdk.admin_list_devices().user_pool_id(&pool.id).username(&person.username).send().await.unwrap();
    assert_eq!(all.devices.unwrap(), []);
    pool.verify().await;
}
