//! ForgetDevice and AdminForgetDevice: the rules. The deletion of a user forgets all their devices.

use crate::domain::decision::{Decision, NoFacts};
use crate::domain::device::Device;
use crate::proto::events::DeviceForgotten;
use crate::proto::events::device_event::Event;

/// Forgets a device. The sessions that were begun with it end with the event.
pub fn forget_device(_: &Device) -> Decision<Event, NoFacts, ()> {
    Decision::events(vec![Event::Forgotten(DeviceForgotten {})], ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::device::tests::{confirmed, device};
    use crate::domain::testing::JANE;

    #[test]
    fn a_device_can_be_forgotten_whether_or_not_it_is_remembered() {
        for remembered in [false, true] {
            let decision = forget_device(&device(&[confirmed(JANE, remembered)]));
            decision.answer.unwrap();
            assert_eq!(decision.events, [Event::Forgotten(DeviceForgotten {})]);
        }
    }
}
