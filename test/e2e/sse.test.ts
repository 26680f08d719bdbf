import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toJson } from "@bufbuild/protobuf";
import { WatchEventsResponseSchema } from "@sessiond/contract";
import { expect, test } from "vitest";
import { limits } from "../../src/limits.ts";
import { openTestApp, type TestApp } from "../support/app.ts";
import { type EventStream, type Frame, openStream } from "../support/event-stream.ts";

const demo = { sessionId: "demo" };
const demoPath = "/v1/sessions/demo/stream";

function append(app: TestApp, ...texts: readonly string[]) {
  const events = texts.map((text) => ({
    role: 1,
    payload: { case: "message", value: { text } } as const,
  }));
  return app.clients.events.appendEvents({ ...demo, createIfMissing: true, events });
}

/** Frames up to the first that is meant, with it. */
async function framesUntil(
  { frames }: EventStream,
  isLast: (frame: Frame) => boolean,
): Promise<Frame[]> {
  const seen: Frame[] = [];
  for (;;) {
    const { done, value } = await frames.next();
    if (done === true) throw new Error(`the stream ended, after ${JSON.stringify(seen)}`);
    seen.push(value);
    if (isLast(value)) return seen;
  }
}

const isKind = (kind: string) => (frame: Frame) => frame.event === kind;

function revisionsOf(frames: readonly Frame[]): number[] {
  return frames
    .filter(isKind("events"))
    .flatMap(({ data = "" }) => JSON.parse(data).events.events)
    .map(({ revision }: { revision: number }) => revision);
}

const reaches = (revision: number) => (frame: Frame) => revisionsOf([frame]).includes(revision);

test("a stream has the messages of a watch, their cursors and their JSON", async () => {
  await using app = await openTestApp();
  await append(app, "Nara ☂\nor\u2028Kyoto?\r\n\r\nevent: error");
  await append(app, "second");
  await app.clients.sessions.endSession(demo);
  const request = { ...demo, untilEnded: true };
  const watched = await Array.fromAsync(app.clients.events.watchEvents(request));
  using stream = await openStream(app.address, `${demoPath}?until_ended=true`);
  const [retry, ...frames] = await Array.fromAsync(stream.frames);
  expect(retry).toEqual({ retry: String(limits.streamRetryMs) });
  expect(frames).toEqual(
    watched.map((message) => ({
      id: message.cursor,
      event: message.message.case,
      data: JSON.stringify(toJson(WatchEventsResponseSchema, message)),
    })),
  );
  expect(revisionsOf(frames)).toEqual([1, 2, 3, 4]);
});

test("Resumable: a stream continues from its last id over a restart, without gap or repeat", async () => {
  await using app = await openTestApp({ store: "lmdb" });
  await append(app, "a", "b");
  using before = await openStream(app.address, demoPath);
  const seen = await framesUntil(before, reaches(3));
  const lastId = seen.at(-1)?.id ?? "";
  // The server says why it ends the stream, and where nothing is lost.
  const [end] = await Promise.all([Array.fromAsync(before.frames), app.restart()]);
  expect(end.filter(isKind("error"))).toHaveLength(1);
  expect(end.at(-1)?.data).toContain("SHUTTING_DOWN");
  await append(app, "c");
  // The URL of a browser stays what it was: what comes beside it wins.
  const path = `${demoPath}?start=now&after=${seen[1]?.id}`;
  using after = await openStream(app.address, path, { "last-event-id": lastId });
  await append(app, "d");
  const rest = await framesUntil(after, reaches(5));
  expect(revisionsOf([...seen, ...rest])).toEqual([1, 2, 3, 4, 5]);
});

test("`after` continues as `Last-Event-ID` does, and `start=now` shows nothing older", async () => {
  await using app = await openTestApp();
  await append(app, "a");
  using first = await openStream(app.address, demoPath);
  const { id } = (await framesUntil(first, reaches(2))).at(-1) ?? {};
  using continued = await openStream(app.address, `${demoPath}?after=${id}`);
  using fresh = await openStream(app.address, `${demoPath}?start=now`);
  await framesUntil(fresh, isKind("created"));
  await append(app, "b");
  expect(revisionsOf(await framesUntil(continued, reaches(3)))).toEqual([3]);
  expect(revisionsOf(await framesUntil(fresh, reaches(3)))).toEqual([3]);
});

