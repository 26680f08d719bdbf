import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  CompactionStrategy,
  DeleteSessionRequestSchema,
  ReopenSessionRequestSchema,
  Role,
  SessionState,
  StepStatus,
  StepType,
  UsageSchema,
} from "@sessiond/contract";
import { expect, test } from "vitest";
import { spanIdOf } from "../../../src/sinks/otlp/span-ids.ts";
import { compact, drop } from "../../domain/context/compaction/support.ts";
import { fork, rewind } from "../../domain/history/support.ts";
import { eventsOf, loadConversations } from "../../support/conversations.ts";
import { userText } from "../../support/domain.ts";
import { openHarness } from "./harness.ts";
import { at, end, named, seconds, startMs, toolCall, toolResult, treeOf } from "./spans.ts";

const sessionId = "s";
const hexOf = (uid: string) => uid.replaceAll("-", "");

test("a session is a trace: its calls, steps, model calls and compactions below it", async () => {
  const { domain, receiver, flush } = await openHarness();
  const { uid } = await domain.create({
    session: { sessionId, agentId: "travel", model: "gpt-5", goal: "Japan", contextPolicy: drop },
  });
  await at(domain, 1, sessionId, userText("Flights to Tokyo?".repeat(20)));
  await at(domain, 4, sessionId, {
    ...toolCall("HND", "flights"),
    author: "travel",
    duration: durationFromMs(2_000),
    usage: create(UsageSchema, {
      inputTokens: 50,
      outputTokens: 7,
      cachedInputTokens: 40,
      reasoningTokens: 3,
      model: "gpt-5-2026",
      cost: 0.5,
    }),
  });
  await at(domain, 6, sessionId, toolResult("HND", { isFinal: false }));
  await at(domain, 9, sessionId, toolResult("HND"));
  const thinking = { type: StepType.THINKING, name: "plan" };
  await at(domain, 10, sessionId, { payload: { case: "stepStarted", value: thinking } });
  await at(domain, 12, sessionId, {
    payload: { case: "stepCompleted", value: { ...thinking, status: StepStatus.SUCCEEDED } },
  });
  await at(domain, 13, sessionId, userText("and now?"));
  domain.now = startMs + 20_000;
  await compact(domain, { sessionId });
  domain.now = startMs + 30_000;
  await end(domain, { sessionId });
  await flush();

  const { spans } = receiver;
  expect(treeOf(spans)).toEqual({
    "invoke_agent travel": {
      "chat gpt-5": {},
      "execute_tool flights": {},
      "step thinking plan": {},
      compact: {},
    },
  });
  const common = {
    "gen_ai.conversation.id": "s",
    "gen_ai.agent.id": "travel",
    "gen_ai.agent.name": "travel",
    "sessiond.namespace": "default",
    "sessiond.session.uid": uid,
  };
  const root = named(spans, "invoke_agent travel");
  expect(new Set(spans.map(({ traceId }) => traceId))).toEqual(new Set([hexOf(uid)]));
  expect(root).toMatchObject({ kind: 1, traceState: "", parentIsRemote: false, links: [] });
  expect(root).toMatchObject({ status: { code: 0, message: "" }, scope: "sessiond 1.2.3" });
  expect(root.schemaUrl).toBe("https://opentelemetry.io/schemas/1.45.0");
  expect(root.resource).toEqual({ "service.name": "sessiond", "service.version": "1.2.3" });
  expect(seconds(root)).toEqual([0, 30]);
  expect(root.attributes).toEqual({
    ...common,
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.request.model": "gpt-5",
    "gen_ai.provider.name": "openai",
    "gen_ai.usage.input_tokens": 50,
    "gen_ai.usage.output_tokens": 7,
    "sessiond.session.state": "completed",
    "sessiond.first_revision": 1,
    "sessiond.last_revision": 10,
  });
  const tool = named(spans, "execute_tool flights");
  expect(seconds(tool)).toEqual([4, 9]);
  expect(tool.kind).toBe(1);
  expect(tool.attributes).toMatchObject({
    ...common,
    "gen_ai.operation.name": "execute_tool",
    "gen_ai.tool.name": "flights",
    "gen_ai.tool.type": "function",
    "gen_ai.tool.call.id": "HND",
    "gen_ai.tool.call.arguments": '{"for":"HND"}',
    "gen_ai.tool.call.result": "result HND",
  });
  const chat = named(spans, "chat gpt-5");
  expect(seconds(chat)).toEqual([2, 4]);
  expect(chat.kind).toBe(3);
  expect(chat.attributes).toMatchObject({
    ...common,
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5",
    "gen_ai.response.model": "gpt-5-2026",
    "gen_ai.usage.input_tokens": 50,
    "gen_ai.usage.output_tokens": 7,
    "gen_ai.usage.cache_read.input_tokens": 40,
    "gen_ai.usage.reasoning.output_tokens": 3,
    "sessiond.cost": 0.5,
    "sessiond.revision": 3,
  });
  const step = named(spans, "step thinking plan");
  expect(seconds(step)).toEqual([10, 12]);
  expect(step.attributes).toMatchObject({
    "sessiond.step.type": "thinking",
    "sessiond.step.name": "plan",
    "sessiond.step.status": "succeeded",
  });
  const compaction = named(spans, "compact");
  expect(seconds(compaction)).toEqual([20, 20]);
  expect(compaction.attributes).toMatchObject({ "sessiond.compaction.strategy": "drop" });
  const { "sessiond.compaction.tokens_before": before, "sessiond.compaction.tokens_after": after } =
    compaction.attributes;
  expect(before).toBeGreaterThan(Number(after));
});

