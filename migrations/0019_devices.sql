-- Devices: read model, and whose they are.
create table devices (
    user_pool_id text    not null,
    device_id    uuid    not null,
    version      bigint  not null,
    revision     integer not null,
    state        jsonb   not null,
    primary key (user_pool_id, device_id)
);
create table user_devices (
    user_pool_id text not null,
    sub          uuid not null,
    device_id    uuid not null,
    primary key (user_pool_id, sub, device_id)
);
create index user_devices_device on user_devices (user_pool_id, device_id);

-- When and from where a user last signed in with a device. The address is sealed under the user's key.
create table device_uses (
    user_pool_id text        not null,
    device_id    uuid        not null,
    sub          uuid        not null,
    last_at      timestamptz not null,
    address      bytea,
    -- The sign-in that waits for the device to prove itself, as its challenge token: for apps that do not send the token back.
    awaited      text,
    primary key (user_pool_id, device_id)
);
create index device_uses_sub on device_uses (user_pool_id, sub);

-- The device that a session was begun with, or that it gave a key to. Servers of the release before begin sessions without one.
alter table sessions
    add column device_id uuid,
    -- Whether it can get new tokens. A sign-in by a trusted server can't where devices are tracked.
    add column refreshable boolean not null default true;
create index sessions_device on sessions (user_pool_id, device_id) where device_id is not null;

update meta set readable_since = 16;
