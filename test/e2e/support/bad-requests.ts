import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type Message,
  type MessageInitShape,
} from "@bufbuild/protobuf";
import {
  type AppendEventsRequestSchema,
  CleanupAction,
  type CreateSessionRequestSchema,
  EventService,
  MetricsService,
  SessionService,
} from "@sessiond/contract";
import { nested } from "../../support/arbitraries.ts";
import { type Expected, text } from "./refusal.ts";

const { createSession, getSession, listSessions, updateSession, endSession, deleteSession } =
  SessionService.method;
const { cancelSession, reopenSession, cleanupSessions, deleteUserData, patchState, getState } =
  SessionService.method;
const { forkSession, rewindSession } = SessionService.method;
const { amendToolCall, appendEvents, listEvents, listSteps } = EventService.method;
const { recordRequest } = MetricsService.method;

/** A request that every door refuses, and how. */
export interface Row extends Expected {
  readonly name: string;
  readonly method: DescMethodUnary<DescMessage, DescMessage>;
  readonly request: Message;
}

/** Keeps the type of each row's request while the table is written. */
function row<I extends DescMessage>(
  name: string,
  method: DescMethodUnary<I, DescMessage>,
  request: MessageInitShape<I>,
  expected: Expected,
): Row {
  return { name, method, request: create(method.input, request), ...expected };
}

const append = (
  name: string,
  event: MessageInitShape<typeof AppendEventsRequestSchema>,
  expected: Expected,
) => row(name, appendEvents, { sessionId: "fresh", createIfMissing: true, ...event }, expected);

type EventInit = NonNullable<MessageInitShape<typeof AppendEventsRequestSchema>["events"]>[number];
const event = (name: string, init: EventInit, field: string, says?: string) =>
  append(name, { events: [text("ok"), init] }, { field, ...(says && { says }) });

type SessionInit = NonNullable<MessageInitShape<typeof CreateSessionRequestSchema>["session"]>;
const session = (name: string, init: SessionInit, field: string, says?: string) =>
  row(
    name,
    createSession,
    { session: { sessionId: "fresh", ...init } },
    { field, ...(says && { says }) },
  );

/** Filters that are refused before any session is looked at, and what is said of them. */
const filters: readonly (readonly [what: string, filter: string, says: string])[] = [
  ["half a filter", "session.events >", "does not compile at 1:16"],
  ["a filter of a number", "session.events", "it gives a number, not true or false"],
  [
    "a filter of 64k characters",
    `"${"x".repeat(65_536)}" == ""`,
    "has 65544 bytes, the limit is 2048",
  ],
  ["a filter of 200 brackets", `${"(".repeat(200)}true${")".repeat(200)}`, "brackets are open"],
  [
    "a filter of comprehensions in one another",
    "[1,2].all(a, [1,2].all(b, [1,2].all(c, session.events > 0)))",
    "a comprehension stands inside another",
  ],
  ["a filter that matches a pattern", 'session.title.matches("(a+)+b")', "no function"],
];

const ids: readonly (readonly [name: string, id: string])[] = [
  ["of 201 bytes", "x".repeat(201)],
  ["of 201 bytes in 67 characters", "語".repeat(67)],
  ["that begins with a space", " demo"],
  ["that ends with a space", "demo "],
  ["that ends with a wide space", "demo\u3000"],
  ["with NUL", "de\0mo"],
  ["with a line break", "de\nmo"],
  ["with a control character", "de\u0085mo"],
];

const unknownSession = { code: "NotFound", reason: "SESSION_NOT_FOUND", says: '"nobody"' } as const;

