import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { SessionAlreadyExistsError, Sessiond } from "../../sdk/client/src/index.ts";
import { Sessiond as WebSessiond } from "../../sdk/client/src/web/index.ts";
import { fill } from "../bench/support/fill.ts";
import { uncountedEvent } from "../bench/support/messages.ts";
import { RawClient } from "../bench/support/raw-client.ts";
import { openTestApp } from "../support/app.ts";
import { startServer } from "../support/server-process.ts";

it("a session is exported over every door, and imported over gRPC alone", async () => {
  await using app = await openTestApp();
  await using sessiond = new Sessiond({ address: app.address });
  await using web = new WebSessiond(`http://${app.address}`);
  const session = await sessiond.sessions.create({ sessionId: "user-42" });
  await session.append({ role: "user", text: "to Kyoto" });
  const lines = await Array.fromAsync(session.export());
  const overHttp = (await web.sessions.get("user-42")).export();
  expect(await Array.fromAsync(overHttp)).toEqual(lines);
  await expect(web.sessions.import(lines)).rejects.toThrow();

  const answer = await fetch(`http://${app.address}/sessiond.v1.SessionService/ImportSession`, {
    method: "POST",
    headers: { "content-type": "application/connect+json" },
    body: "{}",
  });
  expect(await answer.text()).toContain("takes a stream of requests and is served over gRPC");

  await expect(sessiond.sessions.import(lines)).rejects.toThrow(SessionAlreadyExistsError);
  const skipped = await sessiond.sessions.import(lines, { onConflict: "skip" });
  expect(skipped).toMatchObject({ outcome: "skipped", session: { uid: session.uid } });
  const other = await sessiond.sessions.import(lines, { sessionId: "user-43" });
  expect(other).toMatchObject({ outcome: "imported", session: { sessionId: "user-43" } });
  expect(other.session.uid).not.toBe(session.uid);
  expect((await Array.fromAsync(other.session.export())).slice(1)).toEqual(lines.slice(1));
});

it("a reader that leaves an export early, and an import that is aborted, end their calls", async () => {
  await using app = await openTestApp();
  await using sessiond = new Sessiond({ address: app.address });
  const session = await sessiond.sessions.create({ sessionId: "s" });
  await session.append(Array.from({ length: 1_000 }, () => ({ role: "user", text: "x" }) as const));
  for await (const line of session.export()) {
    expect(line).toContain('{"session":');
    break;
  }
  const lines = await Array.fromAsync(session.export());
  const abort = new AbortController();
  async function* sent() {
    yield* lines.slice(0, 500);
    abort.abort();
    yield* lines.slice(500);
  }
  const options = { sessionId: "t", signal: abort.signal };
  await expect(sessiond.sessions.import(sent(), options)).rejects.toThrow();
  expect((await sessiond.sessions.list()).items.map(({ sessionId }) => sessionId)).toEqual(["s"]);
});

const logEvents = 30_000;

it(`a session of ${logEvents} events passes through a server with little memory`, {
  timeout: 300_000,
}, async () => {
  const data = await mkdtemp(join(tmpdir(), "sessiond-bundles-"));
  // The events decoded have several times as much.
  const env = { NODE_OPTIONS: "--max-old-space-size=64" };
  try {
    await using server = await startServer({ data, env });
    using raw = new RawClient(server.address);
    await fill(raw, { sessionIds: ["long"], eventsEach: logEvents, event: uncountedEvent() });
    await using sessiond = new Sessiond({ address: server.address });
    const session = await sessiond.sessions.get("long");
    const { session: copy } = await sessiond.sessions.import(session.export(), {
      sessionId: "copy",
    });
    expect(copy.headRevision).toBe(session.headRevision);
  } finally {
    await rm(data, { recursive: true, force: true });
  }
});