test("a browser that comes back to a session that is over is told to stay away", async () => {
  await using app = await openTestApp();
  await append(app, "a");
  await app.clients.sessions.endSession(demo);
  const path = `${demoPath}?until_ended=true`;
  using whole = await openStream(app.address, path);
  const frames = await Array.fromAsync(whole.frames);
  const cursors = frames.flatMap(({ id }) => id ?? []);
  using again = await openStream(app.address, path, { "last-event-id": cursors.at(-1) ?? "" });
  expect([again.status, await Array.fromAsync(again.frames)]).toEqual([204, []]);
  // Who has not seen the end yet gets it.
  using early = await openStream(app.address, path, { "last-event-id": cursors[0] ?? "" });
  expect(revisionsOf(await Array.fromAsync(early.frames))).toEqual([1, 2, 3]);
  await app.clients.sessions.reopenSession(demo);
  using open = await openStream(app.address, path, { "last-event-id": cursors.at(-1) ?? "" });
  expect(revisionsOf(await framesUntil(open, reaches(4)))).toEqual([4]);
});

test("a stream says once that it is current, then keeps its connection alive by comments", async () => {
  await using app = await openTestApp({ overrides: { progressIntervalMs: 10 } });
  await append(app, "a");
  using stream = await openStream(app.address, demoPath);
  const isComment = ({ comment }: Frame) => comment !== undefined;
  const quiet = await framesUntil(stream, isComment);
  expect(quiet.map(({ event }) => event)).toEqual([
    undefined,
    "created",
    "events",
    "progress",
    undefined,
  ]);
  await append(app, "b");
  const later = (await framesUntil(stream, isKind("progress"))).filter(
    (frame) => !isComment(frame),
  );
  expect(later.map(({ event }) => event)).toEqual(["events", "progress"]);
});

test("a stream of a namespace has all its sessions and what was deleted, and nothing of others", async () => {
  await using app = await openTestApp();
  const { sessions } = app.clients;
  for (const namespace of ["clinic", "other"]) {
    await sessions.createSession({ session: { namespace, sessionId: `in/${namespace} ☂` } });
  }
  using stream = await openStream(app.address, "/v1/stream?namespace=clinic");
  const [, , events1] = await framesUntil(stream, isKind("events"));
  expect(JSON.parse(events1?.data ?? "").events.sessionId).toBe("in/clinic ☂");
  const path = `/v1/sessions/${encodeURIComponent("in/clinic ☂")}/stream?namespace=clinic`;
  using one = await openStream(app.address, path);
  await framesUntil(one, reaches(1));
  await sessions.deleteSession({ namespace: "clinic", sessionId: "in/clinic ☂" });
  const deleted = (await framesUntil(stream, isKind("sessionDeleted"))).at(-1);
  expect(JSON.parse(deleted?.data ?? "").sessionDeleted).toMatchObject({ lastRevision: 1 });
  const end = (await Array.fromAsync(one.frames)).at(-1);
  expect(end).toMatchObject({ event: "error", data: expect.stringContaining("SESSION_DELETED") });
  expect(end).not.toHaveProperty("id");
});

test.each([
  ["a session that is not there", "/v1/sessions/nobody/stream", 404, "SESSION_NOT_FOUND"],
  ["an id of 10,000 characters", `/v1/sessions/${"x".repeat(10_000)}/stream`, 400, "INVALID_FIELD"],
  ["an id with NUL", "/v1/sessions/a%00b/stream", 400, "INVALID_FIELD"],
  ["an id with a line break", "/v1/sessions/a%0d%0aid:1/stream", 400, "INVALID_FIELD"],
  ["a namespace that is none", "/v1/stream?namespace=a+b", 400, "INVALID_FIELD"],
  ["an end of a whole namespace", "/v1/stream?until_ended=true", 400, "INVALID_FIELD"],
  ["a cursor that is none", `${demoPath}?after=abc`, 400, "CURSOR_INVALID"],
])("an error before a stream begins is JSON: %s", async (_what, path, status, reason) => {
  await using app = await openTestApp();
  await append(app, "a");
  using answer = await openStream(app.address, path);
  expect(answer.status).toBe(status);
  expect(JSON.stringify(await answer.json())).toContain(`"reason":"${reason}"`);
});

test("a cursor of another stream is refused, also as the id of a browser", async () => {
  await using app = await openTestApp();
  await append(app, "a");
  using all = await openStream(app.address, "/v1/stream");
  const { id = "" } = (await framesUntil(all, isKind("events"))).at(-1) ?? {};
  using answer = await openStream(app.address, demoPath, { "last-event-id": id });
  expect(answer.status).toBe(400);
  expect(JSON.stringify(await answer.json())).toContain("CURSOR_INVALID");
});

test("a stream goes through the unix socket, too", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sessiond-sse-"));
  const unix = join(folder, "s.sock");
  try {
    await using app = await openTestApp({ config: { unix } });
    await append(app, "a");
    using stream = await openStream(`unix:${unix}`, demoPath);
    expect(revisionsOf(await framesUntil(stream, reaches(2)))).toEqual([1, 2]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
