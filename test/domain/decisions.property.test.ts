import { create, toBinary } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type Event,
  EventSchema,
  Role,
  SessionEndSchema,
  SessionSchema,
  SessionState,
  TokenAccuracy,
  TokenCountSchema,
} from "@sessiond/contract";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { appendEvents, createSession, updateSession } from "../../src/domain/decisions.ts";
import { endSession } from "../../src/domain/lifecycle/end.ts";
import { hasEnded } from "../../src/domain/lifecycle/states.ts";
import type { EventDraft, Outcome } from "../../src/domain/record.ts";
import { SessionEndedError } from "../../src/errors.ts";
import type { StoredSession } from "../../src/store/store.ts";
import { messageOf, ruleHints } from "../support/arbitraries.ts";

const uid = "01a1f8a6-a332-77ee-a91c-65a14f9b9d3c";
const startMs = Date.UTC(2030, 0, 1);

const draft: fc.Arbitrary<EventDraft> = fc
  .tuple(messageOf(EventSchema, ruleHints, { percent: 0 }), fc.nat(1_000))
  .map(([event, count]) => ({
    event,
    tokens: create(TokenCountSchema, { count, accuracy: TokenAccuracy.EXACT }),
  }));

/** What may happen to a session, with the time that passes before; a clock may be set back. */
const command = fc.record({
  passMs: fc.integer({ min: -5_000, max: 60_000 }),
  what: fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ drafts: fc.array(draft, { minLength: 1, maxLength: 4 }) }),
    },
    { weight: 2, arbitrary: fc.record({ title: fc.string() }) },
    { weight: 1, arbitrary: fc.record({ end: fc.constantFrom(3, 4, 5) }) },
  ),
});

interface Life {
  readonly log: readonly Event[];
  readonly states: readonly StoredSession[];
  readonly last: StoredSession;
}

/** Runs commands one after another, as the domain does. */
function live(
  commands: readonly (typeof command extends fc.Arbitrary<infer T> ? T : never)[],
  deferredStart: boolean,
): Life {
  let nowMs = startMs;
  const fields = create(SessionSchema, { namespace: "default", sessionId: "demo" });
  const first = createSession(fields, { uid, nowMs, deferredStart });
  const log = [...first.events];
  const states = [first.after];
  for (const { passMs, what } of commands) {
    nowMs += passMs;
    const before = states.at(-1) ?? first.after;
    const outcome = apply(before, what, nowMs);
    if (outcome === undefined) continue;
    log.push(...outcome.events);
    states.push(outcome.after);
  }
  return { log, states, last: states.at(-1) ?? first.after };
}

function apply(
  before: StoredSession,
  what: { drafts: EventDraft[] } | { title: string } | { end: SessionState },
  nowMs: number,
): Outcome | undefined {
  if ("title" in what) return updateSession(before, { title: what.title }, nowMs);
  if ("end" in what) {
    return endSession(before, { state: what.end, end: create(SessionEndSchema) }, nowMs);
  }
  if (!hasEnded(before)) return appendEvents(before, what.drafts, nowMs);
  expect(() => appendEvents(before, what.drafts, nowMs)).toThrow(SessionEndedError);
  return undefined;
}

const lives = fc.tuple(fc.array(command, { maxLength: 12 }), fc.boolean());

function always(law: (life: Life) => void): void {
  fc.assert(
    fc.property(lives, ([commands, deferred]) => law(live(commands, deferred))),
    { numRuns: 200 },
  );
}

