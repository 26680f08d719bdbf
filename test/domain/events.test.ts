import { create } from "@bufbuild/protobuf";
import {
  AppendEventsRequestSchema,
  type AppendStreamRequest,
  AppendStreamRequestSchema,
  Durability,
  EndSessionRequestSchema,
  type Event,
  EventOrder,
  ListEventsRequestSchema,
  Role,
  SessionState,
} from "@sessiond/contract";
import { expect, test } from "vitest";
import { appendStream } from "../../src/domain/append-stream.ts";
import {
  EventTooLargeError,
  InvalidFieldError,
  PageTokenInvalidError,
  RequestIdReusedError,
  RevisionConflictError,
  SessionEndedError,
  SessionNotFoundError,
  ShuttingDownError,
  WritesRefusedError,
} from "../../src/errors.ts";
import { MemoryStore } from "../../src/store/memory/memory-store.ts";
import type { Change, Store } from "../../src/store/store.ts";
import { characterCounter, openTestDomain, userText } from "../support/domain.ts";

const demo = { sessionId: "demo", createIfMissing: true } as const;

test("an append to a missing session creates it when asked to, and fails when not", async () => {
  await using domain = await openTestDomain();
  await expect(domain.append({ sessionId: "demo", events: [userText("hi")] })).rejects.toThrow(
    SessionNotFoundError,
  );
  const answer = await domain.append({ ...demo, events: [userText("hi")] });
  expect(answer).toMatchObject({
    sessionCreated: true,
    headRevision: 2,
    durability: Durability.NOT_DURABLE,
    events: [{ revision: 2, tokens: { count: 2 }, turn: 0, step: 0 }],
  });
  const log = await domain.log("demo");
  expect(log.map(({ revision, payload }) => [revision, payload.case])).toEqual([
    [1, "sessionStarted"],
    [2, "message"],
  ]);
});

test("turns begin with user messages and steps count recorded work", async () => {
  await using domain = await openTestDomain();
  const call = { callId: "c1", name: "search", arguments: "{}" };
  await domain.append({
    ...demo,
    events: [
      { role: Role.SYSTEM, payload: { case: "message", value: { text: "be brief" } } },
      userText("first"),
      { payload: { case: "thinking", value: { text: "hm" } } },
      { payload: { case: "toolCall", value: call } },
      { payload: { case: "toolResult", value: { callId: "c1", content: "found" } } },
      { role: Role.ASSISTANT, payload: { case: "message", value: { text: "done" } } },
      userText("second"),
      { payload: { case: "error", value: { message: "broken" } } },
    ],
  });
  const log = await domain.log("demo");
  expect(log.slice(1).map(({ turn, step, role }) => [turn, step, role])).toEqual([
    [0, 0, Role.SYSTEM],
    [0, 0, Role.USER],
    [0, 1, Role.ASSISTANT],
    [0, 2, Role.ASSISTANT],
    [0, 3, Role.TOOL],
    [0, 0, Role.ASSISTANT],
    [1, 0, Role.USER],
    [1, 4, Role.TOOL],
  ]);
});

test("Accounted: the metrics of a session equal a recount of its log", async () => {
  await using domain = await openTestDomain();
  await domain.append({ ...demo, events: [userText("one"), userText("three")] });
  await domain.append({
    ...demo,
    events: [
      {
        role: Role.ASSISTANT,
        payload: { case: "message", value: { text: "yes" } },
        usage: { inputTokens: 9, outputTokens: 4, cost: 0.5 },
      },
      { payload: { case: "toolCall", value: { callId: "c", name: "f", arguments: "{}" } } },
    ],
  });
  const { metrics } = await domain.get("demo");
  const log = await domain.log("demo");
  const total = log.reduce((sum, { tokens }) => sum + (tokens?.count ?? 0), 0);
  expect(metrics).toMatchObject({
    events: log.length,
    messages: 3,
    turns: 2,
    steps: 1,
    toolCalls: 1,
    tokens: {
      total,
      input: "one".length + "three".length,
      output: "yes".length + "f\n{}".length,
      reportedInput: 9,
      reportedOutput: 4,
      reportedCost: 0.5,
    },
  });
});

