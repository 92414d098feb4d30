//! What is known of a device and only its user may see, sealed under the user's key.

use std::net::IpAddr;

use crate::app::App;
use crate::domain::auth::device_secret::DeviceSecret;
use crate::domain::device::Device;
use crate::domain::error::Error;
use crate::domain::ids::{DeviceId, StreamId, UserPoolId};
use crate::domain::personal::Sealed;
use crate::store::loaded::DeviceUse;
use crate::store::seal::{DataKey, FieldClass, Place};

/// The place of a device's sealed values.
#[derive(Clone, Copy)]
pub struct Vault<'a> {
    /// The pool that the device's user is in.
    pub pool: &'a UserPoolId,
    /// The device, which the encryption is bound to.
    pub device: DeviceId,
    /// The data key of its user.
    pub key: &'a DataKey,
}

impl Vault<'_> {
    /// Seals the device's name.
    pub fn seal_name(&self, app: &App, name: &str) -> Sealed {
        self.seal(app, FieldClass::DeviceName, name.as_bytes())
    }

    /// Seals what the device's password is checked with.
    pub fn seal_secret(&self, app: &App, secret: &DeviceSecret) -> Result<Sealed, Error> {
        let content = serde_json::to_vec(secret).map_err(Error::internal)?;
        Ok(self.seal(app, FieldClass::DeviceSecret, &content))
    }

    /// Seals the address that a call with the device came from.
    pub fn seal_address(&self, app: &App, address: IpAddr) -> Sealed {
        self.seal(app, FieldClass::CallerAddress, address.to_string().as_bytes())
    }

    /// The device's name, if it has one.
    pub fn name(&self, device: &Device) -> Result<Option<String>, Error> {
        device.name.as_ref().map(|name| self.open_text(FieldClass::DeviceName, name)).transpose()
    }

    /// What the device's password is checked with, if it has one.
    pub fn secret(&self, device: &Device) -> Result<Option<DeviceSecret>, Error> {
        let Some(sealed) = &device.srp_verifier else { return Ok(None) };
        serde_json::from_slice(&self.open(FieldClass::DeviceSecret, sealed)?).map(Some).map_err(Error::internal)
    }

    /// The address of the device's last sign-in, if it is known.
    pub fn address(&self, last_use: Option<&DeviceUse>) -> Result<Option<String>, Error> {
        let address = last_use.and_then(|last| last.address.as_ref());
        address.map(|address| self.open_text(FieldClass::CallerAddress, address)).transpose()
    }

    fn seal(&self, app: &App, class: FieldClass, value: &[u8]) -> Sealed {
        let stream = StreamId::device(self.device);
        self.key.seal(Place { pool: self.pool, stream: &stream, class }, app.random.uuid(), value)
    }

    fn open(&self, class: FieldClass, sealed: &Sealed) -> Result<Vec<u8>, Error> {
        let stream = StreamId::device(self.device);
        self.key.open(Place { pool: self.pool, stream: &stream, class }, sealed).map_err(Error::internal)
    }

    fn open_text(&self, class: FieldClass, sealed: &Sealed) -> Result<String, Error> {
        String::from_utf8(self.open(class, sealed)?).map_err(Error::internal)
    }
}
