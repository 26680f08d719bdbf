import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { SessionMetricsSchema, SessionSchema, SessionState } from "@sessiond/contract";
import { SessionHeadSchema } from "@sessiond/contract/store";
import { describe, expect, test } from "vitest";
import { compileFilter } from "../../../src/domain/filter/session-filter.ts";
import { sessionSubject } from "../../../src/domain/filter/session-view.ts";
import { FilterFailedError, InvalidFieldError } from "../../../src/errors.ts";

const createMs = Date.UTC(2030, 0, 1);

function at(
  session: MessageInitShape<typeof SessionSchema> = {},
  metrics: MessageInitShape<typeof SessionMetricsSchema> = {},
) {
  return {
    nowMs: createMs + 90_000,
    stored: {
      session: create(SessionSchema, {
        sessionId: "a",
        createTime: timestampFromMs(createMs),
        ...session,
      }),
      head: create(SessionHeadSchema, {
        revision: 9,
        lastActivityTime: timestampFromMs(createMs + 30_000),
        metrics: create(SessionMetricsSchema, metrics),
      }),
    },
  };
}

function refusal(filter: string): string {
  try {
    compileFilter(filter);
  } catch (error) {
    if (error instanceof InvalidFieldError) return error.message;
    throw error;
  }
  throw new Error("it compiled");
}

describe("a filter sees", () => {
  const session = at(
    {
      state: SessionState.TIMED_OUT,
      preset: "managed",
      agentId: "bot",
      userId: "ann",
      title: "Trip",
      goal: "g".repeat(20_000),
      model: "gpt-4o",
      fingerprint: "c0ffee",
      labels: { tier: "gold", constructor: "x" },
      metadata: { level: 3, tags: ["a", "b"] },
      end: { errorCode: "tool" },
    },
    {
      events: 9,
      messages: 3,
      turns: 2,
      steps: 4,
      toolCalls: 1,
      errors: 1,
      protectedEvents: 2,
      storedBytes: 900,
      tokens: { total: 100, input: 60, output: 40, reportedCost: 0.25 },
      requests: { count: 4, errors: 1, errorRate: 0.25 },
      compactions: { count: 1 },
    },
  );

  test.each([
    'session.session_id == "a" && session.state == "timed_out" && session.preset == "managed"',
    'session.agent_id == "bot" && session.user_id == "ann" && session.title == "Trip"',
    'session.model == "gpt-4o" && session.fingerprint == "c0ffee" && session.error_code == "tool"',
    "session.goal.size() == 16384",
    'session.labels.tier in ["gold", "silver"] && session.labels["constructor"] == "x"',
    'session.metadata.level > 2 && session.metadata.tags.exists(tag, tag == "b")',
    "session.age_ms == 90000 && session.idle_ms == 60000",
    `session.create_time_ms == ${createMs}`,
    "session.head_revision == 9 && session.events == 9 && session.messages == 3",
    "session.turns == 2 && session.steps == 4 && session.tool_calls == 1 && session.errors == 1",
    "session.protected_events == 2 && session.stored_bytes == 900 && session.compactions == 1",
    "session.tokens == 100 && session.input_tokens == 60 && session.output_tokens == 40",
    "session.requests == 4 && session.request_errors == 1 && session.error_rate == 0.25",
    "session.cost > 0.2 && session.cost < 1",
  ])("%s", (filter) => {
    expect(compileFilter(filter)(session)).toBe(true);
    expect(compileFilter(`!(${filter})`)(session)).toBe(false);
  });

  test("every field also of a session that has nothing", () => {
    for (const field of sessionSubject.fields) {
      const isThere = compileFilter(
        `has(session.${field}) && session.${field} == session.${field}`,
      );
      expect(isThere(at())).toBe(true);
    }
  });
});

test("a missing key counts as false", () => {
  for (const filter of [
    "session.labels.tier == 'gold'",
    "!session.metadata.keep",
    "session.metadata.a.b > 3 || session.metadata.list.exists(x, x == 1)",
  ]) {
    expect(compileFilter(filter)(at())).toBe(false);
  }
});

describe("a filter that does not compile is refused with its place", () => {
  test.each([
    [" ", "1:2: it ends too early"],
    ["session.events >", '1:16: ">" cannot stand here'],
    ["true &&\n  sesion.events > 1", '2:3: there is no "sesion"; a filter is about "session"'],
    ["session.evnts > 1", '1:8: a session has no "evnts"; it has session_id, state, '],
    ["session.events", "1:1: tried on an empty session, it gives a number, not true or false"],
    ["session.title > 3", "1:1: tried on an empty session, found no matching overload"],
    ['session.title.matches("a")', '1:14: filters have no function "matches"; use contains'],
    ["[1].map(x, x) == []", "1:4: filters have no map and filter"],
    ["[1].exists(session, true)", '1:4: "session" cannot be the name of an element'],
  ])("%j", (filter, message) => {
    expect(refusal(filter)).toContain(`filter: does not compile at ${message}`);
  });
});

describe("a filter that explodes is stopped", () => {
  test.each([
    ["64k characters", `"${"x".repeat(65_536)}" == ""`, "it has 65544 bytes, the limit is 2048"],
    [
      "brackets in one another",
      `${"(".repeat(200)}true${")".repeat(200)}`,
      "more than 32 brackets",
    ],
    ["operators without end", "!".repeat(2_000), "it has 2000 words and signs"],
    [
      "comprehensions in one another",
      "[1,2,3].all(a, [1,2,3].all(b, [1,2,3].all(c, true)))",
      "a comprehension stands inside another; filters have one level",
    ],
  ])("%s do not compile", (_, filter, message) => {
    expect(refusal(filter)).toContain(message);
  });

  test.each([
    [
      "maps compared in every round",
      "session.metadata.all(k, session.metadata == session.metadata)",
    ],
    [
      "texts put together",
      `[${"session.goal,".repeat(90)}].all(t, ${'t + t + t + t != "b" && '.repeat(20)}true)`,
    ],
  ])("%s take too many steps", (_, filter) => {
    const metadata = Object.fromEntries(
      Array.from({ length: 1_800 }, (_, index) => [`k${index}`, { n: index }]),
    );
    const passes = compileFilter(filter);
    const session = at({ metadata, goal: "g".repeat(20_000) });
    expect(() => passes(session)).toThrow(FilterFailedError);
    expect(() => passes(session)).toThrow("it takes more than 65536 steps");
  });

  test("metadata of more than 4,096 values is none that it gets to see", () => {
    const metadata = { list: Array.from({ length: 5_000 }, () => 1) };
    expect(() => compileFilter("session.metadata.a == 1")(at({ metadata }))).toThrow(
      'the filter cannot tell for session "a": metadata has more than 4096 values',
    );
    expect(compileFilter("session.events == 0")(at({ metadata }))).toBe(true);
  });

  test("what a session holds is not in the error", () => {
    const session = at({ metadata: { n: "secret" } });
    const filter = compileFilter("int(session.metadata.n) > 3");
    expect(() => filter(session)).toThrow("a function cannot take what the session holds");
    expect(() => filter(session)).not.toThrow("secret");
  });
});
