//! Pre token generation: which claims, scopes and groups the tokens of a sign-in or of a refresh have.
//!
//! In version 1 the trigger changes the ID token, and the groups of both tokens. In versions 2 and 3 it changes the access
//! token too, and claims may be any JSON.

use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::domain::error::Error;
use crate::domain::group::claims::GroupClaims;
use crate::domain::trigger::{Question, Source, Texts, Trigger, or_default, reply};
use crate::proto::v1::LambdaConfigType;

/// A sign-in is complete.
pub const AUTHENTICATION: Source = Source::new(Trigger::PreTokenGeneration, "Authentication");
/// A sign-in is complete in which the user has chosen a first password of their own.
pub const NEW_PASSWORD_CHALLENGE: Source = Source::new(Trigger::PreTokenGeneration, "NewPasswordChallenge");
/// A sign-in is complete in which a device has proved itself.
pub const AUTHENTICATE_DEVICE: Source = Source::new(Trigger::PreTokenGeneration, "AuthenticateDevice");
/// Tokens are refreshed.
pub const REFRESH_TOKENS: Source = Source::new(Trigger::PreTokenGeneration, "RefreshTokens");

/// The most bytes that the claims of a token may have as JSON after the trigger has changed them.
pub const MOST_BYTES: usize = 50_000;

/// The claims about groups. Only `groupOverrideDetails` gives them other values.
const OF_GROUPS: [&str; 3] = ["cognito:groups", "cognito:roles", "cognito:preferred_role"];

/// Claims that say what a token is, in both tokens.
const FIXED: [&str; 15] = [
    "acr",
    "amr",
    "at_hash",
    "auth_time",
    "azp",
    "event_id",
    "exp",
    "iat",
    "iss",
    "jti",
    "nbf",
    "nonce",
    "origin_jti",
    "sub",
    "token_use",
];
const FIXED_IN_ID_TOKEN: [&str; 3] = ["aud", "cognito:username", "identities"];
const FIXED_IN_ACCESS_TOKEN: [&str; 5] = ["client_id", "device_key", "scope", "username", "version"];

/// The version of the event that a pool's function understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Claims of the ID token.
    V1,
    /// Claims of both tokens.
    V2,
    /// The same; in Cognito also for tokens of clients without a user.
    V3,
}

impl Version {
    /// The version that a pool chose.
    pub fn of(config: &LambdaConfigType) -> Self {
        match config.pre_token_generation_config.as_ref().map(|config| config.lambda_version()) {
            Some("V2_0") => Self::V2,
            Some("V3_0") => Self::V3,
            _ => Self::V1,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::V1 => "1",
            Self::V2 => "2",
            Self::V3 => "3",
        }
    }
}

/// The groups and roles of a user, as the trigger receives them and as it may replace them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupConfiguration {
    #[serde(deserialize_with = "or_default")]
    groups_to_override: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    iam_roles_to_override: Vec<String>,
    preferred_role: Option<String>,
}

impl From<GroupClaims<'_>> for GroupConfiguration {
    fn from(GroupClaims { groups, roles, preferred_role }: GroupClaims<'_>) -> Self {
        let texts = |values: Vec<&str>| values.into_iter().map(str::to_owned).collect();
        Self {
            groups_to_override: texts(groups),
            iam_roles_to_override: texts(roles),
            preferred_role: preferred_role.map(str::to_owned),
        }
    }
}

/// The question about the tokens of a user, as version 1 asks it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PreTokenGeneration {
    #[serde(skip)]
    source: Source,
    user_attributes: Texts,
    group_configuration: GroupConfiguration,
    client_metadata: Option<Texts>,
}

impl PreTokenGeneration {
    /// A question about a user with these attributes and groups.
    pub fn new(
        source: Source,
        user_attributes: Texts,
        group_configuration: GroupConfiguration,
        client_metadata: Option<Texts>,
    ) -> Self {
        Self { source, user_attributes, group_configuration, client_metadata }
    }

