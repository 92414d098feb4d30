//! From a document to requests, each checked by the constraints of its operation.

use prost_reflect::MessageDescriptor;
use serde_json::{Map, Value as Json};

use crate::api::aws_json::decode::decode;
use crate::api::checks::{self, Check};
use crate::api::operation::Request;
use crate::app::seed::app_client::SeededClient;
use crate::app::seed::user::SeededUser;
use crate::app::seed::user_pool::SeededUserPool;
use crate::cli::dev::seed::document::{Position, Problem};
use crate::cli::dev::seed::shape;
use crate::cli::dev::seed::walk::{Item, Walk, join};
use crate::cli::dev::seed::yaml::{Node, Value};
use crate::domain::error::{Error, FieldViolation};
use crate::domain::ids::{ClientId, Sub, UserPoolId};
use crate::proto::descriptor_pool;
use crate::proto::v1::{AdminCreateUserRequest, AdminSetUserPasswordRequest, CreateGroupRequest};

/// A value, and its place in the file.
pub struct Placed<T> {
    /// The place at which the value begins.
    pub place: Position,
    /// The request or the seeded item itself.
    pub value: T,
}

/// A pool with everything in it.
pub struct Pool {
    /// The pool without its contents.
    pub pool: Placed<SeededUserPool>,
    /// The app clients of the pool.
    pub clients: Vec<Placed<SeededClient>>,
    /// The groups of the pool.
    pub groups: Vec<Placed<CreateGroupRequest>>,
    /// The users of the pool.
    pub users: Vec<User>,
}

/// A user, with the places of its most frequent problems.
pub struct User {
    /// The user with the place of its mapping.
    pub user: Placed<SeededUser>,
    /// The place of its password.
    pub password: Position,
    /// The place of its list of groups.
    pub groups: Position,
}

/// Reads a document. Returns all problems with its form, or, if there are none, all problems with its values.
pub fn pools(document: &Node) -> Result<Vec<Pool>, Vec<Problem>> {
    let mut walk = Walk::default();
    let file = walk.item(document, &shape::FILE, "");
    if !walk.problems.is_empty() {
        return Err(walk.problems);
    }
    let mut reader = Reader { problems: Vec::new() };
    let pools = file.list("UserPools").iter().map(|item| reader.pool(item)).collect();
    if reader.problems.is_empty() { Ok(pools) } else { Err(reader.problems) }
}

struct Reader {
    problems: Vec<Problem>,
}

impl Reader {
    fn pool(&mut self, item: &Item<'_>) -> Pool {
        let id = item.text("Id");
        let pool =
            SeededUserPool { id: UserPoolId::new(id), create: self.request(item, id), update: self.request(item, id) };
        Pool {
            pool: Placed { place: item.place.clone(), value: pool },
            clients: item.list("UserPoolClients").iter().map(|item| self.client(item, id)).collect(),
            groups: item
                .list("Groups")
                .iter()
                .map(|item| Placed { place: item.place.clone(), value: self.request(item, id) })
                .collect(),
            users: item.list("Users").iter().map(|item| self.user(item, id)).collect(),
        }
    }

    fn client(&mut self, item: &Item<'_>, pool: &str) -> Placed<SeededClient> {
        let value = SeededClient {
            pool_id: UserPoolId::new(pool),
            id: ClientId::new(item.text("ClientId")),
            create: self.request(item, pool),
            update: self.request(item, pool),
        };
        Placed { place: item.place.clone(), value }
    }

    fn user(&mut self, item: &Item<'_>, pool: &str) -> User {
        let mut create: AdminCreateUserRequest = self.request(item, pool);
        let mut password: AdminSetUserPasswordRequest = self.request(item, pool);
        password.permanent.get_or_insert(true);
        create.temporary_password.clone_from(&password.password);
        create.message_action = Some("SUPPRESS".to_owned());
        let sub = create.user_attributes.iter().find(|attribute| attribute.name() == "sub");
        let sub = sub.and_then(|attribute| {
            let sub = sub_of(attribute.value());
            if sub.is_none() {
                let place = item.place_of("UserAttributes");
                self.push(place.problem("The value of sub must be a UUID of 36 characters in small letters."));
            }
            sub
        });
        create.user_attributes.retain(|attribute| attribute.name() != "sub");
        let groups = item.members.get("Groups").and_then(Json::as_array).into_iter().flatten();
        let groups = groups.filter_map(Json::as_str).map(str::to_owned).collect();
        User {
            user: Placed { place: item.place.clone(), value: SeededUser { sub, create, password, groups } },
            password: item.place_of("Password"),
            groups: item.place_of("Groups"),
        }
    }

    /// The request that an item describes: made of those members of the item that the request has.
    fn request<Req: Request + Check>(&mut self, item: &Item<'_>, pool: &str) -> Req {
        match decoded(item, pool).and_then(|request: Req| checks::check(&request, true).map(|()| request)) {
            Ok(mut request) => {
                request.drop_doubles();
                request
            }
            Err(error) => {
                for violation in &error.fields {
                    self.push(located(item, violation));
                }
                if error.fields.is_empty() {
                    self.push(item.place.problem(error.message));
                }
                Req::default()
            }
        }
    }

    /// Two requests of one item can share members: a problem with one is reported once.
    fn push(&mut self, problem: Problem) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }
}

fn decoded<Req: Request>(item: &Item<'_>, pool: &str) -> Result<Req, Error> {
    let descriptor: Option<MessageDescriptor> = descriptor_pool().get_message_by_name(Req::OPERATION.info().request);
    let descriptor = descriptor.ok_or_else(|| Error::internal("a request without a descriptor"))?;
    let known = |name: &str| descriptor.get_field_by_json_name(name).is_some();
    let mut json: Map<_, _> = item.members.clone().into_iter().filter(|(name, _)| known(name)).collect();
    if known("UserPoolId") {
        json.insert("UserPoolId".to_owned(), pool.into());
    }
    Req::decode(decode(&descriptor, Json::Object(json).to_string().as_bytes())?).map_err(Error::internal)
}

/// A sub, in its canonical form only.
fn sub_of(text: &str) -> Option<Sub> {
    let sub = Sub(text.parse().ok()?);
    (sub.to_string() == text).then_some(sub)
}

/// The place of a broken constraint, as near as the violation's path leads. The path is Cognito's, such as
/// `policies.passwordPolicy.minimumLength` or `schema.1.member.name`.
fn located(item: &Item<'_>, violation: &FieldViolation) -> Problem {
    let (mut node, mut path) = (item.node, item.place.path.clone());
    for step in violation.field.split('.') {
        let next = match &node.value {
            Value::Mapping(members) => members.iter().find_map(|(key, value)| {
                let name = key.text()?;
                (uncapitalised(name) == step).then(|| (value, join(&path, name)))
            }),
            Value::List(entries) => {
                let index = step.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
                index.and_then(|index| Some((entries.get(index)?, format!("{path}[{index}]"))))
            }
            _ => None,
        };
        if let Some(next) = next {
            (node, path) = next;
        }
    }
    Position::at(node.begins, path).problem(violation.description.clone())
}

fn uncapitalised(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map(|first| first.to_lowercase().collect::<String>() + characters.as_str()).unwrap_or_default()
}
