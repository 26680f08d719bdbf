import { create } from "@bufbuild/protobuf";
import { TraceContextSchema } from "@sessiond/contract";
import { expect, test } from "vitest";
import { fork } from "../../domain/history/support.ts";
import { userText } from "../../support/domain.ts";
import { openHarness } from "./harness.ts";
import { at, end, named, toolCall, toolResult, treeOf } from "./spans.ts";

const sessionId = "s";
const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const agentSpan = "00f067aa0ba902b7";
const innerSpan = "b7ad6b7169203331";
const otherTrace = "0af7651916cd43dd8448eb211c80319c";

function contextOf(trace: string, span: string, { flags = "01", tracestate = "" } = {}) {
  return create(TraceContextSchema, { traceparent: `00-${trace}-${span}-${flags}`, tracestate });
}

test("a session is part of the trace of the work that started it", async () => {
  const { domain, receiver, flush } = await openHarness();
  const trace = contextOf(traceId, agentSpan, { tracestate: "rojo=1" });
  await domain.append({
    sessionId,
    createIfMissing: true,
    events: [{ ...userText("hi"), trace }],
  });
  await at(domain, 1, sessionId, { ...toolCall("1", "f"), trace }, toolResult("1"));
  await at(
    domain,
    2,
    sessionId,
    { ...toolCall("2", "g"), trace: contextOf(traceId, innerSpan, { tracestate: "congo=2" }) },
    toolResult("2"),
  );
  await at(
    domain,
    3,
    sessionId,
    { ...toolCall("3", "h"), trace: contextOf(otherTrace, innerSpan) },
    toolResult("3"),
  );
  await end(domain, { sessionId });
  await flush();

  const { spans, logs } = receiver;
  // Below the agent's span the session; below the session what says nothing else.
  expect(treeOf(spans, agentSpan)).toEqual({
    invoke_agent: { "execute_tool f": {}, "execute_tool h": {} },
  });
  expect(treeOf(spans, innerSpan)).toEqual({ "execute_tool g": {} });
  expect(new Set(spans.map((span) => span.traceId))).toEqual(new Set([traceId]));
  expect(new Set(logs.map((log) => log.traceId))).toEqual(new Set([traceId]));
  const states = spans.map(({ name, traceState, parentIsRemote }) => [
    name,
    traceState,
    parentIsRemote,
  ]);
  expect(states).toEqual([
    ["execute_tool f", "rojo=1", false],
    ["execute_tool g", "congo=2", true],
    ["execute_tool h", "rojo=1", false],
    ["invoke_agent", "rojo=1", true],
  ]);
  expect(named(spans, "execute_tool h").links).toEqual([
    { traceId: otherTrace, spanId: innerSpan, traceState: "", attributes: {} },
  ]);
  expect(named(spans, "execute_tool g").links).toEqual([]);
});

test("a fork and a restart find the trace that a session is part of", async () => {
  const { domain, receiver, flush, restart } = await openHarness();
  const trace = contextOf(traceId, agentSpan, { tracestate: "rojo=1" });
  await domain.append({
    sessionId,
    createIfMissing: true,
    events: [{ ...userText("hi"), trace }],
  });
  await flush();
  await restart();
  await fork(domain, { sessionId, newSessionId: "fork" });
  await end(domain, { sessionId: "fork" });
  await end(domain, { sessionId });
  await flush();
  const [forked, parent] = receiver.spans;
  expect(parent).toMatchObject({ traceId, parentSpanId: agentSpan, traceState: "rojo=1" });
  expect(forked).toMatchObject({
    parentSpanId: "",
    links: [{ traceId, spanId: parent?.spanId, traceState: "rojo=1" }],
  });
});

test("a trace that nobody records has no spans of ours", async () => {
  const { domain, receiver, flush } = await openHarness();
  const trace = contextOf(traceId, agentSpan, { flags: "00", tracestate: "rojo=1" });
  await domain.append({
    sessionId,
    createIfMissing: true,
    events: [{ ...userText("hi"), trace }],
  });
  const broken = create(TraceContextSchema, { traceparent: "what", tracestate: "rojo=1" });
  await at(domain, 1, sessionId, { ...toolCall("1", "f"), trace: broken }, toolResult("1"));
  await end(domain, { sessionId });
  await flush();
  const { uid } = await domain.get(sessionId);
  expect(treeOf(receiver.spans)).toEqual({ invoke_agent: { "execute_tool f": {} } });
  for (const span of receiver.spans) {
    expect(span).toMatchObject({ traceId: uid.replaceAll("-", ""), traceState: "", links: [] });
  }
});
