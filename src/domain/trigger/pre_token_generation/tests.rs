use serde_json::json;

use super::*;
use crate::domain::error::Exception;
use crate::domain::testing::refusal;
use crate::domain::trigger::{About, event};
use crate::proto::v1::PreTokenGenerationVersionConfigType;

const ABOUT: About<'_> =
    About { region: "us-east-1", user_pool_id: "us-east-1_pool", user_name: "jane", client_id: Some("client") };

fn question() -> PreTokenGeneration {
    let attributes = [("sub".to_owned(), "1".to_owned()), ("cognito:user_status".to_owned(), "CONFIRMED".to_owned())];
    let groups = GroupClaims { groups: vec!["admins", "readers"], roles: vec!["arn:role"], preferred_role: None };
    PreTokenGeneration::new(AUTHENTICATION, attributes.into(), groups.into(), None)
}

fn sent(event: Vec<u8>) -> Value {
    serde_json::from_slice(&event).unwrap()
}

#[test]
fn the_first_version_tells_attributes_and_groups() {
    let expected = json!({
        "version": "1",
        "region": "us-east-1",
        "userPoolId": "us-east-1_pool",
        "userName": "jane",
        "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": "client"},
        "triggerSource": "TokenGeneration_Authentication",
        "request": {
            "userAttributes": {"sub": "1", "cognito:user_status": "CONFIRMED"},
            "groupConfiguration": {
                "groupsToOverride": ["admins", "readers"],
                "iamRolesToOverride": ["arn:role"],
                "preferredRole": null,
            },
            "clientMetadata": null,
        },
        "response": {"claimsOverrideDetails": null},
    });
    assert_eq!(sent(event(ABOUT, &question()).unwrap()), expected);
}

#[test]
fn the_later_versions_also_tell_scopes() {
    let metadata = Some(Texts::from([("source".to_owned(), "app".to_owned())]));
    for (version, number) in [(Version::V2, "2"), (Version::V3, "3")] {
        let question = PreTokenGeneration { source: REFRESH_TOKENS, client_metadata: metadata.clone(), ..question() };
        let sent = sent(event(ABOUT, &question.with_scopes(version, vec!["openid".to_owned()])).unwrap());
        assert_eq!(
            (&sent["version"], &sent["triggerSource"]),
            (&json!(number), &json!("TokenGeneration_RefreshTokens"))
        );
        let request = json!({
            "userAttributes": {"sub": "1", "cognito:user_status": "CONFIRMED"},
            "groupConfiguration": {
                "groupsToOverride": ["admins", "readers"],
                "iamRolesToOverride": ["arn:role"],
                "preferredRole": null,
            },
            "clientMetadata": {"source": "app"},
            "scopes": ["openid"],
        });
        assert_eq!(sent["request"], request);
        assert_eq!(sent["response"], json!({"claimsAndScopeOverrideDetails": null}));
    }
}

#[test]
fn a_pool_chooses_the_version() {
    let chosen = |version: Option<&str>| {
        let config = PreTokenGenerationVersionConfigType {
            lambda_arn: Some("arn".to_owned()),
            lambda_version: version.map(str::to_owned),
        };
        Version::of(&LambdaConfigType { pre_token_generation_config: Some(config), ..Default::default() })
    };
    assert_eq!(Version::of(&LambdaConfigType::default()), Version::V1);
    assert_eq!(chosen(None), Version::V1);
    assert_eq!(chosen(Some("V1_0")), Version::V1);
    assert_eq!(chosen(Some("V2_0")), Version::V2);
    assert_eq!(chosen(Some("V3_0")), Version::V3);
}

fn id_token() -> Map<String, Value> {
    let claims = json!({
        "sub": "1", "aud": "client", "email": "jane@example.com", "cognito:username": "jane",
        "cognito:groups": ["admins"], "cognito:roles": ["arn:role"], "cognito:preferred_role": "arn:role",
    });
    claims.as_object().unwrap().clone()
}

fn access_token() -> Map<String, Value> {
    let claims = json!({
        "sub": "1", "client_id": "client", "username": "jane", "scope": "aws.cognito.signin.user.admin",
        "cognito:groups": ["admins"],
    });
    claims.as_object().unwrap().clone()
}

fn answered<Q: Question>(question: &Q, response: &Value) -> Result<Q::Answer, Error> {
    reply::answer(question, json!({ "response": response }).to_string().as_bytes())
}

