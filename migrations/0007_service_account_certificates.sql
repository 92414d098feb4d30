-- The certificates by which service accounts call, by their SHA-256: each is of one account, which may have several.
create table service_account_certificates (
    fingerprint   bytea       not null primary key check (octet_length(fingerprint) = 32),
    access_key_id text        not null,
    bound_at      timestamptz not null
);
create index service_account_certificates_account on service_account_certificates (access_key_id);
