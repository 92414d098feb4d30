//! Rows that were loaded for a decision, with the versions that the commit asserts.

use std::sync::Arc;

use crate::domain::device::Device;
use crate::domain::group::Group;
use crate::domain::personal::Sealed;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::store::seal::DataKey;

/// A user as a decision saw it.
#[derive(Clone, Debug)]
pub struct LoadedUser {
    /// The user's state at this version.
    pub state: User,
    /// The version of its stream.
    pub version: i64,
    /// The user's data key, unwrapped.
    pub key: Arc<DataKey>,
}

/// An aggregate without a data key of its own, as a decision saw it.
#[derive(Clone, Debug)]
pub struct Loaded<A> {
    /// The aggregate's state at this version.
    pub state: A,
    /// The version of its stream.
    pub version: i64,
}

/// A group as a decision saw it.
pub type LoadedGroup = Loaded<Group>;

/// A device as a decision saw it.
pub type LoadedDevice = Loaded<Device>;

/// A device with its last sign-in.
#[derive(Clone, Debug)]
pub struct UsedDevice {
    /// The device.
    pub device: LoadedDevice,
    /// Its last sign-in, if there was one.
    pub last_use: Option<DeviceUse>,
    /// The challenge token of the sign-in that waited last for the device to prove itself. It may be used up.
    pub awaited: Option<String>,
}

/// A sign-in with a device, or its confirmation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceUse {
    /// When it was.
    pub at: Timestamp,
    /// The address that it came from, sealed under the user's key.
    pub address: Option<Sealed>,
}