fn first(details: &Value) -> Result<TokenChanges, Error> {
    answered(&question(), &json!({ "claimsOverrideDetails": details })).map(Into::into)
}

fn later(details: &Value) -> Result<TokenChanges, Error> {
    let question = question().with_scopes(Version::V2, Vec::new());
    answered(&question, &json!({ "claimsAndScopeOverrideDetails": details })).map(Into::into)
}

/// Both tokens after these changes.
fn changed(changes: &TokenChanges) -> (Value, Value) {
    let (mut id, mut access) = (id_token(), access_token());
    changes.apply_to_id_token(&mut id).unwrap();
    changes.apply_to_access_token(&mut access).unwrap();
    (id.into(), access.into())
}

#[test]
fn an_answer_without_details_changes_nothing() {
    for changes in [first(&Value::Null), first(&json!({})), later(&Value::Null), later(&json!({}))] {
        assert_eq!(changed(&changes.unwrap()), (id_token().into(), access_token().into()));
    }
    let nulls = json!({"idTokenGeneration": null, "accessTokenGeneration": null});
    assert_eq!(changed(&later(&nulls).unwrap()), (id_token().into(), access_token().into()));
}

#[test]
fn claims_are_added_replaced_and_suppressed_and_suppression_wins() {
    let details = json!({
        "claimsToAddOrOverride": {"email": "other@example.com", "team": "blue", "secret": "x"},
        "claimsToSuppress": ["secret", "nothing"],
    });
    let (id, access) = changed(&first(&details).unwrap());
    assert_eq!((&id["email"], &id["team"], id.get("secret")), (&json!("other@example.com"), &json!("blue"), None));
    assert_eq!(access, Value::from(access_token()), "version 1 leaves the access token as it is");
    let (id, _) = changed(&first(&json!({"claimsToSuppress": ["email"]})).unwrap());
    assert_eq!(id.get("email"), None);
}

#[test]
fn claims_that_make_a_token_what_it_is_stay() {
    let all = FIXED.into_iter().chain(FIXED_IN_ID_TOKEN).chain(FIXED_IN_ACCESS_TOKEN).chain(OF_GROUPS);
    let added: Map<_, _> = all.clone().map(|name| (name.to_owned(), json!("forged"))).collect();
    let (mut id, mut access) = (id_token(), access_token());
    let forged = json!({
        "idTokenGeneration": {"claimsToAddOrOverride": added},
        "accessTokenGeneration": {"claimsToAddOrOverride": added},
    });
    let changes = later(&forged).unwrap();
    changes.apply_to_id_token(&mut id).unwrap();
    changes.apply_to_access_token(&mut access).unwrap();
    for (name, value) in id_token() {
        assert_eq!(id[&name], value, "{name}");
    }
    for (name, value) in access_token() {
        assert_eq!(access[&name], value, "{name}");
    }
    let fixed: Vec<_> = all.filter(|name| !OF_GROUPS.contains(name)).collect();
    let suppressed = json!({
        "idTokenGeneration": {"claimsToSuppress": fixed},
        "accessTokenGeneration": {"claimsToSuppress": fixed},
    });
    assert_eq!(changed(&later(&suppressed).unwrap()), (id_token().into(), access_token().into()));
}

#[test]
fn later_versions_give_claims_any_form_and_change_both_tokens() {
    let details = json!({
        "idTokenGeneration": {"claimsToAddOrOverride": {"family": {"size": 4}}, "claimsToSuppress": ["email"]},
        "accessTokenGeneration": {
            "claimsToAddOrOverride": {"permissions": ["read", "write"], "level": 7, "aud": "client"},
            "claimsToSuppress": ["cognito:groups"],
        },
    });
    let (id, access) = changed(&later(&details).unwrap());
    assert_eq!((&id["family"], id.get("email")), (&json!({"size": 4}), None));
    assert_eq!((&access["permissions"], &access["level"]), (&json!(["read", "write"]), &json!(7)));
    assert_eq!((&access["aud"], access.get("cognito:groups")), (&json!("client"), None));
    let other = json!({"accessTokenGeneration": {"claimsToAddOrOverride": {"aud": "another"}}});
    assert_eq!(changed(&later(&other).unwrap()).1.get("aud"), None);
}