test("a tool call that a step is about is one span, from the step's start", async () => {
  const { domain, receiver, flush } = await openHarness();
  await domain.create({ session: { sessionId } });
  const search = { type: StepType.TOOL_CALL, name: "search" };
  const started = { payload: { case: "stepStarted", value: search } } as const;
  await at(domain, 1, sessionId, started);
  await at(domain, 2, sessionId, toolCall("1", "search"));
  await at(domain, 5, sessionId, toolResult("1"), {
    payload: { case: "stepCompleted", value: { ...search, status: StepStatus.SUCCEEDED } },
  });
  // Without a call of its own the step is what is known of the tool.
  await at(domain, 6, sessionId, started);
  await at(domain, 8, sessionId, {
    payload: { case: "stepCompleted", value: { ...search, status: StepStatus.FAILED } },
  });
  await flush();
  const tools = receiver.spans.map((span) => [span.name, seconds(span), span.status.code]);
  expect(tools).toEqual([
    ["execute_tool search", [1, 5], 0],
    ["execute_tool search", [6, 8], 2],
  ]);
  for (const { attributes } of receiver.spans) {
    expect(attributes).toMatchObject({
      "gen_ai.operation.name": "execute_tool",
      "gen_ai.tool.name": "search",
    });
  }
});

test("a tool that took a time of its own began that long before its result", async () => {
  const { domain, receiver, flush } = await openHarness();
  await domain.create({ session: { sessionId } });
  // Recorded together, when it was over.
  await at(domain, 9, sessionId, toolCall("1", "f"), {
    ...toolResult("1"),
    duration: durationFromMs(1_500),
  });
  await flush();
  expect(seconds(named(receiver.spans, "execute_tool f"))).toEqual([7.5, 9]);
});

