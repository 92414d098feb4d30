//! The device that a completed sign-in is bound to.

use crate::domain::auth::AuthFlow;
use crate::domain::device::{Device, Tracking};
use crate::domain::ids::DeviceId;
use crate::domain::user_pool::UserPool;

/// How a completed sign-in is bound to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// To none: the pool does not track devices.
    Untracked,
    /// To a device that the user had before.
    Known(DeviceId),
    /// To a device that gets its key now, and that its app may confirm.
    New(DeviceId),
    /// To none: a trusted server has signed the user in by password. As in Cognito, such a sign-in can't be refreshed
    /// where devices are tracked.
    ByServer,
}

/// What a binding follows from.
#[derive(Clone, Copy, Debug)]
pub struct Bound<'a> {
    /// The pool that the user signs in to.
    pub pool: &'a UserPool,
    /// The flow that the sign-in began with.
    pub flow: AuthFlow,
    /// The user's device that the caller named.
    pub known: Option<&'a Device>,
    /// The id for a new device.
    pub new: DeviceId,
    /// Whether a new device could be confirmed: while an upgrade is not finished it can't, and gets no key.
    pub confirmable: bool,
}

impl Binding {
    /// The binding of a completed sign-in.
    pub fn of(bound: Bound<'_>) -> Self {
        let Bound { pool, flow, known, new, confirmable } = bound;
        match (Tracking::of(pool), known) {
            (None, _) => Self::Untracked,
            _ if !flow.knows_devices() => Self::ByServer,
            (Some(_), Some(device)) => Self::Known(device.id),
            (Some(_), None) if confirmable => Self::New(new),
            (Some(_), None) => Self::Untracked,
        }
    }

    /// The device of the session.
    pub fn device(self) -> Option<DeviceId> {
        match self {
            Self::Known(device) | Self::New(device) => Some(device),
            Self::Untracked | Self::ByServer => None,
        }
    }

    /// The device that gets its key now.
    pub fn new_device(self) -> Option<DeviceId> {
        if let Self::New(device) = self { Some(device) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::device::tests::{PHONE, confirmed, device, tracking};
    use crate::domain::testing::{JANE, pool};

    const NEW: DeviceId = DeviceId(Uuid::from_u128(1));

    #[test]
    fn a_sign_in_is_bound_to_the_device_that_was_named_or_to_a_new_one_where_devices_are_tracked() {
        let (without, with) = (pool(Default::default()), tracking(true, false));
        let phone = device(&[confirmed(JANE, false)]);
        let of = |pool, flow, known, confirmable| Binding::of(Bound { pool, flow, known, new: NEW, confirmable });
        let (user, server) = (AuthFlow::UserPassword, AuthFlow::AdminUserPassword);
        assert_eq!(of(&with, user, Some(&phone), true), Binding::Known(PHONE));
        assert_eq!(of(&with, user, Some(&phone), false), Binding::Known(PHONE));
        assert_eq!(of(&with, user, None, true), Binding::New(NEW));
        assert_eq!(of(&with, user, None, false), Binding::Untracked);
        assert_eq!(of(&with, server, Some(&phone), true), Binding::ByServer);
        for (flow, known) in [(user, None), (user, Some(&phone)), (server, None)] {
            assert_eq!(of(&without, flow, known, true), Binding::Untracked);
        }
    }
}