describe("whatever happens to a session", () => {
  test("Ordered, Gapless: its events are numbered 1, 2, 3 and its head is at the last", () => {
    always(({ log, last }) => {
      expect(log.map(({ revision }) => revision)).toEqual(log.map((_, index) => index + 1));
      expect(last.head.revision).toBe(log.length);
    });
  });

  test("time never runs backwards in its log", () => {
    always(({ log, last }) => {
      const times = log.map(({ createTime }) => (createTime ? timestampMs(createTime) : 0));
      expect(times).toEqual([...times].sort((a, b) => a - b));
      if (times.length > 0) expect(last.head.lastActivityTime).toEqual(log.at(-1)?.createTime);
    });
  });

  test("a session that was started has session_started first and only there", () => {
    always(({ log, last }) => {
      const starts = log.filter(({ payload }) => payload.case === "sessionStarted");
      const isStarted = last.session.startTime !== undefined;
      expect(starts.map(({ revision }) => revision)).toEqual(isStarted ? [1] : []);
    });
  });

  test("turns begin with user messages and steps are counted without a hole", () => {
    always(({ log, last }) => {
      let userMessages = 0;
      let steps = 0;
      for (const { payload, role, turn, step } of log) {
        if (payload.case === "message" && role === Role.USER) userMessages++;
        expect(turn).toBe(Math.max(0, userMessages - 1));
        if (step !== 0) expect(step).toBe(++steps);
      }
      expect(last.head.metrics).toMatchObject({ turns: userMessages, steps });
    });
  });

  test("Accounted: its metrics equal a recount of its log", () => {
    always(({ log, last }) => {
      const count = (test: (event: Event) => boolean) => log.filter(test).length;
      const sum = (of: (event: Event) => number) => log.reduce((all, event) => all + of(event), 0);
      const { metrics } = last.head;
      expect(metrics).toMatchObject({
        events: log.length,
        messages: count(({ payload }) => payload.case === "message"),
        toolCalls: count(({ payload }) => payload.case === "toolCall"),
        errors: count(({ payload }) => payload.case === "error"),
        storedBytes: sum((event) => toBinary(EventSchema, event).length),
      });
      expect(metrics?.tokens).toMatchObject({
        total: sum(({ tokens }) => tokens?.count ?? 0),
        reportedInput: Math.min(
          0xffff_ffff,
          sum(({ usage }) => usage?.inputTokens ?? 0),
        ),
        reportedOutput: Math.min(
          0xffff_ffff,
          sum(({ usage }) => usage?.outputTokens ?? 0),
        ),
      });
      const { total = 0, input = 0, output = 0 } = metrics?.tokens ?? {};
      expect(input + output).toBeLessThanOrEqual(total);
      // What answers no call, and progress, is in no window.
      const isShown = ({ group, payload }: Event) =>
        group !== 0 && !(payload.case === "toolResult" && payload.value.isFinal === false);
      expect(last.head.windowTokens).toBe(
        sum((event) => (isShown(event) ? (event.tokens?.count ?? 0) : 0)),
      );
      const requests = log.flatMap(({ payload }) =>
        payload.case === "requestRecorded" ? [payload.value] : [],
      );
      expect(metrics?.requests?.count ?? 0).toBe(requests.length);
      expect(metrics?.requests?.errors ?? 0).toBe(
        requests.filter(({ error }) => error !== undefined).length,
      );
    });
  });

  test("every role is known once a payload says whose voice it is", () => {
    always(({ log }) => {
      for (const { payload, role } of log) {
        if (payload.case === "message" || payload.case === "toolCall") {
          expect(role).not.toBe(Role.UNSPECIFIED);
        }
      }
    });
  });

  test("what callers wrote is stored as they wrote it", () => {
    fc.assert(
      fc.property(fc.array(draft, { minLength: 1, maxLength: 5 }), (drafts) => {
        const { after } = createSession(create(SessionSchema), {
          uid,
          nowMs: startMs,
          deferredStart: false,
        });
        const { events } = appendEvents(after, drafts, startMs);
        for (const [index, { event }] of drafts.entries()) {
          const stored = events[index];
          expect(stored?.payload).toBe(event.payload);
          expect(stored?.metadata).toBe(event.metadata);
          expect(stored).toMatchObject({ kind: event.kind, author: event.author });
          if (event.role !== Role.UNSPECIFIED) expect(stored?.role).toBe(event.role);
        }
      }),
    );
  });

  test("a session that ended stays as it ended, but for the fields callers own", () => {
    always(({ states }) => {
      const end = states.findIndex(hasEnded);
      if (end === -1) return;
      const ended = states[end];
      for (const { session, head } of states.slice(end)) {
        expect(head).toBe(ended?.head);
        expect(session).toMatchObject({ state: ended?.session.state });
        expect(session.endTime).toEqual(ended?.session.endTime);
      }
    });
  });

  test("its etag changes with the fields callers own and with its end, not with events", () => {
    always(({ states }) => {
      for (const [index, after] of states.entries()) {
        const before = states[index - 1];
        if (before === undefined) continue;
        const isAppend = before.head !== after.head && !hasEnded(after);
        expect(after.session.etag === before.session.etag).toBe(isAppend);
      }
    });
  });

  test("decisions change nothing they were given", () => {
    fc.assert(
      fc.property(
        lives,
        fc.array(draft, { minLength: 1, maxLength: 3 }),
        ([past, deferred], more) => {
          const { last } = live(past, deferred);
          const copy = structuredClone({ last, more });
          if (!hasEnded(last)) appendEvents(last, more, startMs);
          endSession(last, { state: SessionState.FAILED, end: create(SessionEndSchema) }, startMs);
          updateSession(last, { title: "other" }, startMs);
          expect({ last, more }).toEqual(copy);
        },
      ),
      { numRuns: 50 },
    );
  });
});

test("sums of what providers report stop at the largest number their field carries", () => {
  const usage = { inputTokens: 0xffff_ffff, outputTokens: 1, cost: Number.MAX_VALUE };
  const event = create(EventSchema, { payload: { case: "message", value: {} }, usage });
  const fields = create(SessionSchema);
  const { after } = createSession(fields, { uid, nowMs: startMs, deferredStart: false });
  const outcome = appendEvents(after, [{ event }, { event }, { event }], startMs);
  expect(outcome.after.head.metrics?.tokens).toMatchObject({
    reportedInput: 0xffff_ffff,
    reportedOutput: 3,
    reportedCost: Number.MAX_VALUE,
  });
});
