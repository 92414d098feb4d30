//! Groups. Each claims its name, which never changes. Memberships are kept with the users.

use crate::domain::group::Group;
use crate::domain::ids::{GroupId, StreamId};
use crate::domain::user_pool::NameRules;
use crate::store::models::{Bound, Claims, Counted, Derived, Identifies, Key, Model, Modelled};

const ID: Key = Key::Uuid("group_id");

/// The limit on the groups of a pool, which are counted by their names.
pub const BOUND: Bound = Bound {
    counted: Counted::Groups,
    name: "groups",
    table: "group_names",
    refusal: "The user pool has as many groups as it can have.",
};

impl Modelled for Group {
    const MODEL: &'static Model = &Model {
        claims: Some(Claims { table: "group_names", owner: ID, constraint: "group_names_pkey" }),
        // A deletion of the group waits, and then sees who joined it.
        is_held: true,
        bound: Some(BOUND),
        ..Model::of::<Self>("groups", "groups", ID)
    };

    fn stream(&self) -> StreamId {
        StreamId::group(self.id)
    }

    fn derived(&self, _: &NameRules) -> Derived {
        Derived { names: [self.name.clone()].into(), ..Derived::default() }
    }
}

impl Identifies for GroupId {
    type Aggregate = Group;

    fn stream(&self) -> StreamId {
        StreamId::group(*self)
    }
}
