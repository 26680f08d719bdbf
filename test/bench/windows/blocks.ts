import { setTimeout as sleep } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  CompactSessionRequestSchema,
  ContextService,
  Dialect,
  EventService,
  SessionService,
} from "@sessiond/contract";
import { startServer } from "../../support/server-process.ts";
import { Chat, toolCall, toolResult } from "../support/chat.ts";
import { at } from "../support/load.ts";
import { delayMeasured, longestBlockMs, type Measured, startIdle } from "../support/loop-delay.ts";
import { megabytes } from "../support/megabytes.ts";
import { appendBytes, createBytes, type EventInit, textEvent } from "../support/messages.ts";
import { pathOf, RawClient } from "../support/raw-client.ts";
import type { Row } from "../support/report.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { type GetWindow, tokenizerLoaded, untilIndexed, windowBytes, windowPath } from "./calls.ts";
import type { FilledSession } from "./sessions.ts";

const appendPath = pathOf(EventService.method.appendEvents);
const createPath = pathOf(SessionService.method.createSession);
const compactPath = pathOf(ContextService.method.compactSession);

const hostile = [
  "one letter",
  "chinese without punctuation",
  "base64",
  "emoji families",
  "digits",
  "line breaks",
  "english",
] as const satisfies (keyof typeof megabytes)[];

type Step = (client: RawClient) => Promise<unknown>;

/**
 * How long the server's event loop stands still at most while it stores, counts, shows, compacts
 * and searches megabytes of one kind, and while it indexes and searches a long session. Beside it, in
 * the same time, a process that does nothing says what the machine adds.
 */
export async function blockRows(data: string, sessions: readonly FilledSession[]): Promise<Row[]> {
  await using idle = await startIdle();
  return [...(await megabyteRows(idle)), ...(await indexRows(data, sessions, idle))];
}

async function megabyteRows(idle: Measured): Promise<Row[]> {
  const rows: Row[] = [];
  await using empty = await tempFolder();
  await using server = await startServer({ data: empty.path, env: delayMeasured });
  using client = new RawClient(server.address);
  await tokenizerLoaded(client);
  rows.push({ what: "nothing", doing: "", ...(await blockOf([server, idle], () => sleep(2_000))) });
  for (const name of hostile) {
    for (const [doing, step] of Object.entries(stepsFor(name))) {
      const block = await blockOf([server, idle], () => step(client));
      rows.push({ what: `1 MB of ${name}`, doing, ...block });
    }
  }
  return rows;
}

async function indexRows(
  data: string,
  sessions: readonly FilledSession[],
  idle: Measured,
): Promise<Row[]> {
  const rows: Row[] = [];
  await using server = await startServer({ data, env: delayMeasured });
  using client = new RawClient(server.address);
  await tokenizerLoaded(client);
  const getWindow: GetWindow = (bytes) => client.call(windowPath, bytes);
  const largest = Math.max(...sessions.map(({ size }) => size));
  for (const { kind, size, sessionId, questions } of sessions) {
    if (size !== largest) continue;
    const requests = questions.map((query) => windowBytes({ sessionId, query }));
    const steps = {
      "first query, and its index": () => untilIndexed(getWindow, at(requests, 0)),
      queries: async () => {
        for (const request of requests) await getWindow(request);
      },
    };
    const what = `${size.toLocaleString("en")} events, ${kind}`;
    for (const [doing, step] of Object.entries(steps)) {
      rows.push({ what, doing, ...(await blockOf([server, idle], step)) });
    }
  }
  return rows;
}

/** Longest blocks of the server and of the idle process during a step. */
async function blockOf(
  [server, idle]: readonly [Measured, Measured],
  step: () => Promise<unknown>,
): Promise<Row> {
  await Promise.all([longestBlockMs(server), longestBlockMs(idle)]);
  await step();
  // What was started beside the calls is to be seen as well.
  await sleep(300);
  const [serverMs, idleMs] = await Promise.all([longestBlockMs(server), longestBlockMs(idle)]);
  return { "longest block ms": serverMs.toFixed(1), "idle ms": idleMs.toFixed(1) };
}

function stepsFor(name: keyof typeof megabytes): Readonly<Record<string, Step>> {
  const text = shortOfMegabyte(megabytes[name]);
  const chat = new Chat(1);
  const append = (client: RawClient, events: EventInit[]) =>
    client.call(appendPath, appendBytes({ sessionId: name, events }));
  return {
    "append as message and as result": async (client) => {
      const contextPolicy = { compaction: { manual: true } };
      await client.call(createPath, createBytes({ session: { sessionId: name, contextPolicy } }));
      await append(client, chat.turn());
      await append(client, [textEvent(text)]);
      await append(client, chat.turn());
      const call = { callId: "long", name: "fetch", arguments: "{}" };
      await append(client, [textEvent(), toolCall(call)]);
      await append(client, [toolResult({ callId: "long", content: text })]);
      for (let turn = 0; turn < 6; turn++) await append(client, chat.turn());
    },
    windows: async (client) => {
      for (const dialect of [Dialect.UNSPECIFIED, Dialect.OPENAI_CHAT]) {
        await client.call(windowPath, windowBytes({ sessionId: name, dialect }));
      }
      // Shows the long result cut, and counts all in another encoding.
      await client.call(windowPath, windowBytes({ sessionId: name, tokenBudget: 2_000 }));
      await client.call(windowPath, windowBytes({ sessionId: name, encoding: "cl100k_base" }));
    },
    queries: async (client) => {
      const query = "What is the staging database of the crawler?";
      await client.call(windowPath, windowBytes({ sessionId: name, query }));
      await client.call(windowPath, windowBytes({ sessionId: name, query: text.slice(0, 16_384) }));
    },
    compaction: async (client) => {
      const message = create(CompactSessionRequestSchema, { sessionId: name, targetRatio: 0.2 });
      await client.call(compactPath, Buffer.from(toBinary(CompactSessionRequestSchema, message)));
      await client.call(windowPath, windowBytes({ sessionId: name }));
    },
  };
}

/** An event may have a megabyte with everything that belongs to it. */
function shortOfMegabyte(text: string): string {
  return text.slice(0, Math.floor(text.length * 0.99));
}