test("what failed is an error: tools, steps, sessions", async () => {
  const { domain, receiver, flush } = await openHarness();
  await domain.create({ session: { sessionId: "failed", agentId: "a" } });
  await at(domain, 1, "failed", toolCall("1", "f"), toolResult("1", { isError: true }));
  await end(domain, {
    sessionId: "failed",
    state: SessionState.FAILED,
    end: { errorCode: "rate_limited", errorMessage: "too many" },
  });
  domain.now = startMs;
  await domain.create({
    session: { sessionId: "late", agentId: "b", limits: { timeout: durationFromMs(5_000) } },
  });
  domain.now = startMs + 60_000;
  await domain.sweeper.sweep();
  for (const [id, state] of [
    ["c", SessionState.CANCELLED],
    ["d", SessionState.EXPIRED],
  ] as const) {
    await domain.create({ session: { sessionId: id, agentId: id } });
    await end(domain, { sessionId: id, state });
  }
  await flush();
  const { spans } = receiver;
  const tool = named(spans, "execute_tool f");
  expect(tool.status).toEqual({ code: 2, message: "" });
  expect(tool.attributes["error.type"]).toBe("_OTHER");
  const failed = named(spans, "invoke_agent a");
  expect(failed.status).toEqual({ code: 2, message: "too many" });
  expect(failed.attributes["error.type"]).toBe("rate_limited");
  const late = named(spans, "invoke_agent b");
  expect(late.status.code).toBe(2);
  expect(seconds(late)).toEqual([0, 5]);
  expect(late.attributes).toMatchObject({
    "error.type": "timed_out",
    "sessiond.session.state": "timed_out",
  });
  for (const name of ["invoke_agent c", "invoke_agent d"]) {
    expect(named(spans, name).status.code).toBe(0);
    expect(named(spans, name).attributes["error.type"]).toBeUndefined();
  }
});

test("batches that come again make the same spans, also in a sink that knows nothing", async () => {
  const { domain, receiver, news, deliver, restart } = await openHarness();
  await domain.create({ session: { sessionId, agentId: "a", model: "gpt-5" } });
  await at(domain, 1, sessionId, toolCall("1", "f"), toolCall("2", "g"));
  await at(domain, 2, sessionId, toolResult("2"), toolResult("1"));
  await at(domain, 3, sessionId, {
    ...userText("a"),
    role: Role.ASSISTANT,
    usage: create(UsageSchema, { inputTokens: 1 }),
  });
  await end(domain, { sessionId });
  const messages = await news();
  await deliver(messages);
  const first = receiver.spans.splice(0);
  expect(first.length).toBe(4);
  expect(new Set(first.map(({ spanId }) => spanId)).size).toBe(4);
  await deliver(messages);
  expect(receiver.spans.splice(0)).toEqual(first);
  await restart();
  await deliver(messages);
  expect(receiver.spans.splice(0)).toEqual(first);
  // Each event alone, and nothing remembered in between.
  for (const message of messages) {
    await deliver([message]);
    await restart();
  }
  expect(receiver.spans).toEqual(first);
});

test("a restart between beginning and end loses neither calls nor steps nor the session", async () => {
  const { domain, receiver, flush, restart } = await openHarness();
  const { uid } = await domain.create({ session: { sessionId, agentId: "a" } });
  await at(domain, 1, sessionId, toolCall("1", "f"));
  const step = { type: StepType.OUTPUT, name: "report" };
  await at(domain, 2, sessionId, { payload: { case: "stepStarted", value: step } });
  await flush();
  await restart();
  await at(domain, 5, sessionId, toolResult("1"));
  await flush();
  await restart();
  await at(domain, 6, sessionId, { payload: { case: "stepCompleted", value: step } });
  await restart();
  domain.now = startMs + 8_000;
  await end(domain, { sessionId });
  await flush();
  expect(treeOf(receiver.spans)).toEqual({
    "invoke_agent a": { "execute_tool f": {}, "step output report": {} },
  });
  expect(receiver.spans.map(({ name, ...span }) => [name, seconds(span as never)])).toEqual([
    ["execute_tool f", [1, 5]],
    ["step output report", [2, 6]],
    ["invoke_agent a", [0, 8]],
  ]);
  expect(named(receiver.spans, "invoke_agent a").spanId).toBe(spanIdOf(uid, 1));
  for (const { attributes } of receiver.spans) {
    expect(attributes["sessiond.span.start_unknown"]).toBeUndefined();
  }
});

