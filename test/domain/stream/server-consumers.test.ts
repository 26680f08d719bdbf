import { create } from "@bufbuild/protobuf";
import { DeleteSessionRequestSchema, type WatchEventsResponse } from "@sessiond/contract";
import { expect, test } from "vitest";
import {
  ConsumerNotFoundError,
  ConsumerTakenOverError,
  InvalidFieldError,
} from "../../../src/errors.ts";
import { openTestDomain, userText } from "../../support/domain.ts";
import { appendTexts, deleteConsumer, getConsumer, nextEvents } from "./consumer-support.ts";

const name = "sink.file";
const forever = new AbortController().signal;

/** What a read until the end gave, and the cursor behind it. */
async function readAll(read: AsyncGenerator<WatchEventsResponse>) {
  const seen: string[] = [];
  let cursor = "";
  for await (const message of read) {
    cursor = message.cursor;
    if (message.message.case !== "events") continue;
    const { sessionId, events } = message.message.value;
    seen.push(...events.map(({ revision }) => `${sessionId}:${revision}`));
  }
  return { seen, cursor };
}

test("a consumer of the server is made by its first read and goes on where it committed", async () => {
  await using domain = await openTestDomain();
  await appendTexts(domain, ["a"]);
  const options = { namespace: "default", name, untilCurrent: true };
  const first = await readAll(domain.serverConsumers.read(options, forever));
  expect(first.seen).toEqual(["demo:1", "demo:2"]);
  expect(await getConsumer(domain, name)).toMatchObject({ lag: 1 });
  await domain.serverConsumers.commit({ ...options, cursor: first.cursor });
  expect(await getConsumer(domain, name)).toMatchObject({ lag: 0 });
  await appendTexts(domain, ["b"]);
  const second = await readAll(domain.serverConsumers.read(options, forever));
  expect(second.seen).toEqual(["demo:3"]);
});

test("a consumer of the server can be deleted when no sink reads under its name any more", async () => {
  let isThere = true;
  await using domain = await openTestDomain({ isOfSink: () => isThere });
  await appendTexts(domain, ["a"]);
  await readAll(
    domain.serverConsumers.read({ namespace: "default", name, untilCurrent: true }, forever),
  );
  const { reader, createTime } = await getConsumer(domain, name);
  expect(reader).toMatchObject({ name: "server", openTime: createTime, activeTime: createTime });
  const deletion = deleteConsumer(domain, name);
  await expect(deletion).rejects.toThrow(InvalidFieldError);
  await expect(deletion).rejects.toThrow("remove sinks.file from its configuration first");
  isThere = false;
  expect((await getConsumer(domain, name)).reader).toBeUndefined();
  await deleteConsumer(domain, name);
  await expect(getConsumer(domain, name)).rejects.toThrow(ConsumerNotFoundError);
});

test("its last message has the cursor behind what its filter hides", async () => {
  await using domain = await openTestDomain();
  await appendTexts(domain, ["a", "b"]);
  const options = { namespace: "default", name, untilCurrent: true, filter: "false" };
  const { seen, cursor } = await readAll(domain.serverConsumers.read(options, forever));
  expect(seen).toEqual([]);
  await domain.serverConsumers.commit({ ...options, cursor });
  expect(await getConsumer(domain, name)).toMatchObject({ lag: 0, filter: "false" });
  await appendTexts(domain, ["c"]);
  const { filter: _, ...unfiltered } = options;
  const rest = await readAll(domain.serverConsumers.read(unfiltered, forever));
  expect(rest.seen).toEqual(["demo:4"]);
  expect((await getConsumer(domain, name)).filter).toBe("");
});

test("from now it is shown what comes, and ends by its signal", async () => {
  await using domain = await openTestDomain();
  await appendTexts(domain, ["a"]);
  const abort = new AbortController();
  const options = { namespace: "default", name, from: "now" } as const;
  const read = domain.serverConsumers.read(options, abort.signal);
  await read.next();
  await appendTexts(domain, ["b"]);
  expect((await nextEvents(read)).seen).toEqual(["demo:3"]);
  const rest = read.next();
  abort.abort();
  expect(await rest).toEqual({ done: true, value: undefined });
});

test("a second read of the same name ends the first", async () => {
  await using domain = await openTestDomain();
  await appendTexts(domain, ["a"]);
  const options = { namespace: "default", name };
  const first = domain.serverConsumers.read(options, forever);
  await nextEvents(first);
  const waiting = first.next();
  const second = domain.serverConsumers.read(options, forever);
  await second.next();
  await expect(waiting).rejects.toThrow(ConsumerTakenOverError);
  await second.return(undefined);
});

test("namespaces are told that have more than was committed, deletions too, and no others", async () => {
  await using domain = await openTestDomain();
  const append = (namespace: string) =>
    domain.append({ namespace, sessionId: "s", createIfMissing: true, events: [userText("x")] });
  const behind = () =>
    Array.fromAsync(domain.serverConsumers.namespacesBehind(name, forever)).then((all) =>
      all.sort(),
    );
  const catchUp = async (namespace: string) => {
    const options = { namespace, name, untilCurrent: true };
    const { cursor } = await readAll(domain.serverConsumers.read(options, forever));
    await domain.serverConsumers.commit({ ...options, cursor });
  };
  for (const namespace of ["a", "b", "c"]) await append(namespace);
  expect(await behind()).toEqual(["a", "b", "c"]);
  for (const namespace of ["a", "b"]) await catchUp(namespace);
  expect(await behind()).toEqual(["c"]);
  await append("a");
  await catchUp("c");
  expect(await behind()).toEqual(["a"]);
  const request = { namespace: "c", sessionId: "s" };
  await domain.sessions.delete(create(DeleteSessionRequestSchema, request));
  expect(await behind()).toEqual(["a", "c"]);
});

test("namespaces are told no more when the signal fires", async () => {
  await using domain = await openTestDomain();
  for (const namespace of ["a", "b"]) {
    await domain.append({
      namespace,
      sessionId: "s",
      createIfMissing: true,
      events: [userText("x")],
    });
  }
  const abort = new AbortController();
  const behind = domain.serverConsumers.namespacesBehind(name, abort.signal);
  expect((await behind.next()).done).toBe(false);
  abort.abort();
  expect((await behind.next()).done).toBe(true);
});

test("thousands of namespaces that are quiet cost a look each, and no watch", async () => {
  await using domain = await openTestDomain();
  const namespaces = Array.from({ length: 1_000 }, (_, number) => `n${number}`);
  for (const namespace of namespaces) {
    await domain.append({
      namespace,
      sessionId: "s",
      createIfMissing: true,
      events: [userText("x")],
    });
  }
  const found: string[] = [];
  for await (const namespace of domain.serverConsumers.namespacesBehind(name, forever)) {
    found.push(namespace);
  }
  expect(found.sort()).toEqual(namespaces.sort());
  expect(domain.watches.stats("namespace").open).toBe(0);
});
