-- What the worker of the outbox must know of a message without opening it. A release that does not know these columns goes
-- on writing rows; their defaults fit.
alter table outbox
    -- EMAIL or SMS: each has workers of its own, so that a slow mail server holds up no SMS.
    add column medium     text,
    -- Whose code the message carries: once `codes` has another one for that purpose, or none, it need not be sent.
    add column purpose    text,
    -- Until when it is tried: the end of its code, or a day.
    add column expires_at timestamptz not null default now() + interval '1 day',
    -- Somebody is sending it, until `next_at` at the latest.
    add column sending    boolean     not null default false,
    -- Why the last attempt failed, or why it is dead.
    add column reason     text;
create index outbox_owner on outbox (user_pool_id, owner, id);
create index outbox_dead on outbox (expires_at) where dead;
