//! ID and access tokens, with the claims of the guide's token pages.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::domain::app_client::AppClient;
use crate::domain::attributes;
use crate::domain::auth::session::Session;
use crate::domain::error::Error;
use crate::domain::group::Group;
use crate::domain::group::claims::claims as group_claims;
use crate::domain::time::Timestamp;
use crate::domain::trigger::pre_token_generation::TokenChanges;
use crate::domain::user::{User, identities};
use crate::domain::user_pool::TokenUse;
use crate::environment::Random;
use crate::store::cache::PoolView;
use crate::tokens::signing_keys::{Signers, SigningFailed};

/// The scope of tokens that are issued by the API itself.
pub const SELF_SERVICE_SCOPE: &str = "aws.cognito.signin.user.admin";

/// The input for issuing tokens.
#[derive(Clone, Copy, Debug)]
pub struct Issue<'a> {
    /// The pool, whose keys sign the tokens.
    pub pool: &'a PoolView,
    /// The client that the tokens are for.
    pub client: &'a AppClient,
    /// The user whom the tokens are about.
    pub user: &'a User,
    /// The groups of the user.
    pub groups: &'a [Group],
    /// The session that the tokens belong to.
    pub session: &'a Session,
    /// What the pool's trigger changes in the tokens.
    pub changes: Option<&'a TokenChanges>,
    /// When the tokens are issued: their `iat`.
    pub at: Timestamp,
}

/// A pair of new tokens, as JWTs.
pub struct IssuedTokens {
    /// The ID token, which tells an app about the user.
    pub id_token: String,
    /// The access token, which authorises calls of the API.
    pub access_token: String,
    /// The lifetime of the access token, in seconds.
    pub expires_in: i64,
}

/// Issues and signs both tokens.
pub fn issue(issue: Issue<'_>, signers: &Signers, random: &Random) -> Result<IssuedTokens, Error> {
    let lives = issue.client.lifetimes();
    let mut id = id_claims(&issue, lives.id, random);
    let mut access = access_claims(&issue, lives.access, random);
    if let Some(changes) = issue.changes {
        changes.apply_to_id_token(&mut id)?;
        changes.apply_to_access_token(&mut access)?;
    }
    Ok(IssuedTokens {
        id_token: sign(&issue, TokenUse::Id, &id.into(), signers)?,
        access_token: sign(&issue, TokenUse::Access, &access.into(), signers)?,
        expires_in: lives.access,
    })
}

fn sign(issue: &Issue<'_>, purpose: TokenUse, claims: &Value, signers: &Signers) -> Result<String, Error> {
    let key = issue.pool.state.signing_key(purpose, issue.at);
    let key = key.ok_or_else(|| Error::internal(SigningFailed("found")))?;
    let header = json!({ "kid": key.kid, "alg": "RS256" });
    let mut token = URL_SAFE_NO_PAD.encode(header.to_string());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut token);
    let signature = signers.sign(issue.pool, key, token.as_bytes())?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}

/// The claims that both tokens share.
fn common_claims(issue: &Issue<'_>, purpose: TokenUse, life: i64, random: &Random) -> Map<String, Value> {
    let mut claims = Map::new();
    let mut claim = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    claim("sub", json!(issue.user.sub));
    claim("iss", json!(issue.pool.state.issuer));
    claim("token_use", json!(purpose.name()));
    claim("auth_time", json!(issue.session.auth_time.seconds()));
    claim("iat", json!(issue.at.seconds()));
    claim("exp", json!(issue.at.seconds() + life));
    claim("event_id", json!(issue.session.event_id));
    claim("jti", json!(random.uuid()));
    let groups = group_claims(issue.groups);
    if !groups.groups.is_empty() {
        claim("cognito:groups", json!(groups.groups));
    }
    if issue.client.settings.enable_token_revocation {
        claim("origin_jti", json!(origin_jti(issue.session.event_id)));
    }
    claims
}

/// The id of the token that began a session. It identifies the session to those who see only tokens, but is not the
/// session's id.
fn origin_jti(session: Uuid) -> Uuid {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, session.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_ref()[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

fn access_claims(issue: &Issue<'_>, life: i64, random: &Random) -> Map<String, Value> {
    let mut claims = common_claims(issue, TokenUse::Access, life, random);
    claims.insert("client_id".to_owned(), json!(issue.client.client_id));
    claims.insert("scope".to_owned(), json!(SELF_SERVICE_SCOPE));
    claims.insert("username".to_owned(), json!(issue.user.username()));
    let device = issue.session.device.map(|device| device.key(&issue.pool.id));
    claims.extend(device.map(|key| ("device_key".to_owned(), json!(key))));
    claims
}

fn id_claims(issue: &Issue<'_>, life: i64, random: &Random) -> Map<String, Value> {
    let mut claims = Map::new();
    for (name, value) in issue.user.shown_attributes() {
        if attributes::readable(&issue.pool.state.schema, issue.client.readable(), &name) {
            claims.insert(name.clone(), attribute_claim(&name, value));
        }
    }
    if let Some(identities) = claims.get_mut("identities") {
        *identities = identities::token_claim(&issue.user.identities);
    }
    // The token's own claims are added last, so that no attribute can replace them.
    claims.extend(common_claims(issue, TokenUse::Id, life, random));
    claims.insert("aud".to_owned(), json!(issue.client.client_id));
    claims.insert("cognito:username".to_owned(), json!(issue.user.username()));
    let groups = group_claims(issue.groups);
    if !groups.roles.is_empty() {
        claims.insert("cognito:roles".to_owned(), json!(groups.roles));
    }
    claims.extend(groups.preferred_role.map(|role| ("cognito:preferred_role".to_owned(), json!(role))));
    claims
}

/// The type of a claim: standard attributes have those of OpenID Connect, custom ones are strings.
fn attribute_claim(name: &str, value: String) -> Value {
    match name {
        "email_verified" | "phone_number_verified" => json!(value == "true"),
        "updated_at" => value.parse::<i64>().map_or_else(|_| json!(value), |number| json!(number)),
        "address" => json!({ "formatted": value }),
        _ => json!(value),
    }
}