test("Idempotent: a repeated request gets the first answer and has one effect", async () => {
  await using domain = await openTestDomain();
  const request = { ...demo, requestId: "r1", events: [userText("hi")] };
  const [first, twin] = await Promise.all([domain.append(request), domain.append(request)]);
  await domain.append({ ...demo, events: [userText("later")] });
  const late = await domain.append(request);
  expect(twin).toEqual(first);
  expect(late).toEqual(first);
  expect(await domain.log("demo")).toHaveLength(3);
});

test("Idempotent: the same request id with other content is an error", async () => {
  await using domain = await openTestDomain();
  const first = domain.append({ ...demo, requestId: "r1", events: [userText("hi")] });
  const other = { ...demo, requestId: "r1", events: [userText("ho")] };
  await expect(domain.append(other)).rejects.toThrow(RequestIdReusedError);
  await first;
  await expect(domain.append(other)).rejects.toThrow(RequestIdReusedError);
});

test("Idempotent: a failed request may be repeated", async () => {
  await using domain = await openTestDomain();
  const request = { sessionId: "demo", requestId: "r1", events: [userText("hi")] };
  await expect(domain.append(request)).rejects.toThrow(SessionNotFoundError);
  await domain.create({ session: { sessionId: "demo" } });
  expect((await domain.append(request)).headRevision).toBe(2);
});

test("a wrong expected revision names what it is, and stores nothing", async () => {
  await using domain = await openTestDomain();
  await domain.append({ ...demo, expectedRevision: 0, events: [userText("hi")] });
  const stale = domain.append({ ...demo, expectedRevision: 1, events: [userText("stale")] });
  await expect(stale).rejects.toMatchObject({ expected: 1, actual: 2 });
  await expect(stale).rejects.toThrow(RevisionConflictError);
  expect((await domain.get("demo")).headRevision).toBe(2);
});

test("of racing appends that expect the same revision exactly one wins", async () => {
  await using domain = await openTestDomain();
  await domain.create({ session: { sessionId: "demo" } });
  const outcomes = await Promise.allSettled(
    Array.from({ length: 8 }, (_, index) =>
      domain.append({ sessionId: "demo", expectedRevision: 1, events: [userText(`${index}`)] }),
    ),
  );
  expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  expect((await domain.get("demo")).headRevision).toBe(2);
});

test("Gapless: concurrent appends to one session number its events without a hole", async () => {
  await using domain = await openTestDomain();
  const answers = await Promise.all(
    Array.from({ length: 100 }, () =>
      domain.append({ ...demo, events: [userText("a"), userText("b")] }),
    ),
  );
  const revisions = answers.flatMap(({ events }) => events.map(({ revision }) => revision));
  expect(revisions.sort((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, i) => i + 2));
  expect((await domain.log("demo")).map(({ revision }) => revision)).toEqual(
    Array.from({ length: 201 }, (_, i) => i + 1),
  );
});

test("Atomic: a batch with one bad event stores nothing", async () => {
  await using domain = await openTestDomain();
  const large = userText("x".repeat(1_100_000));
  await expect(domain.append({ ...demo, events: [userText("ok"), large] })).rejects.toMatchObject({
    reason: "EVENT_TOO_LARGE",
    details: { field: "events[1]", limit_bytes: "1048576" },
  });
  await expect(domain.append({ ...demo, events: [large] })).rejects.toThrow(EventTooLargeError);
  await expect(domain.append({ ...demo, events: [userText("ok"), {}] })).rejects.toThrow(
    InvalidFieldError,
  );
  await expect(domain.get("demo")).rejects.toThrow(SessionNotFoundError);
});

