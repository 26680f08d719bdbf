#!/usr/bin/env bash
# A session from its first event to its end, with `buf curl` and jq: gRPC without generated code.
# buf asks the server for the contract (reflection).
#
# Takes the server's address from SESSIOND_ADDRESS. Needs an `npm ci` in the repository, which brings
# buf and the files of google.rpc.
set -euo pipefail

modules=$(cd "$(dirname "$0")/../../../node_modules" && pwd)
PATH=$modules/.bin:$PATH
server=http://${SESSIOND_ADDRESS:-127.0.0.1:7377}
sessions=sessiond.v1.SessionService
events=sessiond.v1.EventService
context=sessiond.v1.ContextService

# call METHOD JSON: prints the answer, each of a streaming call on a line of its own, or the error.
# Without TLS, HTTP/2 has to be asked for. Fails when there is no server.
call() {
  { buf curl --protocol grpc --http2-prior-knowledge "$server/$1" -d "$2" 2>&1 || true; } |
    jq -c --unbuffered .
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

# Reads an error, and prints its code, its reason and the values that come with it. Details are
# messages of google.rpc in their binary form, as base64 without padding.
print_refused() {
  local error detail
  error=$(cat)
  detail=$(jq -r '.details[] | select(.type == "google.rpc.ErrorInfo").value' <<<"$error")
  while ((${#detail} % 4)); do detail+="="; done
  base64 -d <<<"$detail" |
    buf convert "$modules/google-proto-files/google/rpc/error_details.proto" \
      --type google.rpc.ErrorInfo --from -#format=binpb --to -#format=json |
    jq -r --arg code "$(jq -r .code <<<"$error")" '["refused", $code, .reason,
      (.metadata | to_entries | sort_by(.key)[] | "\(.key)=\(.value)")] | join(" ")'
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
)" | print_refused
call $sessions/GetSession '{"sessionId": "nobody"}' | print_refused

# Follows the session until it ends, also while the server restarts: the cursor is the place behind
# the newest message. An error without details is not the server's: the connection broke. Without a
# server, buf fails before the call, when it asks for the contract.
cursor=
broken=yes
while [ -n "$broken" ]; do
  broken=
  while read -r message; do
    code=$(jq -r 'if .code and .details == null then "unavailable" else .code end' <<<"$message")
    case $code in
      null) ;;
      unavailable) broken=yes && break ;;
      *) print_refused <<<"$message" && exit 1 ;;
    esac
    jq -r "$payload"' .events.events[]? | "watched \(.revision) \(payload)"' <<<"$message"
    cursor=$(jq -r .cursor <<<"$message")
  done < <(call $events/WatchEvents "$(
    jq -nc --arg session "$session_id" --arg cursor "$cursor" \
      '{sessionId: $session, cursor: $cursor, untilEnded: true}'
  )" 2>/dev/null || echo '{"code": "unavailable"}')
  [ -z "$broken" ] || { echo "continues from the cursor" && sleep 0.2; }
done

# An ended session takes no events.
call $events/AppendEvents "$(
  jq -n --arg session "$session_id" \
    '{sessionId: $session, events: [{message: {text: "One more thing"}}]}'
)" | print_refused
