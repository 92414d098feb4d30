-- Answers of commands that their caller named by an idempotency-key, for as long as they are given again. Keyed by the
-- caller, because a command that creates a pool names none; so, like the two directories, a reference table on a distributed
-- Postgres. The digest of the request is sealed with the answer.
create table stored_answers (
    access_key_id   text        not null,
    operation       text        not null,
    idempotency_key text        not null collate "C",
    user_pool_id    text        not null,
    key_id          uuid        not null,
    sealed          bytea       not null,
    expires_at      timestamptz not null,
    primary key (access_key_id, operation, idempotency_key)
);
create index stored_answers_pool on stored_answers (user_pool_id);
create index stored_answers_expiry on stored_answers (expires_at);