    /// The same question in a later version, which also tells the scopes of the access token.
    pub fn with_scopes(self, version: Version, scopes: Vec<String>) -> WithScopes {
        WithScopes { version, question: self, scopes }
    }
}

impl Question for PreTokenGeneration {
    type Answer = Answer;

    fn source(&self) -> Source {
        self.source
    }
}

/// The question as versions 2 and 3 ask it.
#[derive(Clone, Debug, Serialize)]
pub struct WithScopes {
    #[serde(skip)]
    version: Version,
    #[serde(flatten)]
    question: PreTokenGeneration,
    scopes: Vec<String>,
}

impl Question for WithScopes {
    type Answer = AnswerWithScopes;

    fn source(&self) -> Source {
        self.question.source
    }

    fn version(&self) -> &'static str {
        self.version.name()
    }
}

/// What the trigger decides in version 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Answer {
    #[serde(deserialize_with = "object")]
    claims_override_details: Option<ClaimsOverride>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ClaimsOverride {
    #[serde(deserialize_with = "or_default")]
    claims_to_add_or_override: Texts,
    #[serde(deserialize_with = "or_default")]
    claims_to_suppress: Vec<String>,
    #[serde(deserialize_with = "replaced")]
    group_override_details: Option<GroupConfiguration>,
}

/// What the trigger decides in versions 2 and 3.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AnswerWithScopes {
    #[serde(deserialize_with = "object")]
    claims_and_scope_override_details: Option<ClaimsAndScopeOverride>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ClaimsAndScopeOverride {
    #[serde(deserialize_with = "object")]
    id_token_generation: ClaimChanges,
    #[serde(deserialize_with = "object")]
    access_token_generation: AccessTokenGeneration,
    #[serde(deserialize_with = "replaced")]
    group_override_details: Option<GroupConfiguration>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AccessTokenGeneration {
    #[serde(flatten)]
    claims: ClaimChanges,
    #[serde(deserialize_with = "or_default")]
    scopes_to_add: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    scopes_to_suppress: Vec<String>,
}

/// The changes of one token's claims.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ClaimChanges {
    #[serde(deserialize_with = "or_default")]
    claims_to_add_or_override: BTreeMap<String, Value>,
    #[serde(deserialize_with = "or_default")]
    claims_to_suppress: Vec<String>,
}

/// Reads groups that replace the user's. Null leaves none, like an empty object; an absent member keeps the user's.
fn replaced<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<GroupConfiguration>, D::Error> {
    object(deserializer).map(Some)
}

/// Reads an object, or null like an absent member. By itself, serde would take a list for an object as well.
fn object<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(deserializer: D) -> Result<T, D::Error> {
    match Option::<Map<String, Value>>::deserialize(deserializer)? {
        Some(object) => T::deserialize(Value::Object(object)).map_err(D::Error::custom),
        None => Ok(T::default()),
    }
}

/// What a trigger changes in the tokens of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenChanges {
    id_token: ClaimChanges,
    access_token: AccessTokenGeneration,
    /// What replaces the user's groups and roles, if anything does.
    groups: Option<GroupConfiguration>,
}

impl From<Answer> for TokenChanges {
    fn from(answer: Answer) -> Self {
        let ClaimsOverride { claims_to_add_or_override, claims_to_suppress, group_override_details } =
            answer.claims_override_details.unwrap_or_default();
        let claims = claims_to_add_or_override.into_iter().map(|(name, value)| (name, Value::String(value)));
        let id_token = ClaimChanges { claims_to_add_or_override: claims.collect(), claims_to_suppress };
        Self { id_token, groups: group_override_details, ..Self::default() }
    }
}

impl From<AnswerWithScopes> for TokenChanges {
    fn from(answer: AnswerWithScopes) -> Self {
        let ClaimsAndScopeOverride { id_token_generation, access_token_generation, group_override_details } =
            answer.claims_and_scope_override_details.unwrap_or_default();
        Self { id_token: id_token_generation, access_token: access_token_generation, groups: group_override_details }
    }
}

