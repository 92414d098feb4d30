-- The header `traceparent` of the call that caused the message, so that its delivery joins that call's trace. A release that
-- does not know this column goes on writing rows, and their messages begin no trace.
alter table outbox add column traceparent text;
update meta set readable_since = 16;
