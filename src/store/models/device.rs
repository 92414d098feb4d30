//! Devices. Each names its user, and ends with them; what only its user may see is sealed under the user's key.

use crate::domain::device::Device;
use crate::domain::ids::StreamId;
use crate::domain::user_pool::NameRules;
use crate::store::models::{Children, Derived, End, Key, Model, Modelled};

const ID: Key = Key::Uuid("device_id");

impl Modelled for Device {
    const MODEL: &'static Model = &Model {
        children: Some(Children {
            table: "user_devices",
            other: "sub",
            owner: ID,
            missing: |user| format!("is a device of users/{user} and not among theirs"),
            superfluous: |user| format!("is among the devices of users/{user} and not one of theirs"),
        }),
        // Forgetting the device waits, and then finds the sessions that were begun with it.
        is_held: true,
        end: End::With(&[
            "delete from sessions where user_pool_id = $1 and device_id = $2::uuid",
            "delete from device_uses where user_pool_id = $1 and device_id = $2::uuid",
        ]),
        ..Model::of::<Self>("devices", "devices", ID)
    };

    fn stream(&self) -> StreamId {
        StreamId::device(self.id)
    }

    fn derived(&self, _: &NameRules) -> Derived {
        Derived { children: [self.sub.0].into(), ..Derived::default() }
    }
}
