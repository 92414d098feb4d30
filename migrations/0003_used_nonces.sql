-- Operational: challenge tokens that are spent, until their time would be over anyway.
create table used_nonces (
    user_pool_id text        not null,
    nonce        uuid        not null,
    sub          uuid        not null,
    expires_at   timestamptz not null,
    primary key (user_pool_id, nonce)
);
create index used_nonces_sub on used_nonces (user_pool_id, sub);
create index used_nonces_expiry on used_nonces (expires_at);
