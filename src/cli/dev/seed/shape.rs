//! The allowed members of a seed: those of Cognito's own requests, and a few that seeds add.
//!
//! Both the reader and the published JSON Schema are derived from this and from the descriptors of those requests.

use std::sync::LazyLock;

use prost_reflect::{FieldDescriptor, MessageDescriptor};
use regex::Regex;

use crate::api::aws_json::is_member;
use crate::proto::descriptor_pool;

/// A kind of mapping in a seed.
#[derive(Debug)]
pub struct Shape {
    /// Description of the kind in the published schema.
    pub what: &'static str,
    /// Members of requests, with the same meaning as there.
    pub taken: &'static [Taken],
    /// Members that only seeds have.
    pub own: &'static [Own],
}

/// Members that come from a request.
#[derive(Debug)]
pub struct Taken {
    /// Name of the request message, without its package.
    pub request: &'static str,
    /// The members of the request that seeds have.
    pub members: Members,
}

/// A choice of members of a request.
#[derive(Debug)]
pub enum Members {
    /// All members except these.
    AllBut(&'static [&'static str]),
    /// The named members and no others.
    Only(&'static [&'static str]),
}

/// A member that only seeds have.
#[derive(Debug)]
pub struct Own {
    /// The member's name in the file.
    pub name: &'static str,
    /// Description of the member in the published schema.
    pub what: &'static str,
    /// The type of the member's value.
    pub content: Content,
    /// Whether the member is required.
    pub required: bool,
}

/// The type of a seed's own member.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    /// A text of a given form.
    Text {
        /// The pattern that the text must match.
        pattern: &'static LazyLock<Regex>,
        /// The form in words, for error messages.
        form: &'static str,
    },
    /// A list of texts.
    Texts,
    /// A list of mappings.
    Items(&'static Shape),
}

/// A member of a shape, found by its name.
pub enum Member {
    /// A member of a request.
    Field(FieldDescriptor),
    /// A member that only seeds have.
    Own(&'static Own),
}

#[expect(clippy::expect_used, reason = "the patterns stand below, and a test compiles each")]
fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern that compiles")
}

/// The form of a pool's id.
static POOL_ID: LazyLock<Regex> = LazyLock::new(|| pattern("^[a-z][0-9a-z-]*_[0-9A-Za-z]{9}$"));
/// The form of a client's id.
static CLIENT_ID: LazyLock<Regex> = LazyLock::new(|| pattern("^[0-9a-z]{26}$"));

/// The mapping at the top of the file.
pub static FILE: Shape = Shape {
    what: "What `userpool dev --seed` makes at its start, unless it is there.",
    taken: &[],
    own: &[
        Own {
            name: "$schema",
            what: "Where editors find the schema of the file; not read.",
            content: Content::Text { pattern: &ANY, form: "a text" },
            required: false,
        },
        Own { name: "UserPools", what: "User pools.", content: Content::Items(&USER_POOL), required: true },
    ],
};

/// Matches any text, for members without a form.
static ANY: LazyLock<Regex> = LazyLock::new(|| pattern("^"));

/// A pool, with the clients, groups and users inside it.
pub static USER_POOL: Shape = Shape {
    what: "A user pool, with what CreateUserPool takes.",
    taken: &[Taken { request: "CreateUserPoolRequest", members: Members::AllBut(&[]) }],
    own: &[
        Own {
            name: "Id",
            what: "The id of the pool: the region of its ARN, `_`, and 9 letters or digits.",
            content: Content::Text { pattern: &POOL_ID, form: "a region, `_`, and 9 letters or digits" },
            required: true,
        },
        Own { name: "UserPoolClients", what: "App clients.", content: Content::Items(&CLIENT), required: false },
        Own { name: "Groups", what: "Groups.", content: Content::Items(&GROUP), required: false },
        Own { name: "Users", what: "Users.", content: Content::Items(&USER), required: false },
    ],
};

/// An app client of a pool, with its given id.
pub static CLIENT: Shape = Shape {
    what: "An app client, with what CreateUserPoolClient takes.",
    taken: &[Taken { request: "CreateUserPoolClientRequest", members: Members::AllBut(&["UserPoolId"]) }],
    own: &[Own {
        name: "ClientId",
        what: "The id of the client: 26 small letters or digits.",
        content: Content::Text { pattern: &CLIENT_ID, form: "26 small letters or digits" },
        required: true,
    }],
};

/// A group of a pool; it has no members of its own.
pub static GROUP: Shape = Shape {
    what: "A group, with what CreateGroup takes.",
    taken: &[Taken { request: "CreateGroupRequest", members: Members::AllBut(&["UserPoolId"]) }],
    own: &[],
};

/// A user of a pool, with a password and groups.
pub static USER: Shape = Shape {
    what: "A user with a password: confirmed, unless `Permanent` is false, which leaves it to choose another. Nothing is sent to it. An attribute `sub` chooses its id.",
    taken: &[
        Taken { request: "AdminCreateUserRequest", members: Members::Only(&["Username", "UserAttributes"]) },
        Taken { request: "AdminSetUserPasswordRequest", members: Members::Only(&["Password", "Permanent"]) },
    ],
    own: &[Own {
        name: "Groups",
        what: "Names of groups of the pool in which the user is.",
        content: Content::Texts,
        required: false,
    }],
};

impl Shape {
    /// The member with this name.
    pub fn member(&self, name: &str) -> Option<Member> {
        if let Some(own) = self.own.iter().find(|own| own.name == name) {
            return Some(Member::Own(own));
        }
        self.fields().find(|field| field.json_name() == name).map(Member::Field)
    }

    /// The members that come from requests.
    pub fn fields(&self) -> impl Iterator<Item = FieldDescriptor> {
        self.taken.iter().flat_map(Taken::fields)
    }
}

impl Taken {
    /// The members, as fields of the request.
    pub fn fields(&self) -> impl Iterator<Item = FieldDescriptor> + use<'_> {
        let message: Option<MessageDescriptor> =
            descriptor_pool().get_message_by_name(&format!("userpool.v1.{}", self.request));
        let fields: Vec<_> = message.iter().flat_map(MessageDescriptor::fields).collect();
        fields.into_iter().filter(|field| is_member(field) && self.members.have(field.json_name()))
    }
}

impl Members {
    fn have(&self, name: &str) -> bool {
        match self {
            Self::AllBut(left_out) => !left_out.contains(&name),
            Self::Only(taken) => taken.contains(&name),
        }
    }
}
