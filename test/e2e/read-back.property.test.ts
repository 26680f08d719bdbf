import {
  create,
  type DescMessage,
  fromBinary,
  fromJson,
  type JsonValue,
  type MessageShape,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import {
  type AppendEventsRequest,
  AppendEventsRequestSchema,
  type CreateSessionRequest,
  CreateSessionRequestSchema,
  type Event,
  EventSchema,
  EventService,
  GetSessionRequestSchema,
  ListEventsRequestSchema,
  Role,
  type Session,
  SessionSchema,
  SessionService,
} from "@sessiond/contract";
import fc from "fast-check";
import { expect, test } from "vitest";
import { withPreset } from "../../src/domain/session-defaults.ts";
import { rules } from "../../src/domain/validation/rules.ts";
import {
  type Answer,
  type Door,
  doors,
  engines,
  openTestApp,
  type TestApp,
} from "../support/app.ts";
import { messageOf, ruleHints } from "../support/arbitraries.ts";

const { createSession, getSession } = SessionService.method;
const { appendEvents, listEvents } = EventService.method;

const hints = {
  ...ruleHints,
  // Each request gets a session of its own, which does not exist before.
  "sessiond.v1.AppendEventsRequest.expected_revision": undefined,
  "sessiond.v1.Session.ephemeral": undefined,
  "sessiond.v1.CreateSessionRequest.if_exists": undefined,
  // It would have to name a session that is there.
  "sessiond.v1.CreateSessionRequest.parent_session_id": undefined,
};

/** Half of the requests are what a caller may send; of the rest some fields are anything. */
function requestOf<Desc extends DescMessage>(schema: Desc): fc.Arbitrary<MessageShape<Desc>> {
  const at = (percent: number) => messageOf(schema, hints, { percent });
  return fc.oneof(at(0), at(3));
}

const sends = fc.record({
  door: fc.constantFrom(...doors),
  request: fc.oneof(
    { weight: 2, arbitrary: requestOf(AppendEventsRequestSchema) },
    requestOf(CreateSessionRequestSchema),
  ),
});

/** The request as it reaches the server; undefined where the door cannot carry it. */
function asSent<Desc extends DescMessage>(
  door: Door,
  schema: Desc,
  message: MessageShape<Desc>,
): MessageShape<Desc> | undefined {
  try {
    return door === "gRPC"
      ? fromBinary(schema, toBinary(schema, message))
      : fromJson(schema, JSON.parse(JSON.stringify(toJson(schema, message))) as JsonValue);
  } catch {
    return undefined;
  }
}

/** What a caller wrote of an event, in a form to compare: -0 and 0 are the same in JSON. */
function callersPart(event: Event): unknown {
  return plain(EventSchema, { ...event, ...serverFields(EventSchema) });
}

function callersSession(session: Session): unknown {
  const own = create(SessionSchema, session);
  return plain(SessionSchema, { ...own, ...serverFields(SessionSchema), namespace: "" });
}

/** The fields that the server sets, as they are when it has set none. Payloads are the caller's. */
function serverFields<Desc extends DescMessage>(schema: Desc): object {
  const empty = new Map(Object.entries(create(schema)));
  const set = schema.fields.filter(
    ({ name, oneof }) => oneof === undefined && rules[schema.typeName]?.[name]?.setByServer,
  );
  return Object.fromEntries(set.map(({ localName }) => [localName, empty.get(localName)]));
}

function plain<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): unknown {
  return JSON.parse(JSON.stringify(toJson(schema, message)));
}

/** The sent events, with the role the server derives where none was sent. */
function expectedEvents(sent: readonly Event[], stored: readonly Event[]): unknown[] {
  return sent.map((event, index) => {
    const role = event.role === Role.UNSPECIFIED ? (stored[index]?.role ?? event.role) : event.role;
    return callersPart({ ...event, role });
  });
}

interface Name {
  readonly namespace: string;
  readonly sessionId: string;
}

type Stored =
  | { readonly kind: "events"; readonly name: Name; readonly sent: readonly Event[] }
  | { readonly kind: "session"; readonly name: Name; readonly sent: Session };

async function readSession(app: TestApp, door: Door, name: Name): Promise<Session> {
  const answer = await app.call(door, getSession, create(GetSessionRequestSchema, name));
  if (!answer.ok || answer.value.session === undefined) throw new Error("the session is not there");
  return answer.value.session;
}

