"""A session from its first event to its end, in Python with plain gRPC stubs.

Takes the server's address from SESSIOND_ADDRESS. The README beside this folder says how the stubs
(`sessiond.v1.*_pb2`) are made and how to run it.
"""

import os
import time
import uuid

import grpc
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2

from sessiond.v1 import context_service_pb2, context_service_pb2_grpc
from sessiond.v1 import event_pb2, event_service_pb2, event_service_pb2_grpc
from sessiond.v1 import session_pb2, session_service_pb2, session_service_pb2_grpc

# No call waits longer for its answer; a watch stays open.
TIMEOUT_S = 10


def main():
    address = os.environ.get("SESSIOND_ADDRESS", "127.0.0.1:7377")
    # `unix:/run/sessiond/sessiond.sock` is an address, too. Without the option, gRPC waits up to two
    # minutes between attempts to reach a server that was away.
    options = [("grpc.max_reconnect_backoff_ms", 1_000)]
    with grpc.insecure_channel(address, options) as channel:
        sessions = session_service_pb2_grpc.SessionServiceStub(channel)
        events = event_service_pb2_grpc.EventServiceStub(channel)
        context = context_service_pb2_grpc.ContextServiceStub(channel)

        session_id = create(sessions)
        append(events, session_id)
        list_events(events, session_id)
        show_window(context, session_id)
        meet_errors(sessions, events, session_id)
        watch(events, session_id)
        refuse_after_end(events, session_id)


def create(sessions):
    """Creates a session under an id that the server chooses."""
    request = session_service_pb2.CreateSessionRequest(
        session=session_pb2.Session(agent_id="travel", user_id="user-42"),
        # Repeated with the same id, a call has one effect, so a lost answer is no problem.
        request_id=str(uuid.uuid4()),
    )
    session_id = sessions.CreateSession(request, timeout=TIMEOUT_S).session.session_id
    say("created", session_id)
    return session_id


def append(events, session_id):
    """Appends two events: both are stored, or none."""
    request = event_service_pb2.AppendEventsRequest(
        session_id=session_id,
        events=[
            user_text("I want to visit Japan next month"),
            event_pb2.Event(
                tool_call=event_pb2.ToolCall(
                    call_id="c1", name="search_flights", arguments='{"to": "KIX"}'
                )
            ),
        ],
        request_id=str(uuid.uuid4()),
    )
    answer = events.AppendEvents(request, timeout=TIMEOUT_S)
    say("appended", *(event.revision for event in answer.events))


def list_events(events, session_id):
    """Reads the log in pages; only an absent token says that a page was the last."""
    request = event_service_pb2.ListEventsRequest(session_id=session_id, page_size=2)
    while True:
        page = events.ListEvents(request, timeout=TIMEOUT_S)
        for event in page.events:
            say("listed", event.revision, event.WhichOneof("payload"))
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def show_window(context, session_id):
    """What to send to a model: here `messages` of OpenAI's chat completions, within 2,000 tokens.

    The call that waits for its result has one in them, so that the provider does not refuse them.
    """
    request = context_service_pb2.GetContextWindowRequest(
        session_id=session_id,
        token_budget=2_000,
        dialect=context_service_pb2.DIALECT_OPENAI_CHAT,
    )
    window = context.GetContextWindow(request, timeout=TIMEOUT_S)
    messages = json_format.MessageToDict(window.rendered)
    say("window", *(message["role"] for message in messages))


def meet_errors(sessions, events, session_id):
    """What two mistakes are answered with."""
    outdated = event_service_pb2.AppendEventsRequest(
        session_id=session_id, events=[user_text("Or Korea?")], expected_revision=1
    )
    unknown = session_service_pb2.GetSessionRequest(session_id="nobody")
    for call, request in ((events.AppendEvents, outdated), (sessions.GetSession, unknown)):
        try:
            call(request, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            say_refused(error)


def watch(events, session_id):
    """Follows the session until it ends, also while the server restarts."""
    request = event_service_pb2.WatchEventsRequest(session_id=session_id, until_ended=True)
    while True:
        try:
            for message in events.WatchEvents(request, wait_for_ready=True):
                if message.WhichOneof("message") == "events":
                    for event in message.events.events:
                        say("watched", event.revision, event.WhichOneof("payload"))
                # The place behind this message. A program that wants to continue after a restart of
                # its own keeps it, once it has dealt with the events.
                request.cursor = message.cursor
            return
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise
            say("continues", "from the cursor")
            time.sleep(0.2)


def refuse_after_end(events, session_id):
    """An ended session takes no events."""
    request = event_service_pb2.AppendEventsRequest(
        session_id=session_id, events=[user_text("One more thing")]
    )
    try:
        events.AppendEvents(request, timeout=TIMEOUT_S)
    except grpc.RpcError as error:
        say_refused(error)


def user_text(text):
    return event_pb2.Event(role=event_pb2.ROLE_USER, message=event_pb2.Message(text=text))


def error_info(error):
    """The reason of an error and its values, from the status that comes with it."""
    trailers = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailers.get("grpc-status-details-bin", b""))
    info = error_details_pb2.ErrorInfo()
    for detail in status.details:
        if detail.Unpack(info):
            break
    return info


def say_refused(error):
    info = error_info(error)
    values = (f"{key}={info.metadata[key]}" for key in sorted(info.metadata))
    say("refused", error.code().name, info.reason, *values)


def say(*words):
    # At once, also when stdout is a pipe.
    print(*words, flush=True)


if __name__ == "__main__":
    main()