impl TokenChanges {
    /// Changes the claims of an ID token.
    pub fn apply_to_id_token(&self, claims: &mut Map<String, Value>) -> Result<(), Error> {
        if let Some(GroupConfiguration { groups_to_override, iam_roles_to_override, preferred_role }) = &self.groups {
            let role = preferred_role.clone().filter(|role| !role.is_empty());
            replace_list(claims, "cognito:groups", groups_to_override);
            replace_list(claims, "cognito:roles", iam_roles_to_override);
            replace(claims, "cognito:preferred_role", role.map(Value::String));
        }
        self.id_token.apply(claims, |name, _| !FIXED_IN_ID_TOKEN.contains(&name));
        bounded(claims)
    }

    /// Changes the claims of an access token.
    pub fn apply_to_access_token(&self, claims: &mut Map<String, Value>) -> Result<(), Error> {
        if let Some(groups) = &self.groups {
            replace_list(claims, "cognito:groups", &groups.groups_to_override);
        }
        // An audience is the client itself, or there is none.
        let client_id = claims.get("client_id").cloned();
        self.access_token.claims.apply(claims, |name, value| {
            !FIXED_IN_ACCESS_TOKEN.contains(&name) && (name != "aud" || value.is_none() || value == client_id.as_ref())
        });
        self.apply_scopes(claims)?;
        bounded(claims)
    }

    fn apply_scopes(&self, claims: &mut Map<String, Value>) -> Result<(), Error> {
        let AccessTokenGeneration { scopes_to_add, scopes_to_suppress, .. } = &self.access_token;
        if scopes_to_add.iter().any(|scope| !is_scope(scope)) {
            return Err(reply::impossible("a scope is a text without spaces, quotation marks and backslashes"));
        }
        let before = claims.get("scope").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut scopes: Vec<&str> = Vec::new();
        for scope in before.split(' ').chain(scopes_to_add.iter().map(String::as_str)) {
            if !scope.is_empty() && !scopes.contains(&scope) && !scopes_to_suppress.iter().any(|it| it == scope) {
                scopes.push(scope);
            }
        }
        replace(claims, "scope", (!scopes.is_empty()).then(|| Value::String(scopes.join(" "))));
        Ok(())
    }
}

impl ClaimChanges {
    /// Adds and replaces claims, then suppresses some: a claim that is in both lists is suppressed. Claims that can't be
    /// changed stay as they are.
    fn apply(&self, claims: &mut Map<String, Value>, may_change: impl Fn(&str, Option<&Value>) -> bool) {
        let may_change = |name: &str, value: Option<&Value>| !FIXED.contains(&name) && may_change(name, value);
        for (name, value) in &self.claims_to_add_or_override {
            if may_change(name, Some(value)) && !OF_GROUPS.contains(&name.as_str()) {
                claims.insert(name.clone(), value.clone());
            }
        }
        for name in self.claims_to_suppress.iter().filter(|name| may_change(name, None)) {
            claims.remove(name);
        }
    }
}

fn replace_list(claims: &mut Map<String, Value>, name: &str, values: &[String]) {
    replace(claims, name, (!values.is_empty()).then(|| values.into()));
}

fn replace(claims: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => claims.insert(name.to_owned(), value),
        None => claims.remove(name),
    };
}

/// Whether a text is a scope in the sense of OAuth 2.0.
fn is_scope(text: &str) -> bool {
    let is_allowed = |character: char| character.is_ascii_graphic() && !['"', '\\'].contains(&character);
    !text.is_empty() && text.chars().all(is_allowed)
}

fn bounded(claims: &Map<String, Value>) -> Result<(), Error> {
    let bytes = serde_json::to_vec(claims).map_err(Error::internal)?.len();
    if bytes <= MOST_BYTES {
        return Ok(());
    }
    Err(reply::impossible(&format!("the claims of a token have {bytes} bytes of at most {MOST_BYTES}")))
}

#[cfg(test)]
mod tests;