async function readEvents(app: TestApp, door: Door, name: Name): Promise<Event[]> {
  const request = create(ListEventsRequestSchema, { ...name, pageSize: 1000 });
  const answer = await app.call(door, listEvents, request);
  if (!answer.ok) throw new Error(answer.message);
  return answer.value.events;
}

async function watchEvents(app: TestApp, name: Name, count: number): Promise<Event[]> {
  const seen: Event[] = [];
  const end = new AbortController();
  const watch = app.clients.events.watchEvents(name, { signal: end.signal });
  for await (const { message } of watch) {
    if (message.case === "events") seen.push(...message.value.events);
    if (seen.length >= count) break;
  }
  end.abort();
  return seen;
}

async function readsBack(app: TestApp, stored: Stored): Promise<void> {
  const { name } = stored;
  if (stored.kind === "session") {
    for (const door of doors) {
      const session = await readSession(app, door, name);
      expect(callersSession(session)).toEqual(callersSession(withPreset(stored.sent)));
    }
    return;
  }
  const reads = await Promise.all([
    ...doors.map((door) => readEvents(app, door, name)),
    watchEvents(app, name, stored.sent.length + 1),
  ]);
  for (const [started, ...events] of reads) {
    expect(started?.payload.case).toBe("sessionStarted");
    const own = events.slice(0, stored.sent.length);
    expect(own.map(callersPart)).toEqual(expectedEvents(stored.sent, own));
    // Events of many tokens are compacted in the background, at any time from then on.
    for (const { payload } of events.slice(own.length)) expect(payload.case).toBe("compaction");
  }
}

async function isRefusedWell(app: TestApp, answer: Answer<unknown>, name: Name) {
  if (answer.ok) throw new Error("accepted what the door cannot carry");
  expect(answer.reason).toMatch(
    /^(INVALID_FIELD|EVENT_TOO_LARGE|NOT_SUPPORTED|REVISION_CONFLICT|SESSION_NOT_FOUND)$/,
  );
  const found = await app.call("gRPC", getSession, create(GetSessionRequestSchema, name));
  // A namespace that is refused cannot be looked into.
  expect(found).toMatchObject({
    reason: expect.stringMatching(/^(SESSION_NOT_FOUND|INVALID_FIELD)$/),
  });
}

/** Sends a request under a session id of its own. Undefined: it cannot be sent, or was refused. */
async function send(
  app: TestApp,
  door: Door,
  request: AppendEventsRequest | CreateSessionRequest,
  sessionId: string,
): Promise<Stored | undefined> {
  if (request.$typeName === "sessiond.v1.AppendEventsRequest") {
    const named = { ...request, sessionId, createIfMissing: true };
    const sent = asSent(door, AppendEventsRequestSchema, named);
    if (sent === undefined) return undefined;
    const name = { namespace: sent.namespace, sessionId };
    const answer = await app.call(door, appendEvents, sent);
    if (answer.ok) return { kind: "events", name, sent: sent.events };
    await isRefusedWell(app, answer, name);
    return undefined;
  }
  const session = { ...(request.session ?? create(SessionSchema)), sessionId };
  const sent = asSent(door, CreateSessionRequestSchema, { ...request, session });
  if (sent?.session === undefined) return undefined;
  const name = { namespace: sent.session.namespace, sessionId };
  const answer = await app.call(door, createSession, sent);
  if (answer.ok) return { kind: "session", name, sent: sent.session };
  await isRefusedWell(app, answer, name);
  return undefined;
}

test.each(engines)(
  "over %s, what is accepted reads back equal, and the rest is refused by name",
  {
    timeout: 120_000,
  },
  async (store) => {
    // No session comes of age while it is read back.
    const nowMs = Date.now();
    await using app = await openTestApp({ store, overrides: { clock: () => nowMs } });
    const stored: Stored[] = [];
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(sends, async ({ door, request }) => {
        const accepted = await send(app, door, request, `run-${++runs}`);
        if (accepted === undefined) return;
        await readsBack(app, accepted);
        stored.push(accepted);
      }),
      { numRuns: 1_000, interruptAfterTimeLimit: 10_000 },
    );
    expect(stored.length).toBeGreaterThan(runs / 5);
    expect(stored.length).toBeLessThan(runs);

    if (store === "memory") return;
    await app.restart();
    for (const one of stored) await readsBack(app, one);
  },
);
