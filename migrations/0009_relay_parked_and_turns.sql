-- What the relay could not publish, and what followed it under its key: each a row of a log, by its place in the feed.
-- Nothing of the event itself is here.
create table relay_parked (
    user_pool_id text        not null,
    log          text        not null,
    event_id     uuid        not null,
    record_key   text        not null collate "C",
    type         text        not null,
    at           timestamptz not null,
    epoch        bigint      not null,
    tx           xid8        not null,
    ord          integer     not null,
    -- Why it is no record; null for what only follows another of its key.
    why          text,
    parked_at    timestamptz not null default now(),
    -- Whether it is to be tried again. What is marked of a key is always the first of it.
    retry        boolean     not null default false,
    primary key (user_pool_id, log, event_id)
);
create index relay_parked_key on relay_parked (log, record_key, epoch, tx, ord);
create index relay_parked_retry on relay_parked (log, record_key, epoch, tx, ord) where retry;
create index relay_parked_feed on relay_parked (log, epoch, tx, ord);

-- Whose turn it is: from one pool to the next, and to the first of a pool's messages, by one step each, whatever waits.
-- A message of a release that wrote no medium goes with the e-mails; whoever delivers it looks into it.
create index outbox_turn on outbox (coalesce(medium, 'EMAIL'), user_pool_id, next_at) where not dead;
