-- When a user last signed in with a passkey, and the counter of its signatures then: one that does not go up tells of a copy.
-- The passkeys themselves are part of their users.
create table passkey_uses (
    user_pool_id text        not null,
    passkey_id   uuid        not null,
    sub          uuid        not null,
    counter      bigint      not null,
    last_at      timestamptz not null,
    primary key (user_pool_id, passkey_id)
);
create index passkey_uses_sub on passkey_uses (user_pool_id, sub);

update meta set readable_since = 16;
