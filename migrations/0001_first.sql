-- The truth: what happened, for ever. One row an event.
create table log (
    user_pool_id   text        not null,
    stream_id      text        not null,
    stream_version bigint      not null check (stream_version > 0),
    event_id       uuid        not null,
    type           text        not null,
    schema_version integer     not null,
    payload        jsonb       not null,
    metadata       jsonb       not null,
    at             timestamptz not null,
    epoch          bigint      not null,
    tx             xid8        not null default pg_current_xact_id(),
    ord            integer     not null,
    constraint log_pkey primary key (user_pool_id, stream_id, stream_version)
);
create unique index log_feed on log (epoch, tx, ord);

create function refuse_change_of_log() returns trigger language plpgsql as $$
begin
    raise exception 'the log is append-only: % is refused', lower(tg_op) using errcode = 'UP002';
end $$;
create trigger log_is_append_only before update or delete or truncate on log
    for each statement execute function refuse_change_of_log();

-- Facts with a lifetime. Partitions are made a month ahead and dropped when they are too old.
create table activity (
    user_pool_id   text        not null,
    event_id       uuid        not null,
    owner          text        not null,
    type           text        not null,
    schema_version integer     not null,
    payload        jsonb       not null,
    metadata       jsonb       not null,
    at             timestamptz not null,
    epoch          bigint      not null,
    tx             xid8        not null default pg_current_xact_id(),
    ord            integer     not null,
    primary key (user_pool_id, event_id, at)
) partition by range (at);
create index activity_feed on activity (epoch, tx, ord);
create index activity_owner on activity (user_pool_id, owner, at);

-- Makes the partition of the month that contains the given time. Answers whether it is new.
create function make_activity_partition(at timestamptz) returns boolean language plpgsql as $$
declare
    first date := date_trunc('month', at at time zone 'UTC')::date;
    name  text := 'activity_' || to_char(first, 'YYYY_MM');
begin
    if to_regclass(name) is not null then
        return false;
    end if;
    -- The lock is released with the transaction: two replicas that start together make one partition.
    perform pg_advisory_xact_lock(hashtext('userpool activity partitions'));
    -- By a query with a snapshot of its own: to_regclass would answer what this session cached before it had the lock.
    if exists (select from pg_class where relname = name and relnamespace = current_schema()::regnamespace) then
        return false;
    end if;
    execute format(
        'create table %I partition of activity for values from (%L) to (%L)',
        name, first::text || ' 00:00+00', (first + interval '1 month')::date::text || ' 00:00+00'
    );
    return true;
end $$;

-- Fails the statement of a commit whose decision was made from a version that is no longer current.
create function assert_version(stream text, expected bigint, actual bigint) returns void language plpgsql as $$
begin
    if actual is distinct from expected then
        raise exception 'stream % is at version %, not at %', stream, actual, expected using errcode = 'UP001';
    end if;
end $$;

-- Read models: what the rules yield from the log.
create table pools (
    user_pool_id text    not null primary key,
    version      bigint  not null,
    revision     integer not null,
    state        jsonb   not null
);
create table clients (
    user_pool_id text    not null,
    client_id    text    not null,
    version      bigint  not null,
    revision     integer not null,
    state        jsonb   not null,
    primary key (user_pool_id, client_id)
);
create table users (
    user_pool_id text    not null,
    sub          uuid    not null,
    version      bigint  not null,
    revision     integer not null,
    state        jsonb   not null,
    primary key (user_pool_id, sub)
);

-- Claims: user names and active aliases of a pool in one namespace.
create table names (
    user_pool_id text not null,
    name         text not null collate "C",
    sub          uuid not null,
    constraint names_pkey primary key (user_pool_id, name)
);
create index names_sub on names (user_pool_id, sub);

-- Claims across pools: the pool of each client.
create table client_directory (
    client_id    text not null constraint client_directory_pkey primary key,
    user_pool_id text not null
);

-- Operational tables: outside verify and rebuild.
create table sessions (
    user_pool_id     text        not null,
    event_id         uuid        not null,
    sub              uuid        not null,
    client_id        text        not null,
    token_generation bigint      not null,
    auth_time        timestamptz not null,
    expires_at       timestamptz not null,
    -- Which refresh token of the session counts, and since when the one before it does not.
    refresh_counter  integer     not null default 0,
    replaced_at      timestamptz,
    primary key (user_pool_id, event_id)
);
create index sessions_sub on sessions (user_pool_id, sub);
create index sessions_expiry on sessions (expires_at);

create table codes (
    user_pool_id text        not null,
    sub          uuid        not null,
    purpose      text        not null,
    hash         bytea       not null,
    attribute    text        not null,
    attempts     integer     not null default 0,
    expires_at   timestamptz not null,
    sent         integer     not null,
    window_began timestamptz not null,
    primary key (user_pool_id, sub, purpose)
);
create index codes_expiry on codes (expires_at);

create table attempts (
    user_pool_id text        not null,
    name_hash    bytea       not null,
    failures     integer     not null,
    last_at      timestamptz not null,
    locked_until timestamptz,
    version      bigint      not null,
    constraint attempts_pkey primary key (user_pool_id, name_hash)
);
create index attempts_age on attempts (last_at);

create table outbox (
    user_pool_id text        not null,
    id           uuid        not null,
    owner        text        not null,
    kind         text        not null,
    sealed       bytea       not null,
    attempts     integer     not null default 0,
    next_at      timestamptz not null,
    dead         boolean     not null default false,
    primary key (user_pool_id, id)
);
create index outbox_due on outbox (next_at) where not dead;

-- The development mailbox: where messages go under `userpool dev`.
create table mailbox (
    user_pool_id text        not null,
    id           uuid        not null,
    owner        text        not null,
    message      jsonb       not null,
    at           timestamptz not null,
    primary key (user_pool_id, id)
);
create index mailbox_address on mailbox ((message ->> 'to'), at desc);

-- Data keys, wrapped: a pool's under the master key, all others under their pool's.
create table keys (
    user_pool_id text  not null,
    key_id       uuid  not null,
    kind         text  not null,
    owner        text  not null,
    wrapped      bytea not null,
    primary key (user_pool_id, kind, owner),
    unique (user_pool_id, key_id)
);

create table service_accounts (
    access_key_id text        not null primary key,
    name          text        not null,
    role          text        not null check (role in ('admin', 'pool-admin', 'read-only')),
    user_pool_ids text[]      not null,
    sealed_secret bytea       not null,
    created_at    timestamptz not null,
    revoked_at    timestamptz
);

-- Deleted pools whose rows are still on their way out.
create table purges (
    user_pool_id text        not null primary key,
    empty_sweeps integer     not null default 0,
    next_at      timestamptz not null
);

-- Where a reader of a feed stands; moved by compare-and-set.
create table checkpoints (
    reader text        not null primary key,
    epoch  bigint      not null,
    tx     xid8        not null,
    ord    integer     not null,
    at     timestamptz not null,
    token  bigint      not null default 0
);

-- Who leads; the token grows with each change of leader and fences a predecessor.
create table leases (
    name       text        not null primary key,
    holder     text        not null,
    token      bigint      not null,
    expires_at timestamptz not null
);

create table meta (
    only_row          boolean not null primary key default true check (only_row),
    epoch             bigint  not null,
    system_identifier text    not null
);
insert into meta (epoch, system_identifier)
    select 1, system_identifier::text from pg_control_system();
