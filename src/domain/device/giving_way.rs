//! How many devices a user has: one more takes the place of another, for a sign-in must not fail for them.

use std::cmp::Reverse;

use crate::domain::device::Device;
use crate::domain::ids::DeviceId;
use crate::domain::time::Timestamp;

/// A device of a user who confirms another one.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// The device.
    pub device: &'a Device,
    /// When its user last signed in with it, if that is known.
    pub used_at: Option<Timestamp>,
}

/// The devices that give way to one more, so that a user has at most `most`: first those that are not remembered, then
/// those that were not used for the longest time.
pub fn giving_way(devices: &[Standing<'_>], most: u32) -> Vec<DeviceId> {
    let mut devices = devices.to_vec();
    let last_seen = |standing: &Standing<'_>| standing.used_at.unwrap_or(standing.device.created_at);
    devices.sort_by_key(|standing| Reverse((standing.device.remembered, last_seen(standing), standing.device.id.0)));
    let staying = usize::try_from(most).unwrap_or(usize::MAX).saturating_sub(1);
    devices.into_iter().skip(staying).map(|standing| standing.device.id).collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::device::tests::{confirmed, device};
    use crate::domain::testing::{JANE, at};

    fn device_of(id: u128, remembered: bool, created: i64) -> Device {
        let device = device(&[confirmed(JANE, remembered)]);
        Device { id: DeviceId(Uuid::from_u128(id)), created_at: at(created), ..device }
    }

    #[test]
    fn one_more_takes_the_place_of_the_device_that_is_needed_least() {
        let (old, recent, forgettable, unused) =
            (device_of(1, true, 0), device_of(2, true, 1), device_of(3, false, 2), device_of(4, true, 50));
        let standing = |device, used_at: Option<i64>| Standing { device, used_at: used_at.map(at) };
        let devices = [
            standing(&recent, Some(90)),
            standing(&old, Some(10)),
            standing(&forgettable, Some(99)),
            // It was never used since it was confirmed.
            standing(&unused, None),
        ];
        let ids = |most| giving_way(&devices, most).into_iter().map(|id| id.0.as_u128()).collect::<Vec<_>>();
        assert_eq!(ids(5), [0; 0]);
        assert_eq!(ids(4), [3], "the one that is not remembered, however lately it was used");
        assert_eq!(ids(3), [1, 3]);
        assert_eq!(ids(1), [2, 4, 1, 3]);
        assert_eq!(giving_way(&[], 1), []);
    }
}