test("a call that began further back than is read at once is looked up by itself", async () => {
  const { domain, receiver, flush, restart } = await openHarness();
  await domain.create({ session: { sessionId } });
  await at(domain, 1, sessionId, toolCall("1", "f"));
  const step = { type: StepType.OUTPUT, name: "report" };
  await at(domain, 2, sessionId, { payload: { case: "stepStarted", value: step } });
  await at(domain, 3, sessionId, ...Array.from({ length: 300 }, (_, n) => userText(`${n}`)));
  await flush();
  await restart();
  await at(domain, 4, sessionId, toolResult("1"), {
    payload: { case: "stepCompleted", value: step },
    duration: durationFromMs(500),
  });
  await flush();
  expect(seconds(named(receiver.spans, "execute_tool f"))).toEqual([1, 4]);
  // Nothing says where a step began: it has its own duration, and says so.
  const report = named(receiver.spans, "step output report");
  expect(seconds(report)).toEqual([3.5, 4]);
  expect(report.attributes["sessiond.span.start_unknown"]).toBe(true);
});

test("sessions that are more than are remembered make the same spans", async () => {
  const { domain, receiver, flush } = await openHarness({ memoryBytes: 3_000 });
  const ids = ["a", "b", "c", "d", "e"];
  for (const id of ids) await domain.create({ session: { sessionId: id, agentId: id } });
  for (const id of ids) await at(domain, 1, id, toolCall(id, `f${id}`));
  for (const id of ids) await at(domain, 2, id, toolResult(id));
  for (const id of ids) await end(domain, { sessionId: id });
  await flush(1);
  expect(treeOf(receiver.spans)).toEqual(
    Object.fromEntries(ids.map((id) => [`invoke_agent ${id}`, { [`execute_tool f${id}`]: {} }])),
  );
  expect(receiver.spans.length).toBe(10);
});

test("a session that is reopened goes on below its first span", async () => {
  const { domain, receiver, flush, restart } = await openHarness();
  await domain.create({ session: { sessionId, agentId: "a" } });
  await at(domain, 1, sessionId, toolCall("1", "f"), toolResult("1"));
  domain.now = startMs + 2_000;
  await end(domain, { sessionId });
  await flush();
  domain.now = startMs + 10_000;
  await domain.lifecycle.reopen(create(ReopenSessionRequestSchema, { sessionId }));
  await at(domain, 11, sessionId, toolCall("2", "g"));
  await flush();
  await restart();
  await at(domain, 12, sessionId, toolResult("2"));
  domain.now = startMs + 13_000;
  await end(domain, { sessionId });
  await flush();
  expect(treeOf(receiver.spans)).toEqual({
    "invoke_agent a": { "execute_tool f": {}, "invoke_agent a": { "execute_tool g": {} } },
  });
  const runs = receiver.spans.filter(({ name }) => name === "invoke_agent a").map(seconds);
  expect(runs).toEqual([
    [0, 2],
    [10, 13],
  ]);
});

test("what nobody says to be over ends with its session, and says so", async () => {
  const { domain, receiver, flush } = await openHarness();
  await domain.create({ session: { sessionId, agentId: "a" } });
  const step = { type: StepType.OUTPUT, name: "report" };
  await at(domain, 1, sessionId, toolCall("1", "f"));
  await at(domain, 2, sessionId, { payload: { case: "stepStarted", value: step } });
  domain.now = startMs + 5_000;
  await end(domain, { sessionId });
  await flush();
  expect(treeOf(receiver.spans)).toEqual({
    "invoke_agent a": { "execute_tool f": {}, "step output report": {} },
  });
  const tool = named(receiver.spans, "execute_tool f");
  expect(seconds(tool)).toEqual([1, 5]);
  expect(tool.attributes).toMatchObject({
    "sessiond.span.unfinished": true,
    "gen_ai.tool.call.id": "1",
  });
});

test("a session that is deleted while it runs is over, one that had ended is not told twice", async () => {
  const { domain, receiver, flush } = await openHarness();
  for (const id of ["runs", "ended"]) {
    await domain.create({ session: { sessionId: id, agentId: id } });
  }
  await end(domain, { sessionId: "ended" });
  await flush();
  for (const id of ["runs", "ended"]) {
    await domain.sessions.delete(create(DeleteSessionRequestSchema, { sessionId: id }));
  }
  await flush();
  expect(receiver.spans.map(({ name }) => name)).toEqual([
    "invoke_agent ended",
    "invoke_agent runs",
  ]);
  const deleted = named(receiver.spans, "invoke_agent runs");
  expect(deleted.attributes["sessiond.session.state"]).toBe("deleted");
});

