import type { ServerResponse } from "node:http";
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type JsonObject,
  type JsonValue,
  type Message,
  type MessageShape,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { StructSchema, ValueSchema } from "@bufbuild/protobuf/wkt";
import type { ConnectError } from "@connectrpc/connect";
import {
  CleanupAction,
  CompactionStrategy,
  ContextService,
  EventSchema,
  EventService,
  MetricsService,
  ServerService,
  SessionService,
} from "@sessiond/contract";
import fc from "fast-check";
import { expect, test } from "vitest";
import { readOtlp } from "../../src/config-otlp.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { json, startChatServer } from "../domain/context/summarisers/chat-server.ts";
import { openReceiver, type Posted } from "../sinks/support/receiver.ts";
import { type Answer, openTestApp, type TestApp, Verbatim } from "../support/app.ts";
import { messageOf, ruleHints } from "../support/arbitraries.ts";
import { userText } from "../support/domain.ts";

// Canary: secret strings in content appear in no log, metric or error.

const canary = "kanarienvogel";

/** Texts that are no content: names, ids and words, expressions, and what a server hands out. */
const names: ReadonlySet<string> = new Set([
  "namespace",
  "session_id",
  "new_session_id",
  "parent_session_id",
  "request_id",
  "agent_id",
  "user_id",
  "call_id",
  "event_id",
  "approval_id",
  "author",
  "authors",
  "agent",
  "kind",
  "name",
  "model",
  "preset",
  "etag",
  "page_token",
  "cursor",
  "filter",
  "expression",
  "encoding",
  "path",
  "format",
  "media_type",
  "traceparent",
  "tracestate",
]);

const methods: readonly DescMethodUnary[] = [
  SessionService,
  EventService,
  ContextService,
  MetricsService,
  ServerService,
]
  .flatMap((service): readonly unknown[] => service.methods)
  .filter((method): method is DescMethodUnary => {
    return (method as DescMethodUnary).methodKind === "unary";
  });

/** Writes the canary into every text of a message that is content, and into structures as keys, too. */
function seeded<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>) {
  seed(reflect(schema, message));
  return message;
}

function seed(message: ReflectMessage): void {
  if (message.desc.typeName === StructSchema.typeName) {
    const struct = message.message as MessageShape<typeof StructSchema>;
    struct.fields[canary] = create(ValueSchema, { kind: { case: "stringValue", value: canary } });
    return;
  }
  for (const field of message.fields) {
    if (!message.isSet(field)) continue;
    if (field.fieldKind === "message") seed(message.get(field));
    if (field.fieldKind === "list" && field.listKind === "message") {
      for (const item of message.get(field)) seed(item as ReflectMessage);
    }
    if (names.has(field.name)) continue;
    const value: unknown = message.get(field);
    if (field.fieldKind === "scalar" && typeof value === "string") {
      message.set(field, `${canary} ${value.toWellFormed()}`);
    }
  }
}

/** Puts the canary in place of something in a JSON request, which then often does not fit the contract. */
function misplaced(json: JsonValue, at: number): JsonValue {
  // Not a text in place of a text: that would be a name, if one belongs there.
  if (typeof json === "string") return [{ unknown: canary }];
  if (typeof json !== "object" || json === null) return canary;
  const entries = Object.entries(json);
  const [key, value] = entries[at % Math.max(1, entries.length)] ?? [];
  if (key === undefined || value === undefined) return { unknown: canary };
  const rest = Math.floor(at / entries.length);
  const inside = rest % 4 === 0 ? { nested: canary } : misplaced(value, rest);
  if (Array.isArray(json))
    return json.map((item, index) => (index === Number(key) ? inside : item));
  return { ...(json as JsonObject), [key]: inside };
}

function opened() {
  const records: string[] = [];
  const log = createLogger({ level: "trace" }, { write: (record) => void records.push(record) });
  return { log, records };
}

const probeListen = { host: "127.0.0.1", port: 0 };

async function scraped(app: TestApp): Promise<string> {
  const pages = ["/metrics", "/readyz", "/livez", "/healthz"];
  const texts = pages.map(async (page) => (await fetch(`http://${app.probe}${page}`)).text());
  return (await Promise.all(texts)).join("\n");
}

const requests = fc
  .record({ method: fc.constantFrom(...methods), percent: fc.constantFrom(0, 5) })
  .chain(({ method, percent }) =>
    messageOf(
      method.input,
      { ...ruleHints, "sessiond.v1.BackupRequest.path": undefined },
      { percent },
    ).map((message) => ({ method, message: seeded(method.input, message) })),
  );

