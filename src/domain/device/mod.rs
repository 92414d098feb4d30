//! A device of a user: an app on a phone or in a browser that signs in again and again, and that has a password of its
//! own.
//!
//! ```text
//!   a sign-in ──▶ a key, known to the session only ──▶ confirmed ⇄ remembered or not ──▶ forgotten
//! ```
//! A device exists once its app has confirmed it. A remembered device can prove itself in place of a second factor.

pub mod confirm_device;
pub mod forget_device;
pub mod giving_way;
pub mod update_device_status;

use serde::{Deserialize, Serialize};

use crate::domain::decision::Aggregate;
use crate::domain::ids::{DeviceId, StreamId, Sub};
use crate::domain::personal::Sealed;
use crate::domain::time::Timestamp;
use crate::domain::user_pool::UserPool;
use crate::proto::events::device_event::Event;

/// The level from which on events about devices may be written.
pub const LEVEL: i32 = 2;

/// The state of a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// A random UUID that is never used again: the device's key without the region.
    pub id: DeviceId,
    /// The user whose device it is.
    pub sub: Sub,
    /// Whether it counts as remembered, so that it can take the place of a second factor.
    pub remembered: bool,
    /// The name that people recognise it by, sealed under the user's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Sealed>,
    /// Salt and verifier of its own password, sealed under the user's key. Without them it can't prove itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub srp_verifier: Option<Sealed>,
    /// When it was confirmed.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub modified_at: Timestamp,
}

impl Device {
    /// Whether the device can take the place of a second factor, once it has proved itself.
    pub fn can_prove_itself(&self) -> bool {
        self.remembered && self.srp_verifier.is_some()
    }
}

impl Aggregate for Device {
    type Event = Event;
    const REVISION: i32 = 1;

    fn apply(state: Option<Self>, stream: &StreamId, event: &Event, at: Timestamp) -> Option<Self> {
        match event {
            Event::Confirmed(confirmed) => {
                // A device's stream is named by its id, and it belongs to a user; otherwise it is no device.
                let (id, sub) = (DeviceId::parse(stream.owner())?, confirmed.sub.parse().ok().map(Sub)?);
                let sealed = |blob: &[u8]| (!blob.is_empty()).then(|| Sealed(blob.to_vec()));
                Some(Self {
                    id,
                    sub,
                    remembered: confirmed.remembered,
                    name: sealed(&confirmed.name),
                    srp_verifier: sealed(&confirmed.srp_verifier),
                    created_at: at,
                    modified_at: at,
                })
            }
            Event::StatusUpdated(updated) => {
                state.map(|device| Self { remembered: updated.remembered, modified_at: at, ..device })
            }
            Event::Forgotten(_) => None,
        }
    }
}

/// How a pool tracks the devices of its users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracking {
    /// Whether a device is remembered only once its user says so.
    pub on_prompt: bool,
    /// Whether a remembered device proves itself at a sign-in, in place of a second factor.
    pub proves_itself: bool,
}

impl Tracking {
    /// How a pool tracks devices; `None` if it does not.
    pub fn of(pool: &UserPool) -> Option<Self> {
        pool.settings.device_configuration.as_ref().map(|chosen| Self {
            on_prompt: chosen.device_only_remembered_on_user_prompt(),
            proves_itself: chosen.challenge_required_on_new_device(),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::testing::{JANE, at, given, pool};
    use crate::proto::events::{DeviceConfirmed, DeviceForgotten, DeviceStatusUpdated};
    use crate::proto::v1;

    pub const PHONE: DeviceId = DeviceId(uuid::Uuid::from_u128(8));

    pub fn confirmed(sub: Sub, remembered: bool) -> Event {
        let (name, srp_verifier) = (b"a sealed name".to_vec(), b"a sealed verifier".to_vec());
        Event::Confirmed(DeviceConfirmed { sub: sub.to_string(), remembered, name, srp_verifier })
    }

    pub fn device(events: &[Event]) -> Device {
        given(&StreamId::device(PHONE), events).expect("the device exists")
    }

    pub fn tracking(on_prompt: bool, proves_itself: bool) -> UserPool {
        let configuration = v1::DeviceConfigurationType {
            challenge_required_on_new_device: Some(proves_itself),
            device_only_remembered_on_user_prompt: Some(on_prompt),
        };
        pool(v1::CreateUserPoolRequest { device_configuration: Some(configuration), ..Default::default() })
    }

    #[test]
    fn each_event_changes_only_what_it_names() {
        let mut events = vec![confirmed(JANE, false)];
        let mut expected = Device {
            id: PHONE,
            sub: JANE,
            remembered: false,
            name: Some(Sealed(b"a sealed name".to_vec())),
            srp_verifier: Some(Sealed(b"a sealed verifier".to_vec())),
            created_at: at(0),
            modified_at: at(0),
        };
        assert_eq!(device(&events), expected);
        assert!(!expected.can_prove_itself());
        events.push(Event::StatusUpdated(DeviceStatusUpdated { remembered: true }));
        (expected.remembered, expected.modified_at) = (true, at(1));
        assert_eq!(device(&events), expected);
        assert!(expected.can_prove_itself());
        events.push(Event::Forgotten(DeviceForgotten {}));
        assert_eq!(given::<Device>(&StreamId::device(PHONE), &events), None);
    }

    #[test]
    fn a_device_without_name_and_verifier_can_not_prove_itself() {
        let bare = DeviceConfirmed { sub: JANE.to_string(), remembered: true, ..Default::default() };
        let bare = device(&[Event::Confirmed(bare)]);
        assert_eq!((&bare.name, &bare.srp_verifier), (&None, &None));
        assert!(!bare.can_prove_itself());
    }

    #[test]
    fn only_the_stream_of_a_device_and_a_user_yield_a_device() {
        assert_eq!(given::<Device>(&StreamId::new("devices/phone"), &[confirmed(JANE, true)]), None);
        let of_nobody = Event::Confirmed(DeviceConfirmed { sub: "nobody".to_owned(), ..Default::default() });
        assert_eq!(given::<Device>(&StreamId::device(PHONE), &[of_nobody]), None);
        let updated = Event::StatusUpdated(DeviceStatusUpdated::default());
        assert_eq!(given::<Device>(&StreamId::device(PHONE), &[updated]), None);
    }

    #[test]
    fn a_pool_tracks_devices_only_if_it_is_configured() {
        assert_eq!(Tracking::of(&pool(Default::default())), None);
        for (on_prompt, proves_itself) in [(false, false), (false, true), (true, false), (true, true)] {
            let expected = Tracking { on_prompt, proves_itself };
            assert_eq!(Tracking::of(&tracking(on_prompt, proves_itself)), Some(expected));
        }
    }
}
