import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { ServerService } from "@sessiond/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createGrpcTransport } from "../../sdk/client/src/index.ts";
import { openTestApp, refusalOf, type TestApp } from "../support/app.ts";
import { userText } from "../support/domain.ts";

let app: TestApp;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sessiond-upkeep-"));
  app = await openTestApp({ store: "lmdb" });
  const events = [userText("one"), userText("two")];
  await app.clients.events.appendEvents({ sessionId: "s", createIfMissing: true, events });
});
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const transports = {
  gRPC: () => createGrpcTransport({ address: app.address }),
  Connect: () => createConnectTransport({ baseUrl: `http://${app.address}`, httpVersion: "1.1" }),
};

async function failure(stream: AsyncIterable<unknown>) {
  try {
    for await (const _ of stream);
  } catch (error) {
    return refusalOf(error as Parameters<typeof refusalOf>[0]);
  }
  throw new Error("the call did not fail");
}

describe.each(Object.entries(transports))("over %s", (name, open) => {
  const client = () => createClient(ServerService, open());

  test("a verify streams its progress and ends with a summary", async () => {
    const messages = [];
    for await (const { message } of client().verify({})) messages.push(message);
    expect(messages.at(0)).toMatchObject({ case: "progress", value: { share: 0 } });
    expect(messages.at(-1)).toMatchObject({
      case: "summary",
      value: { findings: 0, sessions: 1n, events: 3n },
    });
  });

  test("a backup streams its progress and ends with where it is", async () => {
    const path = join(folder, name);
    const messages = [];
    for await (const { message } of client().backup({ path })) messages.push(message);
    expect(messages.at(0)).toMatchObject({ case: "progress", value: { phase: "copy" } });
    expect(messages.at(-1)).toMatchObject({ case: "summary", value: { path } });
  });

  test("a path that is none is refused with its field", async () => {
    expect(await failure(client().backup({ path: "relative" }))).toMatchObject({
      code: "InvalidArgument",
      reason: "INVALID_FIELD",
      fields: ["path"],
    });
  });

  test("a stat says what there is", async () => {
    const { stat } = await client().stat({});
    expect(stat).toMatchObject({
      store: { engine: "lmdb" },
      sessions: 1n,
      namespaces: [{ namespace: "default", sessions: 1n, events: 3n }],
      biggest: [{ sessionId: "s", events: 3 }],
      oldest: [{ sessionId: "s" }],
      noisiest: [{ sessionId: "s", eventsPerHour: 3 }],
    });
  });
});
