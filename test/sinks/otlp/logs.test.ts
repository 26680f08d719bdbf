import { create, fromJson } from "@bufbuild/protobuf";
import { durationFromMs, ValueSchema } from "@bufbuild/protobuf/wkt";
import { DeleteSessionRequestSchema, Role, SessionState, UsageSchema } from "@sessiond/contract";
import { expect, test } from "vitest";
import { spanIdOf } from "../../../src/sinks/otlp/span-ids.ts";
import { userText } from "../../support/domain.ts";
import { openHarness } from "./harness.ts";
import { at, end, startMs, toolCall, toolResult } from "./spans.ts";

const sessionId = "s";
const value = (json: object) => fromJson(ValueSchema, json as never);

test("each event is a log record of its span, with what it says as its body", async () => {
  const { domain, receiver, flush } = await openHarness();
  const { uid } = await domain.create({
    session: { sessionId, agentId: "travel", model: "claude-opus", goal: "Japan" },
  });
  await at(domain, 1, sessionId, {
    ...userText("Hi"),
    eventId: "e-1",
    author: "mia",
    kind: "goal",
  });
  await at(domain, 2, sessionId, toolCall("1", "f"), toolResult("1", { isError: true }));
  await at(domain, 3, sessionId, {
    role: Role.ASSISTANT,
    author: "helper",
    duration: durationFromMs(1_500),
    usage: create(UsageSchema, { inputTokens: 9, outputTokens: 2, model: "claude-opus-5" }),
    payload: {
      case: "message",
      value: {
        text: "Look:",
        parts: [{ content: { case: "image", value: { uri: "file:///a.png" } } }],
      },
    },
  });
  await at(
    domain,
    4,
    sessionId,
    { payload: { case: "error", value: { code: "boom", message: "It broke", retryable: true } } },
    {
      payload: {
        case: "custom",
        value: { type: "note", value: value({ a: [1, null, true, -5, 0.5, 2 ** 53, 1e300] }) },
      },
    },
    { payload: { case: "output", value: { value: value({ done: true }) } } },
    { payload: { case: "handoff", value: { from: "travel", to: "billing", reason: "money" } } },
  );
  await end(domain, {
    sessionId,
    state: SessionState.FAILED,
    end: { errorCode: "gave_up", errorMessage: "No way" },
  });
  await flush();

  const told = receiver.logs.map(({ eventName, severity, severityNumber, body }) => [
    eventName,
    `${severity} ${severityNumber}`,
    body,
  ]);
  expect(told).toEqual([
    ["sessiond.session_started", "INFO 9", "Japan"],
    ["sessiond.message", "INFO 9", "Hi"],
    ["sessiond.tool_call", "INFO 9", '{"for":"1"}'],
    ["sessiond.tool_result", "INFO 9", "result 1"],
    ["sessiond.message", "INFO 9", { text: "Look:", parts: [{ image: { uri: "file:///a.png" } }] }],
    ["sessiond.error", "ERROR 17", "It broke"],
    ["sessiond.custom", "INFO 9", { a: [1, null, true, -5, 0.5, 2 ** 53, 1e300] }],
    ["sessiond.output", "INFO 9", { done: true }],
    ["sessiond.handoff", "INFO 9", "money"],
    ["sessiond.session_ended", "ERROR 17", "No way"],
  ]);
  const [started, message, call, result, answer, error, , , handoff, ended] = receiver.logs;
  const common = {
    "gen_ai.conversation.id": "s",
    "gen_ai.agent.id": "travel",
    "sessiond.namespace": "default",
    "sessiond.session.uid": uid,
  };
  for (const { attributes, traceId, resource } of receiver.logs) {
    expect(attributes).toMatchObject(common);
    expect(traceId).toBe(uid.replaceAll("-", ""));
    expect(resource).toMatchObject({ "service.name": "sessiond" });
  }
  const at1 = BigInt(startMs + 1_000) * 1_000_000n;
  expect(message?.time).toBe(at1);
  expect(message?.observed).toBeGreaterThan(0n);
  expect(message?.attributes).toEqual({
    ...common,
    "gen_ai.agent.name": "travel",
    "sessiond.revision": 2,
    "sessiond.turn": 0,
    "sessiond.kind": "goal",
    "sessiond.event_id": "e-1",
    "sessiond.author": "mia",
    "sessiond.role": "user",
    "sessiond.tokens": 3,
  });
  expect(answer?.attributes).toMatchObject({
    "gen_ai.agent.name": "helper",
    "gen_ai.response.model": "claude-opus-5",
    "gen_ai.usage.input_tokens": 9,
    "gen_ai.usage.output_tokens": 2,
    "sessiond.duration_ms": 1_500,
  });
  expect(error?.attributes).toMatchObject({
    "error.type": "boom",
    "sessiond.error.retryable": true,
  });
  expect(result?.attributes).toMatchObject({
    "gen_ai.tool.call.id": "1",
    "sessiond.tool.is_error": true,
    "sessiond.tool.is_final": true,
  });
  expect(handoff?.attributes).toMatchObject({
    "sessiond.handoff.from": "travel",
    "sessiond.handoff.to": "billing",
  });
  expect(ended?.attributes).toMatchObject({ "sessiond.session.state": "failed" });
  // In which span it happened.
  const root = spanIdOf(uid, 1);
  const tool = spanIdOf(uid, 3);
  expect([started, message, call, result, answer, ended].map((log) => log?.spanId)).toEqual([
    root,
    root,
    tool,
    tool,
    spanIdOf(uid, 5, "chat"),
    root,
  ]);
  const spanIds = new Set(receiver.spans.map(({ spanId }) => spanId));
  for (const { spanId } of receiver.logs) expect(spanIds).toContain(spanId);
});

test("what became of a log is told, too", async () => {
  const { domain, receiver, flush, deliver } = await openHarness();
  const { uid } = await domain.create({ session: { sessionId } });
  await domain.sessions.delete(create(DeleteSessionRequestSchema, { sessionId }));
  await flush();
  const where = { sessionId: "t", sessionUid: uid, firstRevision: 2, lastRevision: 5 };
  await deliver([
    { kind: "events_damaged", ...where },
    { kind: "gap", description: "3 sessions were deleted unseen" },
  ]);
  expect(
    receiver.logs.map(({ eventName, severity, body, attributes }) => [
      eventName,
      severity,
      body,
      attributes["sessiond.namespace"],
      attributes["sessiond.last_revision"],
    ]),
  ).toEqual([
    ["sessiond.session_deleted", "INFO", undefined, "default", 1],
    ["sessiond.events_damaged", "WARN", undefined, "default", 5],
    ["sessiond.gap", "WARN", "3 sessions were deleted unseen", "default", undefined],
  ]);
});
