#!/usr/bin/env bash
# A short run of scripts/bench: it measures every load beside its floor, with production's
# durability. It starts its own server and does not use the shared one.

source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

report="$(mktemp)"
trap 'rm -f "$report"' EXIT
scripts/bench --smoke --json "$report"

jq -e '
    (.loads | map(.name)) as $names
    | (["SignUp", "AdminCreateUser", "AdminUpdateUserAttributes", "PasswordSignIn", "Refresh", "GetUser", "AdminGetUser",
        "ListUsers/page/200", "ListUsers/filter/200", "ListUsers/page/1000", "ListUsers/filter/1000", "Mixed"] - $names) == []
    and all(.loads[]; .served.calls > 0 and .floor.calls > 0 and .ratio_to_floor > 0)
    and all(.loads[] | .served, .floor; .p50_milliseconds <= .p99_milliseconds)
    and (.database | .fsync == "on" and .synchronous_commit == "on" and .full_page_writes == "on")
    and (.list_growth | .page > 0 and .filter > 0)
    and (.dearest_statements | length == 3 and all(.calls > 0 and .mean_milliseconds > 0))
    and .stored_hash == "$argon2id$v=19$m=19456,t=2,p=1"
' "$report" >/dev/null || die "the report is not whole: $(cat "$report")"
