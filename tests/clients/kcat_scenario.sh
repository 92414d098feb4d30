#!/usr/bin/env bash
# shellcheck disable=SC2016 # single quotes contain programs for jq The events of a user's life, as
# kcat sees them on the two topics: CloudEvents, in order, without personal data.

source "$(dirname "${BASH_SOURCE[0]}")/lib/flow.sh"

call() { "$USERPOOL_BIN" call "$1" "$2"; }

create_pool_and_client
live_and_leave

# consume TOPIC: all records so far, as they are, into $FLOW_DIR/TOPIC.raw; and those of each key as
# JSON with their headers as an object into $FLOW_DIR/TOPIC.json, each event once (delivery is at
# least once).
consume() {
    kcat -C -q -e -J -o beginning -b "$USERPOOL_KAFKA_BROKERS" -t "$1" >"$FLOW_DIR/$1.raw" 2>"$FLOW_DIR/kcat.error" ||
        fail "kcat: $(cat "$FLOW_DIR/kcat.error")"
    jq -sc '
        def object: [range(0; length; 2) as $i | {key: .[$i], value: .[$i + 1]}] | from_entries;
        map({partition, offset, key, headers: ((.headers // []) | object), body: (.payload | fromjson)})
        | sort_by(.partition, .offset)
        | reduce .[] as $record ({seen: {}, records: []};
            if .seen[$record.headers.ce_id] then .
            else .seen[$record.headers.ce_id] = true | .records += [$record] end)
        | .records' "$FLOW_DIR/$1.raw" >"$FLOW_DIR/$1.json" ||
        fail "a record of $1 has no JSON body, or no headers"
}

# wait_for TOPIC TYPE: consumes until this event of the user is there; the relay takes a moment.
wait_for() {
    local tries
    for ((tries = 0; tries < 60; tries++)); do
        # The topic itself may not be there yet.
        if (consume "$1") 2>/dev/null && jq -e --arg key "$FLOW_POOL/$FLOW_SUB" --arg type "$2" \
            'any(.[]; .key == $key and .headers.ce_type == $type)' "$FLOW_DIR/$1.json" >/dev/null; then
            return
        fi
        sleep 0.5
    done
    consume "$1"
    fail "no $2 of $FLOW_POOL/$FLOW_SUB on $1, only: $(jq -c '[.[] | .key + " " + .headers.ce_type]' "$FLOW_DIR/$1.json")"
}

# holds WHAT TOPIC CONDITION: a jq condition over all records; $key is the user's.
holds() {
    jq -e --arg key "$FLOW_POOL/$FLOW_SUB" --arg sub "$FLOW_SUB" --arg pool "$FLOW_POOL" "$3" "$FLOW_DIR/$2.json" >/dev/null ||
        fail "on $2, not true: $1. Records: $(jq -c --arg pool "$FLOW_POOL" '.[] | select(.key | startswith($pool))' "$FLOW_DIR/$2.json")"
}

step "userpool.directory"
wait_for userpool.directory userpool.user.deleted.v1
holds "the user's events come in order" userpool.directory '
    [.[] | select(.key == $key) | .headers.ce_type
         | select(IN("userpool.user.signed_up.v1", "userpool.user.confirmed.v1",
                     "userpool.user.signed_out.v1", "userpool.user.deleted.v1"))]
    == ["userpool.user.signed_up.v1", "userpool.user.confirmed.v1",
        "userpool.user.signed_out.v1", "userpool.user.deleted.v1"]'
holds "signed_up is the user's first event and deleted the last" userpool.directory '
    [.[] | select(.key == $key) | .headers.ce_type]
    | (first == "userpool.user.signed_up.v1") and (last == "userpool.user.deleted.v1")'
holds "the user's subject is users/<sub>" userpool.directory '
    all(.[] | select(.key == $key); .headers.ce_subject == "users/" + $sub)'
holds "a user is on one partition" userpool.directory '
    [.[] | select(.key == $key) | .partition] | unique | length == 1'
holds "ce_streamversion rises by one, in every stream" userpool.directory '
    group_by([(.key | split("/")[0]), .headers.ce_subject])
    | all(.[]; [.[] | .headers.ce_streamversion | tonumber] | . == [range(first; first + length)])'
holds "the pool and its client are there" userpool.directory '
    [.[] | select(.key | startswith($pool + "/")) | .headers.ce_type]
    | any(startswith("userpool.user_pool.")) and any(startswith("userpool.app_client."))'

step "userpool.activity"
wait_for userpool.activity userpool.user.signed_in.v1
holds "the user's sign-ins and refusals are there" userpool.activity '
    [.[] | select(.key == $key) | .headers.ce_type]
    | any(. == "userpool.user.signed_in.v1") and any(. == "userpool.user.code_sent.v1")'

for topic in userpool.directory userpool.activity; do
    step "$topic: CloudEvents without personal data"
    holds "every record is a CloudEvent in binary mode" "$topic" '
        all(.[];
            .headers as $h
            | ($h.ce_specversion == "1.0")
            and all("ce_id", "ce_source", "ce_subject", "ce_dataschema"; $h[.] | length > 0)
            and ($h.ce_type | test("^userpool\\.[a-z_]+\\.[a-z_]+\\.v[0-9]+$"))
            and ($h.ce_time | test("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z$"))
            and ($h["content-type"] | startswith("application/json"))
            and ($h.ce_partitionkey == .key))'
    for personal in "$FLOW_EMAIL" "${FLOW_EMAIL%@*}" "$FLOW_NAME" Quillfeather "${FLOW_PHONE#+}" "$FLOW_USERNAME" "$FLOW_PASSWORD"; do
        ! grep -Fiq -- "$personal" "$FLOW_DIR/$topic.raw" ||
            fail "$topic shows '$personal': $(grep -Fi -- "$personal" "$FLOW_DIR/$topic.raw" | head -n 1)"
    done
done
