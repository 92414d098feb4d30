-- Fails the statement of a commit that would leave a pool with more of something than it may have.
create function assert_within(what text, most bigint, actual bigint) returns void language plpgsql as $$
begin
    if actual > most then
        raise exception 'there are more than % %', most, what using errcode = 'UP003', constraint = what;
    end if;
end $$;

-- An address is compared by its mailbox, however it is spelled. Users whose address is spelled in an unusual way get that form
-- as a further name, behind the migrations, for SQL does not know the rules. Servers of the release before go on with the
-- older form, which stays.
insert into unfilled_read_models (name) values ('mailboxes') on conflict do nothing;
