-- Which servers may run on the database. Servers of the releases before know neither column: they are not ready any more once
-- this migration has run. From here on two releases can run side by side.
alter table meta
    -- The lowest schema version whose servers can serve on this schema. Every later migration states it.
    add column readable_since bigint not null default 16,
    -- The level up to which events may be written (`since` in the protos). `userpool finish-upgrade` raises it; it never falls.
    add column event_level integer not null default 1;
