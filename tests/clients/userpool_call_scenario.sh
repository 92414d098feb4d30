#!/usr/bin/env bash
# A user's life with the service's own command line.

source "$(dirname "${BASH_SOURCE[0]}")/lib/flow.sh"

call() { "$USERPOOL_BIN" call "$1" "$2"; }

create_pool_and_client
live_and_leave
administer

step "log verify: the log and the read models agree"
"$USERPOOL_BIN" log verify >"$FLOW_DIR/answer" 2>&1 || fail "log verify: $(cat "$FLOW_DIR/answer")"

step "log tail shows the history, without personal data"
# It may follow the log for ever: the history is there from the first moment.
timeout 20 "$USERPOOL_BIN" log tail >"$FLOW_DIR/answer" 2>"$FLOW_DIR/error" || [[ $? == 124 ]] ||
    fail "log tail: $(cat "$FLOW_DIR/error")"
for event in user.signed_up user.confirmed user.signed_out user.deleted; do
    grep -F "$FLOW_SUB" "$FLOW_DIR/answer" | grep -Fq "$event" || fail "log tail shows no $event of $FLOW_SUB"
done
for secret in "$FLOW_EMAIL" "$FLOW_NAME" "$FLOW_PHONE"; do
    ! grep -Fq "$secret" "$FLOW_DIR/answer" || fail "log tail shows $secret of a deleted user"
done

step "an operation that does not exist"
if "$USERPOOL_BIN" call MakeCoffee '{}' >"$FLOW_DIR/answer" 2>&1; then
    fail "MakeCoffee answered: $(cat "$FLOW_DIR/answer")"
fi
