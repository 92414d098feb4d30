//! ConfirmDevice: the rules.

use crate::domain::decision::{Decision, NoFacts};
use crate::domain::device::{Device, Tracking};
use crate::domain::error::{Error, Exception};
use crate::domain::ids::{DeviceId, Sub};
use crate::domain::personal::Sealed;
use crate::domain::user_pool::UserPool;
use crate::proto::events::DeviceConfirmed;
use crate::proto::events::device_event::Event;

/// The confirmation of a device by its app.
pub struct ConfirmDevice<'a> {
    /// The device that the request names; `None` if its key is none of this pool.
    pub named: Option<DeviceId>,
    /// The device that the sign-in of the access token has.
    pub of_session: Option<DeviceId>,
    /// The named device, if it was confirmed before, whoever it belongs to.
    pub existing: Option<&'a Device>,
    /// The user of the access token.
    pub sub: Sub,
    /// The name of the device, sealed.
    pub name: Option<Sealed>,
    /// Salt and verifier of the device's own password, sealed.
    pub srp_verifier: Option<Sealed>,
}

/// Decides whether a device is confirmed. The answer is whether its user still has to say that it be remembered.
pub fn confirm_device(pool: &UserPool, command: ConfirmDevice<'_>) -> Decision<Event, NoFacts, bool> {
    let Some(tracking) = Tracking::of(pool) else {
        let message = "The user pool does not track devices.";
        return Decision::refuse(Error::new(Exception::InvalidUserPoolConfigurationException, message));
    };
    let ConfirmDevice { named, of_session, existing, sub, name, srp_verifier } = command;
    if existing.is_some_and(|device| device.sub == sub) {
        let message = "The device was confirmed already.";
        return Decision::refuse(Error::new(Exception::DeviceKeyExistsException, message));
    }
    // Only the sign-in to which the server gave the key can confirm it.
    if named.is_none() || named != of_session || existing.is_some() {
        return Decision::refuse(Error::no_such_device());
    }
    let bytes = |sealed: Option<Sealed>| sealed.map(|sealed| sealed.0).unwrap_or_default();
    let event = DeviceConfirmed {
        sub: sub.to_string(),
        remembered: !tracking.on_prompt,
        name: bytes(name),
        srp_verifier: bytes(srp_verifier),
    };
    Decision::events(vec![Event::Confirmed(event)], tracking.on_prompt)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::device::tests::{PHONE, confirmed, device, tracking};
    use crate::domain::testing::{JANE, pool, refused};

    const OTHER: DeviceId = DeviceId(Uuid::from_u128(9));
    const NO_DEVICE: (Exception, &str) = (Exception::ResourceNotFoundException, "Device does not exist.");

    fn command(existing: Option<&Device>) -> ConfirmDevice<'_> {
        ConfirmDevice {
            named: Some(PHONE),
            of_session: Some(PHONE),
            existing,
            sub: JANE,
            name: Some(Sealed(b"a sealed name".to_vec())),
            srp_verifier: Some(Sealed(b"a sealed verifier".to_vec())),
        }
    }

    #[test]
    fn a_device_is_remembered_at_once_unless_its_user_is_to_be_asked() {
        for on_prompt in [false, true] {
            let decision = confirm_device(&tracking(on_prompt, true), command(None));
            assert_eq!(decision.answer.unwrap(), on_prompt);
            assert_eq!(decision.events, [confirmed(JANE, !on_prompt)]);
        }
    }

    #[test]
    fn only_the_key_that_the_sign_in_was_given_can_be_confirmed() {
        for (named, of_session) in [(None, None), (None, Some(PHONE)), (Some(PHONE), None), (Some(PHONE), Some(OTHER))]
        {
            let command = ConfirmDevice { named, of_session, ..command(None) };
            let (exception, message) = refused(confirm_device(&tracking(false, true), command));
            assert_eq!((exception, message.as_str()), NO_DEVICE);
        }
    }

    #[test]
    fn a_device_is_confirmed_once() {
        let own = device(&[confirmed(JANE, true)]);
        let refusal = refused(confirm_device(&tracking(false, true), command(Some(&own))));
        assert_eq!(refusal, (Exception::DeviceKeyExistsException, "The device was confirmed already.".to_owned()));
        let of_another = device(&[confirmed(Sub(Uuid::from_u128(5)), true)]);
        let (exception, message) = refused(confirm_device(&tracking(false, true), command(Some(&of_another))));
        assert_eq!((exception, message.as_str()), NO_DEVICE, "whose it is stays unknown");
    }

    #[test]
    fn a_pool_that_tracks_no_devices_has_none_to_confirm() {
        let refusal = refused(confirm_device(&pool(Default::default()), command(None)));
        let message = "The user pool does not track devices.".to_owned();
        assert_eq!(refusal, (Exception::InvalidUserPoolConfigurationException, message));
    }
}
