import { describe, expect, it } from "vitest";
import type { Answer, Call, Counters, Delivery, History, SessionLog } from "../history.ts";
import { type PromiseWord, validators, violationsOf } from "./validators.ts";

const noCounts: Counters = {
  events: 0,
  messages: 0,
  turns: 0,
  steps: 0,
  toolCalls: 0,
  storedBytes: 0,
  tokens: 0,
};

const started = "server/sessionStarted 00";

/** Two calls, one of two events and one of one, as a correct server would have them. */
const good = history({});

/** Histories in which just that promise is broken, at least; each says how. */
const broken: { readonly [word in PromiseWord]: { readonly [how: string]: History } } = {
  Durable: {
    "an acknowledged event is missing": history({ stored: [started, "a/0", "a/1"] }),
    "an acknowledged event has other content": history({ stored: [started, "a/0", "a/1", "b/?"] }),
    "an acknowledged event has another revision": history({
      stored: [started, "b/0", "a/0", "a/1"],
    }),
    "a whole session is missing": { ...good, logs: [] },
  },
  "Durable before visible": {
    "a read showed what is not stored": {
      ...good,
      sightings: [{ sessionId: "s", revision: 5, mark: "c/0" }],
    },
    "the watch showed what is not stored": history({
      delivered: [[started, "a/0", "a/1"], ["b/0"], ["c/0"]],
    }),
  },
  Ordered: {
    "a call has its events in another order": history({ revisions: { a: [3, 2] } }),
    "a call is stored elsewhere than expected": history({ expected: { b: 2 } }),
    "a call is stored in front of one answered before it": history({
      revisions: { a: [3, 4], b: [2] },
    }),
    "a read goes back": history({ order: [1, 3, 2, 4] }),
  },
  Unique: {
    "an event is stored twice": history({ stored: [started, "a/0", "a/1", "b/0", "b/0"] }),
    "an event is stored that nobody sent": history({
      stored: [started, "a/0", "a/1", "b/0", "c/0"],
    }),
  },
  Gapless: {
    "a revision is missing": history({ order: [1, 2, 3, 5], head: 5 }),
    "the head is ahead of the log": history({ head: 5 }),
    "the head is behind the log": history({ head: 3 }),
  },
  Atomic: {
    "the end of a batch is missing": history({ stored: [started, "a/0", "b/0"] }),
    "the start of a batch is missing": history({ stored: [started, "a/1", "b/0"] }),
    "another event stands within a batch": history({ stored: [started, "a/0", "b/0", "a/1"] }),
    "a batch is split over two messages": history({
      delivered: [
        [started, "a/0"],
        ["a/1", "b/0"],
      ],
    }),
  },
  Idempotent: {
    "a retry gets another answer": answered("a", [
      acknowledged(2, [2, 3]),
      acknowledged(5, [5, 6]),
    ]),
    "a retry is refused": answered("a", [acknowledged(2, [2, 3]), refused(5)]),
    "a call is applied twice": history({
      stored: [started, "a/0", "a/1", "b/0", "a/0", "a/1"],
    }),
    "a refused call is applied": answered("b", [refused(4)]),
    "an acknowledged call is not applied": history({ stored: [started, "a/0", "a/1"] }),
    "an unanswered call is applied twice": answered("b", [], ["b/0", "b/0"]),
  },
  Resumable: {
    "the watch missed a batch": history({ delivered: [[started], ["b/0"]] }),
    "the watch missed the end": history({ delivered: [[started, "a/0", "a/1"]] }),
    "the watch repeated a batch": history({
      delivered: [[started, "a/0", "a/1"], ["a/0", "a/1"], ["b/0"]],
    }),
    "the watch changed the order": history({ delivered: [[started], ["b/0"], ["a/0", "a/1"]] }),
  },
  Accounted: {
    "the head counts other events than the log has": history({ counters: { events: 3 } }),
    "the head counts other tokens than the log has": history({ counters: { tokens: 41 } }),
    "tokens were acknowledged that are not stored": answered("b", [
      { ...acknowledged(4, [4]), tokens: [11] },
    ]),
  },
};

