-- Groups: read model, and the claims on their names.
create table groups (
    user_pool_id text    not null,
    group_id     uuid    not null,
    version      bigint  not null,
    revision     integer not null,
    state        jsonb   not null,
    primary key (user_pool_id, group_id)
);
create table group_names (
    user_pool_id text not null,
    name         text not null collate "C",
    group_id     uuid not null,
    constraint group_names_pkey primary key (user_pool_id, name)
);
create index group_names_group on group_names (user_pool_id, group_id);

-- Who is in which group, as the streams of users say. Rows may name a group that has ended; it is nowhere else then.
create table memberships (
    user_pool_id text not null,
    group_id     uuid not null,
    sub          uuid not null,
    primary key (user_pool_id, group_id, sub)
);
create index memberships_sub on memberships (user_pool_id, sub);

-- What users are found by in lists, in the form that is compared.
create table user_search (
    user_pool_id text not null,
    attribute    text not null,
    value        text not null collate "C",
    sub          uuid not null,
    primary key (user_pool_id, attribute, value, sub)
);

-- Read models of this schema that do not hold yet what the rules yield: filled behind the migrations, for SQL does not
-- know the rules.
create table unfilled_read_models (
    name text not null primary key
);
insert into unfilled_read_models (name) values ('user_search');
