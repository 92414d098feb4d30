//! A device as the API shows it.

use crate::app::device::sealed::Vault;
use crate::domain::device::update_device_status::{NOT_REMEMBERED, REMEMBERED};
use crate::domain::error::Error;
use crate::proto::v1::{AttributeType, DeviceType};
use crate::store::cache::PoolView;
use crate::store::loaded::{LoadedUser, UsedDevice};

/// A device with its attributes, by Cognito's names.
pub fn shown(pool: &PoolView, user: &LoadedUser, used: &UsedDevice) -> Result<DeviceType, Error> {
    let (device, last_use) = (&used.device.state, used.last_use.as_ref());
    let vault = Vault { pool: &pool.id, device: device.id, key: &user.key };
    let remembered = if device.remembered { REMEMBERED } else { NOT_REMEMBERED };
    let attributes = [
        // There is no other status: a device that is not valid any more is gone.
        ("device_status", Some("valid".to_owned())),
        ("device_name", vault.name(device)?),
        ("last_ip_used", vault.address(last_use)?),
        ("dev:device_remembered_status", Some(remembered.to_owned())),
    ];
    let known = attributes.into_iter().filter(|(_, value)| value.is_some());
    Ok(DeviceType {
        device_key: Some(device.id.key(&pool.id)),
        device_attributes: known.map(|(name, value)| AttributeType { name: Some(name.to_owned()), value }).collect(),
        device_create_date: Some(device.created_at.into()),
        device_last_modified_date: Some(device.modified_at.into()),
        device_last_authenticated_date: Some(last_use.map_or(device.created_at, |last| last.at).into()),
    })
}
