-- What a message of the development mailbox is for: the purpose of the code in it, or what the outbox called it. Messages of
-- the release before have none.
alter table mailbox add column kind text;

-- The newest first, of whichever pool.
create index mailbox_newest on mailbox (at desc, id desc);