describe("a history that keeps every promise", () => {
  it("has no violations", () => {
    expect(violationsOf(good)).toEqual([]);
  });

  it("may have calls without an answer, stored or not", () => {
    expect(violationsOf(answered("b", []))).toEqual([]);
    const notStored = history({
      stored: [started, "a/0", "a/1"],
      delivered: [[started, "a/0", "a/1"]],
      counters: {},
    });
    expect(violationsOf(withAnswers(notStored, "b", []))).toEqual([]);
  });

  it("may have calls that were refused and not stored", () => {
    const notStored = history({
      stored: [started, "a/0", "a/1"],
      delivered: [[started, "a/0", "a/1"]],
    });
    expect(violationsOf(withAnswers(notStored, "b", [refused(4)]))).toEqual([]);
  });

  it("may have a watch that is behind while it is not settled", () => {
    const behind = history({ delivered: [[started, "a/0", "a/1"]] });
    expect(violationsOf({ ...behind, isSettled: false })).toEqual([]);
  });
});

describe.for(Object.entries(broken))("%s is broken when", ([word, histories]) => {
  it.for(Object.entries(histories))("%s", ([, broke]) => {
    expect([...validators[word as PromiseWord](broke)]).not.toEqual([]);
  });
});

function history(args: {
  stored?: readonly string[];
  /** Revisions of `stored`, where they are not 1, 2, 3. */
  order?: readonly number[];
  head?: number;
  delivered?: readonly (readonly string[])[];
  revisions?: { readonly a?: readonly number[]; readonly b?: readonly number[] };
  expected?: { readonly b?: number };
  counters?: Partial<Counters>;
}): History {
  const { stored = [started, "a/0", "a/1", "b/0"], order, revisions, expected } = args;
  const { delivered = [[started, "a/0", "a/1"], ["b/0"]] } = args;
  const recount = { ...noCounts, events: stored.length, tokens: 10 * stored.length };
  const log: SessionLog = {
    sessionId: "s",
    entries: stored.map((mark, index) => ({
      revision: order?.[index] ?? index + 1,
      mark,
      tokens: 10,
    })),
    headRevision: args.head ?? stored.length,
    counters: { ...recount, ...args.counters },
    recount,
  };
  const calls: Call[] = [
    call("a", ["a/0", "a/1"], acknowledged(2, revisions?.a ?? [2, 3])),
    {
      ...call("b", ["b/0"], acknowledged(4, revisions?.b ?? [4])),
      expectedRevision: expected?.b ?? 3,
    },
  ];
  return {
    calls,
    logs: [log],
    deliveries: deliveriesOf(delivered),
    sightings: [],
    isSettled: true,
  };
}

/** Revisions count on from message to message, except that an event shown again has its own. */
function deliveriesOf(messages: readonly (readonly string[])[]): Delivery[] {
  const known = new Map<string, number>([
    [started, 1],
    ["a/0", 2],
    ["a/1", 3],
    ["b/0", 4],
    ["c/0", 5],
  ]);
  return messages.map((marks) => ({
    sessionId: "s",
    entries: marks.map((mark) => ({ mark, revision: known.get(mark) ?? 0 })),
  }));
}

function answered(requestId: string, answers: Answer[], stored?: readonly string[]): History {
  const base =
    stored === undefined ? good : history({ stored: [started, "a/0", "a/1", ...stored] });
  return withAnswers(base, requestId, answers);
}

function withAnswers(base: History, requestId: string, answers: Answer[]): History {
  const calls = base.calls.map((call) =>
    call.requestId === requestId ? { ...call, answers } : call,
  );
  return { ...base, calls };
}

function call(requestId: string, marks: readonly string[], answer: Answer): Call {
  return { requestId, sessionId: "s", marks, place: answer.place - 1, answers: [answer] };
}

function acknowledged(place: number, revisions: readonly number[]) {
  return { kind: "acknowledged", place, revisions, tokens: revisions.map(() => 10) } as const;
}

function refused(place: number) {
  return { kind: "refused", place, reason: "REVISION_CONFLICT" } as const;
}
