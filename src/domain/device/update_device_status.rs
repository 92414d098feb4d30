//! UpdateDeviceStatus and AdminUpdateDeviceStatus: the rules.

use crate::domain::decision::{Decision, NoFacts};
use crate::domain::device::Device;
use crate::proto::events::DeviceStatusUpdated;
use crate::proto::events::device_event::Event;

/// Cognito's words for whether a device is remembered.
pub const REMEMBERED: &str = "remembered";
/// The opposite.
pub const NOT_REMEMBERED: &str = "not_remembered";

/// Decides whether a device counts as remembered from now on. Without a status it stays as it is.
pub fn update_device_status(device: &Device, status: Option<&str>) -> Decision<Event, NoFacts, ()> {
    let chosen = status.map(|status| status == REMEMBERED).filter(|remembered| *remembered != device.remembered);
    let event = chosen.map(|remembered| Event::StatusUpdated(DeviceStatusUpdated { remembered }));
    Decision::events(event.into_iter().collect(), ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::device::tests::{confirmed, device};
    use crate::domain::testing::JANE;

    #[test]
    fn a_device_is_remembered_or_not_and_a_status_that_it_has_is_no_event() {
        for remembered in [false, true] {
            let device = device(&[confirmed(JANE, remembered)]);
            let after = |status: Option<&str>| update_device_status(&device, status).events;
            let (same, other) = if remembered { (REMEMBERED, NOT_REMEMBERED) } else { (NOT_REMEMBERED, REMEMBERED) };
            assert_eq!(after(None), []);
            assert_eq!(after(Some(same)), []);
            assert_eq!(after(Some(other)), [Event::StatusUpdated(DeviceStatusUpdated { remembered: !remembered })]);
        }
    }
}