test("of a session that is gone the spans say that their beginning is not known", async () => {
  const { domain, receiver, news, deliver } = await openHarness();
  await domain.create({ session: { sessionId, agentId: "a" } });
  await at(domain, 1, sessionId, toolCall("1", "f"));
  await news();
  await at(domain, 2, sessionId, toolResult("1"));
  domain.now = startMs + 3_000;
  await end(domain, { sessionId });
  const rest = await news();
  await domain.sessions.delete(create(DeleteSessionRequestSchema, { sessionId }));
  while (await domain.store.maintain({ nowMs: domain.now, limit: 100 })) {
    // Frees its log, a piece each time.
  }
  await deliver(rest);
  expect(treeOf(receiver.spans)).toEqual({ invoke_agent: { execute_tool: {} } });
  expect(seconds(named(receiver.spans, "execute_tool"))).toEqual([2, 2]);
  expect(seconds(named(receiver.spans, "invoke_agent"))).toEqual([2, 3]);
  for (const { attributes } of receiver.spans) {
    expect(attributes["sessiond.span.start_unknown"]).toBe(true);
  }
});

test("a fork is a trace of its own that links to the one it comes from, as a child does", async () => {
  const { domain, receiver, flush } = await openHarness();
  const parent = await domain.create({ session: { sessionId, agentId: "a" } });
  await at(domain, 1, sessionId, toolCall("1", "f"));
  const first = await fork(domain, { sessionId, newSessionId: "fork" });
  await at(domain, 2, "fork", toolResult("1"));
  const second = await fork(domain, { sessionId: "fork", newSessionId: "fork of fork" });
  await domain.create({
    session: { sessionId: "child", agentId: "c" },
    parentSessionId: sessionId,
  });
  for (const id of ["child", "fork of fork", "fork", sessionId]) {
    await end(domain, { sessionId: id });
  }
  await flush();
  const rootOf = (id: string) => {
    const own = receiver.spans.filter(
      ({ attributes }) => attributes["gen_ai.conversation.id"] === id,
    );
    return named(own, id === "child" ? "invoke_agent c" : "invoke_agent a");
  };
  expect(rootOf(sessionId).links).toEqual([]);
  const linkTo = (id: string, kind: string, revision?: number) => [
    {
      traceId: rootOf(id).traceId,
      spanId: rootOf(id).spanId,
      traceState: "",
      attributes: {
        "sessiond.parent.session_id": id,
        "sessiond.parent.kind": kind,
        ...(revision && { "sessiond.parent.revision": revision }),
      },
    },
  ];
  expect(rootOf("fork")).toMatchObject({
    traceId: hexOf(first.uid),
    links: linkTo(sessionId, "fork", 2),
  });
  expect(rootOf("fork of fork")).toMatchObject({
    traceId: hexOf(second.uid),
    links: linkTo("fork", "fork", 4),
  });
  expect(rootOf("child").links).toEqual(linkTo(sessionId, "child"));
  // The call was open in the parent: its result in the fork is a span of the fork.
  const tool = receiver.spans.find(
    ({ name, traceId }) => name.startsWith("execute_tool") && traceId === hexOf(first.uid),
  );
  expect(tool?.parentSpanId).toBe(rootOf("fork").spanId);
  expect(tool && [tool.name, seconds(tool)]).toEqual(["execute_tool f", [1, 2]]);
  expect(rootOf(sessionId).traceId).toBe(hexOf(parent.uid));
});

