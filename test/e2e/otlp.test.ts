import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Sessiond } from "@sessiond/client";
import { EventService, SessionService } from "@sessiond/contract";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { named, treeOf } from "../sinks/otlp/spans.ts";
import { userText } from "../support/domain.ts";
import { type OtlpReceiver, startOtlpReceiver } from "../support/otlp-receiver.ts";
import { type ServerProcess, startServer } from "../support/server-process.ts";
import { clientOf, type ProtocolName } from "../transport/clients.ts";

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const agentSpan = "00f067aa0ba902b7";
const toolSpan = "b7ad6b7169203331";
const secret = "kanarienvogel";

let folder: string;
let receiver: OtlpReceiver;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sessiond-otlp-"));
  receiver = await startOtlpReceiver();
  onTestFinished(async () => {
    await receiver[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });
});

/** A server whose configuration has one `otlp` sink. */
async function start(more = ""): Promise<ServerProcess> {
  const file = join(folder, "sessiond.yaml");
  await writeFile(
    file,
    `sinks:\n  collector:\n    type: otlp\n    endpoint: ${receiver.url}\n${more}`,
  );
  const server = await startServer({ data: join(folder, "data"), args: ["--config", file] });
  onTestFinished(() => server[Symbol.asyncDispose]());
  return server;
}

const ended =
  (count = 1) =>
  () =>
    receiver.spans.filter(({ name }) => name.startsWith("invoke_agent")).length >= count;

test.each(["gRPC", "Connect with JSON"] as const satisfies ProtocolName[])(
  "a session is part of the trace of the agent that calls over %s",
  async (protocol) => {
    const { port } = await start();
    const sessions = clientOf(SessionService, protocol, port);
    const events = clientOf(EventService, protocol, port);
    const headers = { traceparent: `00-${traceId}-${agentSpan}-01`, tracestate: "rojo=1" };
    const sessionId = "user-42";
    await sessions.createSession({ session: { sessionId, agentId: "travel" } }, { headers });
    await events.appendEvents(
      {
        sessionId,
        events: [
          userText(secret),
          {
            payload: {
              case: "toolCall",
              value: { callId: "1", name: "flights", arguments: secret },
            },
          },
        ],
      },
      { headers: { ...headers, traceparent: `00-${traceId}-${toolSpan}-01` } },
    );
    await events.appendEvents({
      sessionId,
      events: [{ payload: { case: "toolResult", value: { callId: "1", content: secret } } }],
    });
    await sessions.endSession({ sessionId });
    await receiver.until(ended());

    expect(treeOf(receiver.spans, agentSpan)).toEqual({ "invoke_agent travel": {} });
    expect(treeOf(receiver.spans, toolSpan)).toEqual({ "execute_tool flights": {} });
    for (const span of receiver.spans) {
      expect(span).toMatchObject({ traceId, traceState: "rojo=1", parentIsRemote: true });
    }
    expect(receiver.logs.map(({ eventName }) => eventName)).toEqual([
      "sessiond.session_started",
      "sessiond.message",
      "sessiond.tool_call",
      "sessiond.tool_result",
      "sessiond.session_ended",
    ]);
    // Content stays here unless the configuration says otherwise.
    const written = JSON.stringify([receiver.spans, receiver.logs], (_key, value) =>
      typeof value === "bigint" ? String(value) : value,
    );
    expect(written).not.toContain(secret);
    expect(written).toContain("flights");
  },
);

test("content leaves where the configuration says so, without what it takes out", async () => {
  const server = await start("    content: true\n    redact: { patterns: ['card \\d+'] }\n");
  await using sessiond = new Sessiond(server.address);
  const session = await sessiond.sessions.create({ sessionId: "s" });
  await session.append([
    { role: "user", text: "pay with card 4711 please" },
    { toolCall: { callId: "1", name: "pay", arguments: { with: "card 4711" } } },
  ]);
  await receiver.until(() => receiver.logs.length >= 3);
  // Also what is looked up again for a span goes without it.
  await server.kill("SIGKILL");
  const again = await start("    content: true\n    redact: { patterns: ['card \\d+'] }\n");
  await using client = new Sessiond(again.address);
  const same = await client.sessions.get("s");
  await same.append({ toolResult: { callId: "1", content: "took card 4711" } });
  await receiver.until(() => receiver.spans.length >= 1);
  const { attributes } = named(receiver.spans, "execute_tool pay");
  expect(attributes["gen_ai.tool.call.arguments"]).toMatch(/^\{"with":".*"\}$/);
  expect(attributes["gen_ai.tool.call.result"]).toMatch(/^took /);
  expect(JSON.stringify(receiver.logs.map(({ body }) => body))).toContain("pay with");
  expect(JSON.stringify([attributes, ...receiver.logs.map(({ body }) => body)])).not.toContain(
    "4711",
  );
});

test("what a filter holds back is not told by the span that it belongs to", async () => {
  const server = await start("    content: true\n    filter: event.kind != 'private'\n");
  await using sessiond = new Sessiond(server.address);
  const session = await sessiond.sessions.create({ sessionId: "s" });
  const call = { callId: "1", name: "pay", arguments: { with: secret } };
  await session.append({ kind: "private", toolCall: call });
  await session.append({ toolResult: { callId: "1", content: "took it" } });
  await receiver.until(() => receiver.spans.length >= 1);
  const { attributes } = named(receiver.spans, "execute_tool pay");
  expect(attributes["gen_ai.tool.call.result"]).toBe("took it");
  expect(attributes["gen_ai.tool.call.arguments"]).toBeUndefined();
  expect(receiver.logs.map(({ eventName }) => eventName)).not.toContain("sessiond.tool_call");
});

test("a collector that is away gets everything when it is back, also over a kill", async () => {
  receiver.answer = () => ({ status: 503 });
  const server = await start();
  const sessionIds = Array.from({ length: 10 }, (_, index) => `s${index}`);
  await using sessiond = new Sessiond(server.address);
  await Promise.all(
    sessionIds.map(async (sessionId) => {
      const session = await sessiond.sessions.create({ sessionId, agentId: sessionId });
      for (let batch = 0; batch < 10; batch++) {
        const texts = Array.from({ length: 100 }, (_, n) => `${batch}-${n}`);
        await session.append(texts.map((text) => ({ role: "user", text }) as const));
      }
      await session.append({ toolCall: { callId: "1", name: "f" } });
    }),
  );
  await receiver.until(() => receiver.requests.length > 0);
  expect(receiver.logs.length).toBe(0);
  await server.kill("SIGKILL");
  receiver.answer = () => undefined;
  const again = await start();
  await using client = new Sessiond(again.address);
  for (const sessionId of sessionIds) {
    const session = await client.sessions.get(sessionId);
    await session.append({ toolResult: { callId: "1", content: "done" } });
    await session.end();
  }
  await receiver.until(ended(sessionIds.length));
  expect(treeOf(receiver.spans)).toEqual(
    Object.fromEntries(sessionIds.map((id) => [`invoke_agent ${id}`, { "execute_tool f": {} }])),
  );
  const revisions = new Map<unknown, Set<unknown>>();
  for (const { attributes } of receiver.logs) {
    const { "gen_ai.conversation.id": id, "sessiond.revision": revision } = attributes;
    revisions.set(id, (revisions.get(id) ?? new Set()).add(revision));
  }
  for (const id of sessionIds) expect(revisions.get(id)?.size).toBe(1_004);
});
