-- Operational: what limits are counted by.

-- Wrong passwords of a user, or of whoever stands for a name that nobody has, apart by where they come from. What a source
-- with the ending _by_name counts is told to callers who may not learn who exists, and decides nothing else.
-- `attempts` is what servers of the earlier release count in; a later release drops it.
create table sign_in_failures (
    user_pool_id text        not null,
    sub          uuid        not null,
    source       text        not null,
    failures     integer     not null,
    last_at      timestamptz not null,
    locked_until timestamptz,
    version      bigint      not null,
    constraint sign_in_failures_pkey primary key (user_pool_id, sub, source)
);
create index sign_in_failures_age on sign_in_failures (last_at);

-- Networks from which a user has signed in lately, by keyed hash.
create table familiar_networks (
    user_pool_id text        not null,
    sub          uuid        not null,
    network      bytea       not null,
    last_at      timestamptz not null,
    primary key (user_pool_id, sub, network)
);
create index familiar_networks_age on familiar_networks (last_at);

-- Who asked for a code, by keyed hash of its network; guesses and codes are counted apart by it. What a purpose with the
-- ending _BY_NAME counts is told to callers who may not learn who exists, and decides nothing else.
alter table codes
    add column asked_from       bytea,
    add column strange_attempts integer not null default 0,
    add column strange_sent     integer not null default 0;

-- How often something happened lately that is limited by an address or a network: the theoretical arrival time of the
-- generic cell rate algorithm. A row whose time is over says nothing.
create table rates (
    user_pool_id text        not null,
    kind         text        not null,
    key          bytea       not null,
    arrival      timestamptz not null,
    primary key (user_pool_id, kind, key)
);
create index rates_arrival on rates (arrival);

-- Counts one more, or fails the statement where the limit is reached. Share and period are in milliseconds.
create function spend_rate(pool text, of_kind text, of_key bytea, at timestamptz, share bigint, period bigint)
returns void language plpgsql as $$
begin
    insert into rates as r (user_pool_id, kind, key, arrival)
    values (pool, of_kind, of_key, at + share * interval '1 millisecond')
    on conflict (user_pool_id, kind, key) do update
        set arrival = greatest(r.arrival, at) + share * interval '1 millisecond'
        where greatest(r.arrival, at) + share * interval '1 millisecond' <= at + period * interval '1 millisecond';
    if not found then
        raise exception 'the limit % is reached', of_kind using errcode = 'UP004', constraint = of_kind;
    end if;
end $$;

-- Fails the statement where the limit is reached, and counts nothing.
create function assert_rate(pool text, of_kind text, of_key bytea, at timestamptz, share bigint, period bigint)
returns void language plpgsql as $$
begin
    if exists (
        select from rates r where r.user_pool_id = pool and r.kind = of_kind and r.key = of_key
            and greatest(r.arrival, at) + share * interval '1 millisecond' > at + period * interval '1 millisecond'
    ) then
        raise exception 'the limit % is reached', of_kind using errcode = 'UP004', constraint = of_kind;
    end if;
end $$;
