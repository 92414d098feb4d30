-- An address is compared by its mailbox, however it is spelled. Users whose address is spelled in an unusual way get that form
-- as a further name, behind the migrations, for SQL does not know the rules. Servers of the release before go on with the
-- older form, which stays.
insert into unfilled_read_models (name) values ('mailboxes') on conflict do nothing;