/** One row for each thing that can be wrong with a request that can be decoded. */
export const rows: readonly Row[] = [
  row(
    "an unknown session is not found by get",
    getSession,
    { sessionId: "nobody" },
    unknownSession,
  ),
  row("an unknown session has no events", listEvents, { sessionId: "nobody" }, unknownSession),
  row(
    "an unknown session takes no events",
    appendEvents,
    { sessionId: "nobody", events: [text("hi")] },
    unknownSession,
  ),
  row("an unknown session cannot be ended", endSession, { sessionId: "nobody" }, unknownSession),
  row(
    "an unknown session cannot be deleted",
    deleteSession,
    { sessionId: "nobody" },
    unknownSession,
  ),
  row(
    "an unknown session cannot be updated",
    updateSession,
    { session: { sessionId: "nobody", title: "x" } },
    unknownSession,
  ),
  row(
    "a session of another namespace is unknown",
    getSession,
    { namespace: "other", sessionId: "kept" },
    { code: "NotFound", reason: "SESSION_NOT_FOUND" },
  ),

  row("get without session_id", getSession, {}, { field: "session_id" }),
  row("append without session_id", appendEvents, { events: [text("hi")] }, { field: "session_id" }),
  row("end without session_id", endSession, {}, { field: "session_id" }),
  row("delete without session_id", deleteSession, { allowMissing: true }, { field: "session_id" }),
  row("update without session", updateSession, {}, { field: "session.session_id" }),
  ...ids.flatMap(([what, id]) => [
    session(`create a session_id ${what}`, { sessionId: id }, "session.session_id"),
    row(
      `append to a session_id ${what}`,
      appendEvents,
      { sessionId: id, createIfMissing: true, events: [text("hi")] },
      { field: "session_id" },
    ),
    append(
      `a request_id ${what}`,
      { events: [text("hi")], requestId: id },
      { field: "request_id" },
    ),
    event(`an event_id ${what}`, { ...text("hi"), eventId: id }, "events[1].event_id"),
  ]),
  session("a namespace of 65 bytes", { namespace: "n".repeat(65) }, "session.namespace"),
  session("a namespace with a slash", { namespace: "a/b" }, "session.namespace"),
  row("a namespace with NUL", listSessions, { namespace: "a\0b" }, { field: "namespace" }),
  row(
    "a create of a name that is taken",
    createSession,
    { session: { sessionId: "kept" } },
    { code: "AlreadyExists", reason: "SESSION_ALREADY_EXISTS" },
  ),

  row(
    "a child of itself",
    createSession,
    { session: { sessionId: "fresh" }, parentSessionId: "fresh" },
    { field: "parent_session_id", says: "is the session itself" },
  ),
  row(
    "a child of a session that is not there",
    createSession,
    { session: { sessionId: "fresh" }, parentSessionId: "nobody" },
    { code: "NotFound", reason: "SESSION_NOT_FOUND", says: '"nobody"' },
  ),
  row(
    "a parent that the caller makes up",
    createSession,
    { session: { sessionId: "fresh", parent: { sessionId: "kept", kind: 2 } } },
    { field: "session.parent" },
  ),
  row(
    "a parent whose name has a line break",
    createSession,
    { session: { sessionId: "fresh" }, parentSessionId: "a\nb" },
    { field: "parent_session_id" },
  ),
  row(
    "a list of the children of nobody",
    listSessions,
    { parentSessionId: "nobody" },
    { code: "NotFound", reason: "SESSION_NOT_FOUND" },
  ),

  session("a title of 1,001 bytes", { title: "x".repeat(1_001) }, "session.title"),
  session("a goal above 64 KiB", { goal: "x".repeat(65_537) }, "session.goal"),
  session(
    "65 labels",
    { labels: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`l${i}`, "x"])) },
    "session.labels",
  ),
  session("a label without a key", { labels: { "": "x" } }, 'session.labels[""]'),
  session(
    "a label key of 64 bytes",
    { labels: { ["k".repeat(64)]: "x" } },
    `session.labels["${"k".repeat(40)}"]`,
  ),
  session(
    "a label value of 256 bytes",
    { labels: { key: "x".repeat(256) } },
    'session.labels["key"]',
  ),
  session(
    "257 tools",
    { tools: Array.from({ length: 257 }, (_, i) => ({ name: `t${i}` })) },
    "session.tools",
  ),
  session("a tool without a name", { tools: [{ description: "x" }] }, "session.tools[0].name"),
  session("an unknown preset", { preset: "nope" }, "session.preset", "conversation"),
  session("metadata above 64 KiB", { metadata: { key: "x".repeat(65_536) } }, "session.metadata"),
  session(
    "metadata of 33 levels",
    { metadata: { k: nested(1, 32) } },
    "session.metadata",
    "deeper",
  ),
  session(
    "an empty list at level 33",
    { metadata: { k: nested([], 31) } },
    "session.metadata",
    "deeper",
  ),
  session("an idle expiry of nothing", { expiry: { idleTtl: {} } }, "session.expiry.idle_ttl"),
  session("a negative expiry", { expiry: { ttl: { seconds: -5n } } }, "session.expiry.ttl"),
  session(
    "a trigger above the whole budget",
    { contextPolicy: { compaction: { triggerRatio: 1.5 } } },
    "session.context_policy.compaction.trigger_ratio",
  ),
  session(
    "a protection rule without a reason",
    { contextPolicy: { protectionRules: [{ expression: "true" }] } },
    "session.context_policy.protection_rules[0].reason",
  ),

  session(
    "a uid",
    { uid: "01a1f8a6-a332-77ee-a91c-65a14f9b9d3c" },
    "session.uid",
    "set by the server",
  ),
  session("a state", { state: 3 }, "session.state", "set by the server"),
  session("a create_time", { createTime: { seconds: 1n } }, "session.create_time"),
  session("an end", { end: { reason: "x" } }, "session.end"),
  session("a parent", { parent: { sessionId: "kept" } }, "session.parent"),
  session("a head_revision", { headRevision: 7 }, "session.head_revision"),
  session("metrics", { metrics: { events: 7 } }, "session.metrics"),
  session("an etag", { etag: "1" }, "session.etag"),

  row(
    "an update of a field the server sets",
    updateSession,
    { session: { sessionId: "kept" }, updateMask: { paths: ["title", "state"] } },
    { field: "update_mask.paths[1]", says: "title" },
  ),
  row(
    "an update of a field there is not",
    updateSession,
    { session: { sessionId: "kept" }, updateMask: { paths: ["nope"] } },
    { field: "update_mask.paths[0]" },
  ),
  row(
    "an update inside a field",
    updateSession,
    { session: { sessionId: "kept" }, updateMask: { paths: ["labels.a"] } },
    { field: "update_mask.paths[0]" },
  ),
  row(
    "an update with an old etag",
    updateSession,
    { session: { sessionId: "kept", title: "x", etag: "99" } },
    { code: "Aborted", reason: "ETAG_MISMATCH" },
  ),
  row(
    "an update with an etag of 20 KB",
    updateSession,
    { session: { sessionId: "kept", title: "x", etag: "9".repeat(20_000) } },
    { field: "session.etag" },
  ),
  row(
    "an end in a state that is no end",
    endSession,
    { sessionId: "kept", state: 2 },
    { field: "state", says: "COMPLETED" },
  ),
  row(
    "an end with a reason above 4 KiB",
    endSession,
    { sessionId: "kept", end: { reason: "x".repeat(4_097) } },
    { field: "end.reason" },
  ),

  append("an append of nothing", { events: [] }, { field: "events" }),
  append(
    "1,001 events",
    { events: Array.from({ length: 1_001 }, () => text("x")) },
    { field: "events", says: "1000" },
  ),
  append(
    "an event above 1 MiB",
    { events: [text("ok"), text("x".repeat(1_048_577))] },
    { reason: "EVENT_TOO_LARGE", says: /events\[1\]/ },
  ),
  event("an event without a payload", {}, "events[1]", "needs a payload"),
  event("a revision", { ...text("x"), revision: 5 }, "events[1].revision"),
  event(
    "a create_time of an event",
    { ...text("x"), createTime: { seconds: 1n } },
    "events[1].create_time",
  ),
  event("tokens", { ...text("x"), tokens: { count: 1 } }, "events[1].tokens"),
  event("protection", { ...text("x"), protection: { reason: "mine" } }, "events[1].protection"),
  event(
    "session_started",
    { payload: { case: "sessionStarted", value: {} } },
    "events[1].session_started",
  ),
  event(
    "session_ended",
    { payload: { case: "sessionEnded", value: {} } },
    "events[1].session_ended",
  ),
  event(
    "session_reopened",
    { payload: { case: "sessionReopened", value: {} } },
    "events[1].session_reopened",
  ),
  event(
    "state_changed",
    { payload: { case: "stateChanged", value: {} } },
    "events[1].state_changed",
  ),
  event("rewind", { payload: { case: "rewind", value: { revision: 1 } } }, "events[1].rewind"),
  event("amendment", { payload: { case: "amendment", value: {} } }, "events[1].amendment"),
  event("compaction", { payload: { case: "compaction", value: {} } }, "events[1].compaction"),
  event(
    "compaction_reverted",
    { payload: { case: "compactionReverted", value: {} } },
    "events[1].compaction_reverted",
  ),
  event(
    "protection_changed",
    { payload: { case: "protectionChanged", value: {} } },
    "events[1].protection_changed",
  ),
  event("redaction", { payload: { case: "redaction", value: {} } }, "events[1].redaction"),
  event("forked", { payload: { case: "forked", value: {} } }, "events[1].forked"),
  event("an unknown role", { ...text("x"), role: 77 as 1 }, "events[1].role", "ROLE_USER"),
  event("a kind of 64 bytes", { ...text("x"), kind: "k".repeat(64) }, "events[1].kind"),
  event("a negative duration", { ...text("x"), duration: { nanos: -1 } }, "events[1].duration"),
  event("a negative cost", { ...text("x"), usage: { cost: -1 } }, "events[1].usage.cost"),
  event(
    "a cost that is no number",
    { ...text("x"), usage: { cost: Number.NaN } },
    "events[1].usage.cost",
  ),
  event(
    "an endless cost",
    { ...text("x"), usage: { cost: Number.POSITIVE_INFINITY } },
    "events[1].usage.cost",
  ),
  event(
    "a tool call without an id",
    { payload: { case: "toolCall", value: { name: "f" } } },
    "events[1].tool_call.call_id",
  ),
  event(
    "257 parts",
    {
      payload: {
        case: "message",
        value: {
          parts: Array.from({ length: 257 }, () => ({
            content: { case: "text" as const, value: "x" },
          })),
        },
      },
    },
    "events[1].message.parts",
  ),
  event(
    "an image without a uri",
    { payload: { case: "message", value: { parts: [{ content: { case: "image", value: {} } }] } } },
    "events[1].message.parts[0].image.uri",
  ),
  event(
    "metadata of 33 levels on an event",
    { ...text("x"), metadata: { k: nested(1, 32) } },
    "events[1].metadata",
  ),
  event(
    "a raw item without a format",
    { ...text("x"), raw: { json: "{}" } },
    "events[1].raw.format",
  ),
  append(
    "an expected_revision that is not",
    { sessionId: "kept", expectedRevision: 9, events: [text("x")] },
    { code: "Aborted", reason: "REVISION_CONFLICT" },
  ),

  row(
    "a negative page_size of events",
    listEvents,
    { sessionId: "kept", pageSize: -1 },
    { field: "page_size" },
  ),
  row(
    "a negative page_size of sessions",
    listSessions,
    { pageSize: -2_147_483_648 },
    { field: "page_size" },
  ),
  row(
    "a page token that is none",
    listEvents,
    { sessionId: "kept", pageToken: "nonsense" },
    { reason: "PAGE_TOKEN_INVALID" },
  ),
  row(
    "a page token of 1 MB",
    listSessions,
    { pageToken: "A".repeat(1_000_000) },
    { reason: "PAGE_TOKEN_INVALID" },
  ),
  ...filters.flatMap(([what, filter, says]) => [
    row(`a list by ${what}`, listSessions, { filter }, { field: "filter", says }),
    row(
      `a cleanup by ${what}`,
      cleanupSessions,
      { filter, action: CleanupAction.DELETE },
      { field: "filter", says },
    ),
  ]),
  row(
    "a cleanup by a filter that cannot tell",
    cleanupSessions,
    { filter: "int(session.session_id) > 1", action: CleanupAction.DELETE },
    { reason: "FILTER_FAILED", says: /^the filter cannot tell for session "/ },
  ),
  row(
    "a cleanup by a rate above 1",
    cleanupSessions,
    { minErrorRate: 1.5 },
    { field: "min_error_rate" },
  ),
  row(
    "a cleanup by a negative time",
    cleanupSessions,
    { idle: { seconds: -1n } },
    { field: "idle" },
  ),
  row("an unknown action", cleanupSessions, { action: 99 as 1 }, { field: "action" }),
  row(
    "a cleanup from a page token that is none",
    cleanupSessions,
    { pageToken: "nonsense" },
    { reason: "PAGE_TOKEN_INVALID" },
  ),
  row("delete the data of no user", deleteUserData, {}, { field: "user_id" }),
  row("an unknown state in a filter", listSessions, { state: 99 as 1 }, { field: "state" }),
  row(
    "a reason to cancel of 4 KiB and a byte",
    cancelSession,
    { sessionId: "kept", reason: "x".repeat(4_097) },
    { field: "reason" },
  ),
  row(
    "a session to reopen that is not there",
    reopenSession,
    { sessionId: "nobody" },
    { code: "NotFound", reason: "SESSION_NOT_FOUND" },
  ),
  row(
    "an end that says which limit was reached",
    endSession,
    { sessionId: "kept", end: { limit: "max_steps" } },
    { field: "end.limit" },
  ),
  ...(["maxSteps", "maxTokens", "maxHistory"] as const).map((limit) =>
    row(
      `a zero for ${limit}`,
      createSession,
      { session: { sessionId: "fresh", preset: "execution", limits: { [limit]: 0 } } },
      {
        field: `session.limits.${limit.replace(/[A-Z]/, (letter) => `_${letter.toLowerCase()}`)}`,
        says: "0 would allow nothing",
      },
    ),
  ),
  row(
    "a change to a limit of zero",
    updateSession,
    {
      session: { sessionId: "kept", limits: { maxTokens: 0 } },
      updateMask: { paths: ["limits"] },
    },
    { field: "session.limits.max_tokens", says: "0 would allow nothing" },
  ),
  row(
    "a timeout of zero",
    createSession,
    { session: { sessionId: "fresh", limits: { timeout: { seconds: 0n } } } },
    { field: "session.limits.timeout" },
  ),
  row(
    "a record of no request, no time and no error",
    recordRequest,
    { sessionId: "kept", count: false },
    { field: "count" },
  ),
  row(
    "a processing time below zero",
    recordRequest,
    { sessionId: "kept", processingTime: { seconds: -1n } },
    { field: "processing_time" },
  ),
  row(
    "a page token of steps that is none",
    listSteps,
    { sessionId: "kept", pageToken: "nonsense" },
    { reason: "PAGE_TOKEN_INVALID" },
  ),
  row("a state without session_id", getState, {}, { field: "session_id" }),
  row("the state of an unknown session", getState, { sessionId: "nobody" }, unknownSession),
  row(
    "a patch of an unknown session",
    patchState,
    { sessionId: "nobody", patch: { a: 1 } },
    unknownSession,
  ),
  ...(
    [
      ["without a name", "", 'patch[""]', "needs a name"],
      ["that is a prefix alone", "user:", 'patch["user:"]', "needs a name"],
      ["that is reserved", "sessiond:x", 'patch["sessiond:x"]', "reserved"],
      ["that is reserved in the namespace", "app:__proto__", 'patch["app:__proto__"]', "reserved"],
      ["with a misspelt prefix", "User:x", 'patch["User:x"]', 'written "user:"'],
      ["of a user that the session does not have", "user:x", 'patch["user:x"]', "user_id"],
      ["with a line break", "a\nb", 'patch["a\\nb"]', "printable"],
      ["of 201 bytes", "k".repeat(201), `patch["${"k".repeat(40)}"]`, "the limit is 200"],
    ] as const
  ).map(([what, key, field, says]) =>
    row(
      `a patch with a good key and one ${what}`,
      patchState,
      { sessionId: "kept", patch: { ok: 1, [key]: 1 } },
      { field, says },
    ),
  ),
  row(
    "a patch of __proto__",
    patchState,
    { sessionId: "kept", patch: Object.fromEntries([["__proto__", { polluted: true }]]) },
    { field: 'patch["__proto__"]', says: "reserved" },
  ),
  row(
    "a patch of 257 keys",
    patchState,
    {
      sessionId: "kept",
      patch: Object.fromEntries(Array.from({ length: 257 }, (_, i) => [`k${i}`, i])),
    },
    { field: "patch", says: "256" },
  ),
  row(
    "a patch of 33 levels",
    patchState,
    { sessionId: "kept", patch: { k: nested(1, 32) } },
    { field: "patch", says: "deeper" },
  ),
  row(
    "a patch above 64 KiB",
    patchState,
    { sessionId: "kept", patch: { ok: 1, "app:k": "x".repeat(65_536) } },
    { code: "ResourceExhausted", reason: "STATE_TOO_LARGE", says: "the app scope" },
  ),
  row(
    "a patch with an etag that is none of the state",
    patchState,
    { sessionId: "kept", patch: { ok: 1 }, etag: "99" },
    { code: "Aborted", reason: "ETAG_MISMATCH" },
  ),
  row(
    "an unknown session cannot be rewound",
    rewindSession,
    { sessionId: "nobody", to: { case: "groups", value: 1 } },
    unknownSession,
  ),
  row("a rewind of no session", rewindSession, {}, { field: "session_id" }),
  row("a rewind to nowhere", rewindSession, { sessionId: "kept" }, { field: "revision" }),
  row(
    "a rewind of no groups",
    rewindSession,
    { sessionId: "kept", to: { case: "groups", value: 0 } },
    { field: "groups" },
  ),
  ...[0, 4, 4_294_967_295].map((value) =>
    row(
      `a rewind to revision ${value}`,
      rewindSession,
      { sessionId: "kept", to: { case: "revision", value } },
      { code: "OutOfRange", reason: "REVISION_OUT_OF_RANGE", says: "choose one from 1 to 3" },
    ),
  ),
  row(
    "a rewind of a session that is elsewhere by now",
    rewindSession,
    { sessionId: "kept", to: { case: "revision", value: 1 }, expectedRevision: 9 },
    { code: "Aborted", reason: "REVISION_CONFLICT" },
  ),
  row("an unknown session cannot be forked", forkSession, { sessionId: "nobody" }, unknownSession),
  row("a fork of no session", forkSession, {}, { field: "session_id" }),
  row(
    "a fork beyond the head",
    forkSession,
    { sessionId: "kept", revision: 4, newSessionId: "fresh" },
    {
      code: "OutOfRange",
      reason: "REVISION_OUT_OF_RANGE",
      says: 'session "kept" has no revision 4; choose one from 1 to 3',
    },
  ),
  row(
    "a fork at the largest revision there is",
    forkSession,
    { sessionId: "kept", revision: 4_294_967_295 },
    { code: "OutOfRange", reason: "REVISION_OUT_OF_RANGE", says: "from 1 to 3" },
  ),
  row(
    "a fork with a name that is taken",
    forkSession,
    { sessionId: "kept", newSessionId: "kept" },
    { code: "AlreadyExists", reason: "SESSION_ALREADY_EXISTS", says: '"kept"' },
  ),
  ...ids.map(([name, newSessionId]) =>
    row(
      `a fork with a name ${name}`,
      forkSession,
      { sessionId: "kept", newSessionId },
      { field: "new_session_id" },
    ),
  ),
  row(
    "a fork named by its fields",
    forkSession,
    { sessionId: "kept", session: { sessionId: "fresh" } },
    { field: "session", says: "new_session_id" },
  ),
  row(
    "a fork into another namespace",
    forkSession,
    { sessionId: "kept", session: { namespace: "other" } },
    { field: "session", says: "namespace" },
  ),
  row(
    "a fork that says which state it has",
    forkSession,
    { sessionId: "kept", session: { state: 3 } },
    { field: "session.state" },
  ),
  row(
    "a fork of a negative timeout",
    forkSession,
    { sessionId: "kept", session: { limits: { timeout: { seconds: -1n } } } },
    { field: "session.limits.timeout" },
  ),
  ...ids.map(([name, sessionId]) =>
    row(
      `an amendment in a session with a name ${name}`,
      amendToolCall,
      { sessionId, revision: 1 },
      { field: "session_id" },
    ),
  ),
  row(
    "an amendment of nothing",
    amendToolCall,
    { sessionId: "kept" },
    { field: "revision", says: "required" },
  ),
  row(
    "an amendment of a message",
    amendToolCall,
    { sessionId: "kept", revision: 2, arguments: "{}" },
    { field: "revision", says: "revision 2 is message" },
  ),
  row(
    "an amendment behind the log",
    amendToolCall,
    { sessionId: "kept", revision: 4_294_967_295, arguments: "{}" },
    { field: "revision", says: "revisions 1 to 3" },
  ),
  row(
    "an amendment at another revision than the session's",
    amendToolCall,
    { sessionId: "kept", revision: 2, arguments: "{}", expectedRevision: 1 },
    { code: "Aborted", reason: "REVISION_CONFLICT", says: "expected revision 1" },
  ),
  row(
    "an amendment in a session that is not there",
    amendToolCall,
    { sessionId: "nobody", revision: 2, arguments: "{}" },
    { code: "NotFound", reason: "SESSION_NOT_FOUND" },
  ),
  row("an unknown order", listEvents, { sessionId: "kept", order: 99 as 1 }, { field: "order" }),
];
