//! Users: found by name and in lists, members of groups, and erased with everything that could identify them.

use crate::domain::ids::StreamId;
use crate::domain::personal::Sealed;
use crate::domain::user::{User, UserStatus};
use crate::domain::user_pool::NameRules;
use crate::store::models::{Children, Claims, Consequences, Derived, End, Fill, Filled, Key, Model, Modelled, Search};

const SUB: Key = Key::Uuid("sub");

impl Modelled for User {
    const MODEL: &'static Model = &Model {
        claims: Some(Claims { table: "names", owner: SUB, constraint: "names_pkey" }),
        children: Some(Children {
            table: "memberships",
            other: "group_id",
            owner: SUB,
            missing: |group| format!("is in groups/{group} and not among its members"),
            superfluous: |group| format!("is among the members of groups/{group} and not in it"),
        }),
        search: Some(Search { table: "user_search", owner: SUB }),
        // A deletion of the user waits, and then finds everything that the commit writes about the user.
        is_held: true,
        has_key: true,
        end: End::User,
        fills: &[Fill { name: "user_search", what: Filled::Search }, Fill { name: "mailboxes", what: Filled::Claims }],
        ..Model::of::<Self>("users", "users", SUB)
    };

    fn stream(&self) -> StreamId {
        StreamId::user(self.sub)
    }

    fn derived(&self, rules: &NameRules) -> Derived {
        Derived {
            names: self.names(rules),
            children: self.groups.iter().map(|group| group.0).collect(),
            search: self.search_entries(rules),
        }
    }

    fn consequences(before: Option<&Self>, after: Option<&Self>) -> Consequences {
        let (Some(before), Some(after)) = (before, after) else {
            // When a user is deleted, all their messages and codes are deleted anyway.
            return Consequences::default();
        };
        let invited = invited_with(before);
        Consequences {
            password_replaced: password(before) != password(after),
            invitation_outdated: invited.is_some() && invited_with(after) != invited,
        }
    }
}

/// The present password; hashing it again does not change it.
fn password(user: &User) -> Option<&Sealed> {
    user.password.as_ref().map(|password| &password.srp_verifier)
}

/// The password in a waiting invitation, if the invitation is still valid.
fn invited_with(user: &User) -> Option<Option<&Sealed>> {
    (user.status == UserStatus::ForceChangePassword).then_some(password(user))
}