test("Canary: whatever is called, and however wrong, no log, metric or error shows content", async () => {
  const { log, records } = opened();
  await using app = await openTestApp({ store: "lmdb", log, config: { probeListen } });
  const answers: Answer<unknown>[] = [];
  let accepted = 0;
  let sent = 0;
  const send = async (method: DescMethodUnary, message: Message, at: number) => {
    const bytes = toBinary(method.input, message);
    answers.push(await app.grpc(method, bytes));
    // Cut off in the middle, and with bytes that are no text.
    answers.push(await app.grpc(method, bytes.subarray(0, at % (bytes.length + 1))));
    let json: JsonValue;
    try {
      json = toJson(method.input, message);
      JSON.stringify(json);
    } catch {
      return;
    }
    answers.push(await app.json(method, json));
    answers.push(await app.json(method, misplaced(json, at)));
    const text = JSON.stringify(json);
    answers.push(await app.json(method, new Verbatim(text.slice(0, at % (text.length + 1)))));
    answers.push(await app.json(method, new Verbatim(`${text.slice(0, -1)} ${canary}`)));
  };
  await fc.assert(
    fc.asyncProperty(requests, fc.nat(100_000), async ({ method, message }, at) => {
      await send(method, message, at);
      sent += answers.length;
      const refused = answers.filter(({ ok }) => !ok);
      accepted += answers.splice(0).length - refused.length;
      expect(JSON.stringify(refused)).not.toContain(canary);
      expect(records.splice(0).join("")).not.toContain(canary);
    }),
    { numRuns: 1_000, interruptAfterTimeLimit: 10_000 },
  );
  expect(accepted / sent).toBeGreaterThan(0.02);
  expect(await scraped(app)).not.toContain(canary);
});

test("Canary: rules, filters and summaries that fail on content do not repeat it", async () => {
  const { log, records } = opened();
  await using endpoint = await startChatServer((response) => {
    // As some do: with the request in the error.
    response.statusCode = 400;
    json({ error: { message: endpoint.seen.at(-1)?.body.messages } })(response, response.req);
  });
  const summariser = { url: endpoint.url, model: "m", timeoutMs: 5_000, maxTokens: 100 };
  await using app = await openTestApp({ log, config: { probeListen, summariser } });
  const { sessions, events, context } = app.clients;
  const failures: ConnectError[] = [];
  const fails = (call: Promise<unknown>) =>
    call.then(
      () => expect.unreachable(),
      (error: ConnectError) => void failures.push(error),
    );
  const http = CompactionStrategy.HTTP;
  const protectionRules = [{ expression: "int(event.text) > 3", reason: "numbers" }];
  const contextPolicy = { compaction: { strategy: http }, protectionRules };
  const name = { sessionId: "s" };
  await sessions.createSession({ session: { ...name, title: canary, contextPolicy } });
  const texts = Array.from({ length: 20 }, (_, at) => userText(`${canary} ${at}`));
  await events.appendEvents({ ...name, events: texts });
  expect(records.join("")).toContain("a protection rule failed");

  await fails(sessions.listSessions({ filter: "int(session.title) > 3" }));
  await fails(
    sessions.cleanupSessions({ action: CleanupAction.DELETE, filter: "int(session.title) > 3" }),
  );
  await sessions.createSession({
    session: { sessionId: "t", title: canary, contextPolicy: { compaction: { strategy: http } } },
  });
  await events.appendEvents({ sessionId: "t", events: texts });
  await fails(context.compactSession({ sessionId: "t" }));
  expect(endpoint.seen.length).toBeGreaterThan(0);
  await fails(context.getContextWindow({ ...name, tokenBudget: 10 }));
  const call = create(EventSchema, {
    payload: { case: "toolResult", value: { callId: "c", content: canary } },
  });
  await fails(events.appendEvents({ ...name, events: [call], expectedRevision: 3 }));

  const told = failures.map((error) => JSON.stringify([error.message, error.details]));
  expect(failures).toHaveLength(5);
  expect(told.join("\n")).not.toContain(canary);
  expect(records.join("")).not.toContain(canary);
  expect(await scraped(app)).not.toContain(canary);
});

test("Canary: sinks whose receivers answer with what they got do not log it", {
  timeout: 60_000,
}, async () => {
  const { log, records } = opened();
  const receiver = await openReceiver();
  const echo = (status: number) => (posted: Posted, response: ServerResponse) =>
    void response.writeHead(status, { "content-type": "text/plain" }).end(posted.body);
  receiver.answer = echo(400);
  const redaction = { content: true, fields: [], patterns: [] };
  const hook = {
    type: "webhook",
    filter: "int(event.text) > 3",
    redaction,
    timeoutMs: 5_000,
  } as const;
  const given = { endpoint: receiver.url, compression: "none", allow_plain_http: true } as const;
  const otlp = await readOtlp(given, {});
  const sinks = {
    hook: { ...hook, url: receiver.url },
    collector: { type: "otlp", filter: "", redaction, receiver: otlp },
  } as const;
  await using app = await openTestApp({ store: "lmdb", log, config: { probeListen, sinks } });
  const events = [userText(canary)];
  await app.clients.events.appendEvents({ sessionId: "s", createIfMissing: true, events });
  await expect
    .poll(() => receiver.posted.filter(({ body }) => body.includes(canary)).length)
    .toBeGreaterThan(1);
  const warned = (sink: string) => records.some((record) => record.includes(`"sink":"${sink}"`));
  await expect.poll(() => Object.keys(sinks).filter((name) => !warned(name))).toEqual([]);
  expect(records.join("")).not.toContain(canary);
  expect(await scraped(app)).not.toContain(canary);
});
