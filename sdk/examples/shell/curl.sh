#!/usr/bin/env bash
# A session from its first event to its end, with curl and jq: JSON over HTTP.
#
# Takes the server's address from SESSIOND_ADDRESS. For a unix socket, curl takes
# `--unix-socket /run/sessiond/sessiond.sock http://localhost/...`.
set -euo pipefail

server=http://${SESSIOND_ADDRESS:-127.0.0.1:7377}
sessions=sessiond.v1.SessionService
events=sessiond.v1.EventService
context=sessiond.v1.ContextService

# call METHOD JSON: prints the answer, or the error in its place.
call() {
  curl -sS --max-time 10 "$server/$1" -H 'content-type: application/json' -d "$2"
}

# An id for a request: repeated with the same one, a call has one effect, so a lost answer is no
# problem.
fresh_id() {
  od -An -tx1 -N16 /dev/urandom | tr -d ' \n'
}

# Name of an event's payload in the contract: `tool_call` for the JSON key `toolCall`. Payloads that
# this program knows; events have other keys beside theirs, and newer servers may add some.
payload='def payload: . as $event
  | ["message", "toolCall", "toolResult", "sessionStarted", "sessionEnded"]
  | map(select(in($event))) | first // "another"
  | gsub("(?<c>[A-Z])"; "_" + (.c | ascii_downcase));'

# The code of an error, its reason and the values that come with it.
refused='"refused \(.code) " + (.details[] | select(.type == "google.rpc.ErrorInfo").debug
  | [.reason, (.metadata | to_entries | sort_by(.key)[] | "\(.key)=\(.value)")] | join(" "))'

# A streaming call, as Connect frames it: a byte of flags, four bytes of length, that much JSON.
# Prints a line for each message: the flags (2: the last one, which says how the stream ended), and
# the JSON. Ends with the connection.
stream() {
  local LC_ALL=C # Lengths are in bytes.
  local length=${#2}
  {
    printf '\0'
    printf "$(printf '\\x%02x' $((length >> 24)) $((length >> 16 & 255)) \
      $((length >> 8 & 255)) $((length & 255)))"
    printf '%s' "$2"
  } | curl -sSN "$server/$1" -H 'content-type: application/connect+json' --data-binary @- |
    while read -r flags a b c d < <(head -c 5 | od -An -tu1) && [ -n "$d" ]; do
      printf '%s ' "$flags"
      head -c $(((a << 24) + (b << 16) + (c << 8) + d))
      echo
    done
}

# The server chooses the session's id.
session_id=$(call $sessions/CreateSession "$(
  jq -n --arg id "$(fresh_id)" \
    '{session: {agentId: "travel", userId: "user-42"}, requestId: $id}'
)" | jq -er .session.sessionId)
echo "created $session_id"

# Appends two events: both are stored, or none.
call $events/AppendEvents "$(
  jq -n --arg session "$session_id" --arg id "$(fresh_id)" '{
    sessionId: $session,
    requestId: $id,
    events: [
      {role: "ROLE_USER", message: {text: "I want to visit Japan next month"}},
      {toolCall: {callId: "c1", name: "search_flights", arguments: "{\"to\": \"KIX\"}"}}
    ]
  }'
)" | jq -r '["appended", .events[].revision] | join(" ")'

# Reads the log in pages; only an absent token says that a page was the last.
page_token=
while true; do
  page=$(call $events/ListEvents "$(
    jq -n --arg session "$session_id" --arg token "$page_token" \
      '{sessionId: $session, pageSize: 2, pageToken: $token}'
  )")
  jq -r "$payload"' .events[]? | "listed \(.revision) \(payload)"' <<<"$page"
  page_token=$(jq -r '.nextPageToken // ""' <<<"$page")
  [ -n "$page_token" ] || break
done

# What to send to a model: here `messages` of OpenAI's chat completions, within 2,000 tokens. The call
# that waits for its result has one in them, so that the provider does not refuse them.
call $context/GetContextWindow "$(
  jq -n --arg session "$session_id" \
    '{sessionId: $session, tokenBudget: 2000, dialect: "DIALECT_OPENAI_CHAT"}'
)" | jq -r '["window", .rendered[].role] | join(" ")'

# What two mistakes are answered with.
call $events/AppendEvents "$(
  jq -n --arg session "$session_id" \
    '{sessionId: $session, expectedRevision: 1, events: [{message: {text: "Or Korea?"}}]}'
)" | jq -r "$refused"
call $sessions/GetSession '{"sessionId": "nobody"}' | jq -r "$refused"

# Follows the session until it ends, also while the server restarts: the cursor is the place behind
# the newest message.
cursor=
ended=
until [ -n "$ended" ]; do
  while read -r flags message; do
    if [ "$flags" = 2 ]; then
      case $(jq -r .error.code <<<"$message") in
        null) ended=yes ;;
        unavailable) ;; # It shuts down.
        *) jq -r ".error | $refused" <<<"$message" && exit 1 ;;
      esac
      break
    fi
    jq -r "$payload"' .events.events[]? | "watched \(.revision) \(payload)"' <<<"$message"
    cursor=$(jq -r .cursor <<<"$message")
  done < <(stream $events/WatchEvents "$(
    jq -nc --arg session "$session_id" --arg cursor "$cursor" \
      '{sessionId: $session, cursor: $cursor, untilEnded: true}'
  )" 2>/dev/null)
  [ -n "$ended" ] || { echo "continues from the cursor" && sleep 0.2; }
done

# An ended session takes no events.
call $events/AppendEvents "$(
  jq -n --arg session "$session_id" \
    '{sessionId: $session, events: [{message: {text: "One more thing"}}]}'
)" | jq -r "$refused"