#[test]
fn scopes_are_added_and_suppressed() {
    let scope = |generation: Value| {
        let changes = later(&json!({ "accessTokenGeneration": generation })).unwrap();
        let mut access = access_token();
        changes.apply_to_access_token(&mut access).map(|()| access.get("scope").cloned())
    };
    let of = |text: &str| Ok(Some(json!(text)));
    let equal = |found: Result<Option<Value>, Error>, expected: Result<Option<Value>, ()>| {
        assert_eq!(found.map_err(|error| panic!("{error}")), expected);
    };
    let added = json!({"scopesToAdd": ["shop/read", "openid", "shop/read", "no"], "scopesToSuppress": ["no"]});
    equal(scope(added), of("aws.cognito.signin.user.admin shop/read openid"));
    let own = "aws.cognito.signin.user.admin";
    equal(scope(json!({"scopesToAdd": ["openid"], "scopesToSuppress": [own]})), of("openid"));
    equal(scope(json!({"scopesToSuppress": [own]})), Ok(None));
    equal(scope(json!({"scopesToAdd": null, "scopesToSuppress": null})), of(own));
    for bad in ["", "two words", "quoted\"", "back\\slash", "ümlaut"] {
        let refused = refusal(scope(json!({"scopesToAdd": [bad]})).map(drop));
        assert_eq!(refused.0, Exception::InvalidLambdaResponseException, "{bad}");
    }
}

#[test]
fn groups_are_replaced_in_both_tokens_and_kept_where_nothing_is_said() {
    let replaced = json!({"groupOverrideDetails": {
        "groupsToOverride": ["a", "b"], "iamRolesToOverride": ["arn:a"], "preferredRole": "arn:a",
    }});
    for changes in [first(&replaced), later(&replaced)] {
        let (id, access) = changed(&changes.unwrap());
        assert_eq!((&id["cognito:groups"], &access["cognito:groups"]), (&json!(["a", "b"]), &json!(["a", "b"])));
        assert_eq!((&id["cognito:roles"], &id["cognito:preferred_role"]), (&json!(["arn:a"]), &json!("arn:a")));
    }
    let empty = json!({"groupsToOverride": null, "iamRolesToOverride": [], "preferredRole": ""});
    for nothing in [json!({}), Value::Null, empty] {
        let (id, access) = changed(&first(&json!({ "groupOverrideDetails": nothing })).unwrap());
        assert!(OF_GROUPS.iter().all(|name| id.get(name).is_none() && access.get(name).is_none()), "{nothing}");
    }
}

#[test]
fn answers_of_a_wrong_form_are_unrecognizable() {
    let refused = |changes: Result<TokenChanges, Error>| refusal(changes.map(drop));
    let expected = (Exception::InvalidLambdaResponseException, "Unrecognizable lambda output".to_owned());
    for details in [
        json!("text"),
        json!({"claimsToAddOrOverride": {"level": 7}}),
        json!({"claimsToAddOrOverride": {"level": null}}),
        json!({"claimsToAddOrOverride": []}),
        json!({"claimsToSuppress": "email"}),
        json!({"claimsToSuppress": [1]}),
        json!({"groupOverrideDetails": "none"}),
        json!({"groupOverrideDetails": {"groupsToOverride": "a"}}),
    ] {
        assert_eq!(refused(first(&details)), expected, "{details}");
    }
    for details in [
        json!(7),
        json!([]),
        json!({"idTokenGeneration": []}),
        json!({"groupOverrideDetails": [["a"]]}),
        json!({"accessTokenGeneration": {"claimsToAddOrOverride": "x"}}),
        json!({"accessTokenGeneration": {"scopesToAdd": "openid"}}),
        json!({"accessTokenGeneration": {"scopesToSuppress": [null]}}),
    ] {
        assert_eq!(refused(later(&details)), expected, "{details}");
    }
}

#[test]
fn the_claims_of_a_token_have_a_bound() {
    let of_size = |bytes: usize| first(&json!({"claimsToAddOrOverride": {"long": "x".repeat(bytes)}})).unwrap();
    let room = MOST_BYTES - serde_json::to_vec(&id_token()).unwrap().len() - r#","long":"""#.len();
    assert!(of_size(room).apply_to_id_token(&mut id_token()).is_ok());
    let refused = refusal(of_size(room + 1).apply_to_id_token(&mut id_token()));
    let message = "Unrecognizable lambda output: the claims of a token have 50001 bytes of at most 50000.".to_owned();
    assert_eq!(refused, (Exception::InvalidLambdaResponseException, message));
}