test("a rewind hides events and no spans, and an id that is used again is another call", async () => {
  const { domain, receiver, flush } = await openHarness();
  await domain.create({ session: { sessionId, agentId: "a" } });
  await at(domain, 1, sessionId, userText("hi"));
  await at(domain, 2, sessionId, toolCall("1", "f"));
  domain.now = startMs + 3_000;
  await rewind(domain, { sessionId, to: { case: "revision", value: 2 } });
  await at(domain, 4, sessionId, toolCall("1", "f"));
  await at(domain, 6, sessionId, toolResult("1"));
  domain.now = startMs + 7_000;
  await end(domain, { sessionId });
  await flush();
  const calls = receiver.spans.filter(({ name }) => name === "execute_tool f");
  expect(calls.map((span) => [seconds(span), span.attributes["sessiond.span.unfinished"]])).toEqual(
    [
      [[4, 6], undefined],
      [[2, 7], true],
    ],
  );
});

test("a compaction whose summary the agent writes lasts from when it was asked for", async () => {
  const { domain, receiver, flush } = await openHarness();
  const strategy = CompactionStrategy.CLIENT;
  await domain.create({ session: { sessionId, contextPolicy: { compaction: { manual: true } } } });
  for (let turn = 0; turn < 6; turn++) {
    await at(domain, 1, sessionId, userText(`${turn} `.padEnd(2_000, "and so on ")));
  }
  domain.now = startMs + 3_000;
  const { revision: dueRevision } = await compact(domain, { sessionId, strategy });
  domain.now = startMs + 8_000;
  await domain.compactions.submit({
    $typeName: "sessiond.v1.SubmitSummaryRequest",
    namespace: "",
    sessionId,
    dueRevision,
    summary: "They said a lot.",
    requestId: "",
  });
  await flush();
  const span = named(receiver.spans, "compact");
  expect(seconds(span)).toEqual([3, 8]);
  expect(span.attributes["sessiond.compaction.strategy"]).toBe("client");
});

test("what a tool was called with is told however long it is", async () => {
  const { domain, receiver, flush } = await openHarness();
  await domain.create({ session: { sessionId } });
  const long = { callId: "1", name: "f", arguments: `{"text":"${"x".repeat(10_000)}"}` };
  await at(domain, 1, sessionId, { payload: { case: "toolCall", value: long } });
  await at(domain, 2, sessionId, toolResult("1"));
  await flush(1);
  const tool = named(receiver.spans, "execute_tool f");
  expect(seconds(tool)).toEqual([1, 2]);
  expect(tool.attributes["gen_ai.tool.call.arguments"]).toBe(long.arguments);
});

test("recorded runs are trees with a span for each call", async () => {
  const { domain, receiver, flush } = await openHarness();
  const { conversations } = loadConversations();
  const runs = conversations.slice(0, 5);
  for (const run of runs) {
    await domain.create({ session: { sessionId: run.sessionId, agentId: "airline" } });
    for (const message of run.messages) {
      domain.now += 1_000;
      await domain.append({ sessionId: run.sessionId, events: eventsOf(message) });
    }
    await end(domain, { sessionId: run.sessionId });
  }
  await flush(100);
  for (const run of runs) {
    const { uid } = await domain.get(run.sessionId);
    const spans = receiver.spans.filter(({ traceId }) => traceId === hexOf(uid));
    const [root, ...others] = spans.filter(({ parentSpanId }) => parentSpanId === "");
    expect([root?.name, others]).toEqual(["invoke_agent airline", []]);
    const called = run.messages.flatMap(({ tool_calls: calls = [] }) => calls);
    const below = spans.filter(({ parentSpanId }) => parentSpanId === root?.spanId);
    // The longest compact themselves.
    const tools = below.filter(({ name }) => name !== "compact");
    expect(tools.map(({ name }) => name)).toEqual(
      called.map((call) => `execute_tool ${call.function.name}`),
    );
    const answers = run.messages.filter(({ role }) => role === "tool");
    expect(tools.map(({ attributes }) => attributes["gen_ai.tool.call.result"] ?? "")).toEqual(
      answers.map(({ content }) => content),
    );
    for (const { start, end: over } of tools) {
      expect(over - start).toBeGreaterThanOrEqual(1_000_000_000n);
    }
  }
});