test("an ended session takes no events", async () => {
  await using domain = await openTestDomain();
  await domain.create({ session: { sessionId: "demo" } });
  const { session } = await domain.sessions.end(
    create(EndSessionRequestSchema, { sessionId: "demo", state: SessionState.FAILED }),
  );
  expect(session).toMatchObject({ state: SessionState.FAILED, headRevision: 2 });
  await expect(domain.append({ ...demo, events: [userText("late")] })).rejects.toThrow(
    SessionEndedError,
  );
});

test("create_time does not run backwards when the clock does", async () => {
  await using domain = await openTestDomain();
  await domain.append({ ...demo, events: [userText("a")] });
  domain.now -= 60_000;
  await domain.append({ ...demo, events: [userText("b")] });
  const times = (await domain.log("demo")).map(({ createTime }) => createTime?.seconds);
  expect(times[2]).toBe(times[1]);
});

test("pages of a list join into the log, in either order", async () => {
  await using domain = await openTestDomain();
  await domain.append({ ...demo, events: Array.from({ length: 25 }, (_, i) => userText(`${i}`)) });
  for (const order of [EventOrder.OLDEST_FIRST, EventOrder.NEWEST_FIRST]) {
    const seen: number[] = [];
    let pageToken = "";
    do {
      const page = await domain.events.list(
        create(ListEventsRequestSchema, {
          sessionId: "demo",
          firstRevision: 2,
          lastRevision: 25,
          order,
          pageSize: 7,
          pageToken,
        }),
      );
      seen.push(...page.events.map(({ revision }) => revision));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    const expected = Array.from({ length: 24 }, (_, i) => i + 2);
    expect(seen).toEqual(order === EventOrder.NEWEST_FIRST ? expected.reverse() : expected);
  }
});

test("a page token of another query, or a damaged one, is refused", async () => {
  await using domain = await openTestDomain();
  await domain.append({ ...demo, events: [userText("a"), userText("b")] });
  const list = (fields: object) =>
    domain.events.list(create(ListEventsRequestSchema, { sessionId: "demo", ...fields }));
  const { nextPageToken: pageToken } = await list({ pageSize: 1 });
  await expect(list({ pageToken, firstRevision: 2 })).rejects.toThrow("of another query");
  await expect(list({ pageToken: `${pageToken}A` })).rejects.toThrow(PageTokenInvalidError);
  await expect(list({ pageToken: "$$$" })).rejects.toThrow("malformed");
  await expect(list({ pageSize: -1 })).rejects.toThrow("page_size");
});

/** The first batch is counted last: order must not depend on how long counting takes. */
const slowFirst = {
  ...characterCounter,
  count: async (texts: readonly string[], encoding: string) => {
    if (texts[0] === "0") await new Promise((resolve) => setImmediate(resolve));
    return characterCounter.count(texts, encoding);
  },
};

async function textsOf(domain: { log(sessionId: string): Promise<readonly Event[]> }) {
  const log = await domain.log("demo");
  return log.slice(1).map(({ payload }) => payload.case === "message" && payload.value.text);
}

test("appends under way at once are decided in the order they came, also behind one that fails", async () => {
  await using domain = await openTestDomain({ tokens: slowFirst });
  const appends = ["0", "1", "", "3"].map((text, index) =>
    domain.append({
      ...demo,
      ...(index % 2 === 0 && { requestId: `r${index}` }),
      events: [text === "" ? {} : userText(text)],
    }),
  );
  const outcomes = await Promise.allSettled(appends);
  expect(outcomes.map(({ status }) => status)).toEqual([
    ...["fulfilled", "fulfilled", "rejected", "fulfilled"],
  ]);
  expect(await textsOf(domain)).toEqual(["0", "1", "3"]);
});

test("an append behind one that the decision refused is decided all the same", async () => {
  await using domain = await openTestDomain({ tokens: slowFirst });
  await domain.append({ ...demo, events: [userText("before")] });
  const refused = domain.append({ ...demo, expectedRevision: 99, events: [userText("0")] });
  const next = domain.append({ ...demo, events: [userText("next")] });
  await expect(refused).rejects.toThrow(RevisionConflictError);
  expect(await next).toMatchObject({ headRevision: 3 });
});

test("a repeat under way holds up nobody, and the append behind it is decided behind the first", async () => {
  await using domain = await openTestDomain({ tokens: slowFirst });
  const first = { ...demo, requestId: "r", events: [userText("0")] };
  const answers = await Promise.all([
    ...[first, first].map((request) => domain.append(request)),
    domain.append({ ...demo, events: [userText("next")] }),
  ]);
  expect(answers.map(({ headRevision }) => headRevision)).toEqual([2, 2, 3]);
});

test("a stream of appends is answered in order and stops at the first failure", async () => {
  await using domain = await openTestDomain({ tokens: slowFirst });
  const requests = ["0", "1", "2", "", "4"].map((text) =>
    create(AppendStreamRequestSchema, {
      append: create(AppendEventsRequestSchema, {
        ...demo,
        events: text === "" ? [{}] : [userText(text)],
      }),
    }),
  );
  async function* source(): AsyncGenerator<AppendStreamRequest> {
    yield* requests;
  }
  const heads: number[] = [];
  const run = async () => {
    for await (const { append } of appendStream(domain.events, source(), {
      shutdown: new AbortController().signal,
    })) {
      heads.push(append?.headRevision ?? 0);
    }
  };
  await expect(run()).rejects.toThrow(InvalidFieldError);
  expect(heads).toEqual([2, 3, 4]);
  expect(await textsOf(domain)).toEqual(["0", "1", "2"]);
});

test("a stream of appends stores nothing after a batch that the store refused", async () => {
  const memory = await MemoryStore.open();
  const refusing = new Proxy<Store>(memory, {
    get(target, name) {
      if (name === "commit") {
        return async (change: Change) => {
          const texts = change.events.map(({ payload }) =>
            payload.case === "message" ? payload.value.text : "",
          );
          if (texts.includes("refused")) throw new WritesRefusedError("the disk is nearly full");
          return memory.commit(change);
        };
      }
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  await using domain = await openTestDomain({ store: refusing });
  const appends = [
    { sessionId: "demo", text: "stored" },
    { sessionId: "demo", text: "refused" },
    { sessionId: "demo", text: "after" },
    { sessionId: "other", text: "after" },
  ].map(({ sessionId, text }) =>
    create(AppendStreamRequestSchema, {
      append: { sessionId, createIfMissing: true, events: [userText(text)] },
    }),
  );
  async function* source(): AsyncGenerator<AppendStreamRequest> {
    yield* appends;
  }
  const heads: number[] = [];
  const run = async () => {
    const { signal: shutdown } = new AbortController();
    for await (const { append } of appendStream(domain.events, source(), { shutdown })) {
      heads.push(append?.headRevision ?? 0);
    }
  };
  await expect(run()).rejects.toThrow(WritesRefusedError);
  expect(heads).toEqual([2]);
  expect((await domain.get("demo")).headRevision).toBe(2);
  await expect(domain.get("other")).rejects.toThrow(SessionNotFoundError);
});

test("a shutdown answers what a stream of appends has taken, then ends the stream", async () => {
  await using domain = await openTestDomain();
  const shutdown = new AbortController();
  const quiet = new Promise<never>(() => {});
  async function* source(): AsyncGenerator<AppendStreamRequest> {
    yield create(AppendStreamRequestSchema, { append: { ...demo, events: [userText("a")] } });
    await quiet;
  }
  const stream = appendStream(domain.events, source(), { shutdown: shutdown.signal });
  expect((await stream.next()).value?.append?.headRevision).toBe(2);
  const ended = stream.next();
  shutdown.abort();
  await expect(ended).rejects.toThrow(ShuttingDownError);
});
