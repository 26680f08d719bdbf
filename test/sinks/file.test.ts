import type { FileHandle } from "node:fs/promises";
import {
  appendFile,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { EventSchema } from "@sessiond/contract";
import { expect, it, onTestFinished, vi } from "vitest";
import { FileSink, type FileSinkOptions } from "../../src/sinks/file/file-sink.ts";
import { ForeignFileError } from "../../src/sinks/file/own-lines.ts";
import { DeliveryError, type SinkBatch } from "../../src/sinks/sink.ts";
import { needs } from "../support/needs.ts";
import { canMount, mountSmallDisk } from "../support/small-disk.ts";
import { folder } from "./support/lab.ts";

const mountable = await canMount();
const day = 24 * 60 * 60 * 1_000;

/** A batch of events with these revisions. */
function batch(...revisions: number[]): SinkBatch {
  const events = revisions.map((revision) => create(EventSchema, { revision }));
  const messages = events.map((event) => ({
    kind: "event" as const,
    sessionId: "s",
    sessionUid: "u",
    event,
  }));
  return { namespace: "default", messages };
}

async function openSink(options: Partial<FileSinkOptions> & { readonly path: string }) {
  const sink = new FileSink({ maxBytes: 1e6, keep: 3, now: () => Date.now(), ...options });
  onTestFinished(() => sink.close());
  await sink.open();
  return sink;
}

/** Revisions in a file, which must be whole lines of JSON. */
async function revisionsIn(path: string): Promise<number[]> {
  const text = await readFile(path, "utf8");
  expect(text === "" || text.endsWith("\n")).toBe(true);
  const lines = text.split("\n").slice(0, -1);
  return lines.map((line) => (JSON.parse(line) as { event: { revision: number } }).event.revision);
}

/** Has the file removed behind the next syncs of a file. */
async function removeAfterSync(path: string, times: number) {
  await using handle = await open(path, "a");
  const prototype = Object.getPrototypeOf(handle) as FileHandle;
  const { datasync } = prototype;
  const spy = vi.spyOn(prototype, "datasync");
  onTestFinished(() => spy.mockRestore());
  for (let n = 0; n < times; n++) {
    spy.mockImplementationOnce(async function (this: FileHandle) {
      await datasync.call(this);
      await rm(path);
    });
  }
  return spy;
}

it("events are appended as lines of JSON, and the folder is made", async () => {
  const path = join(await folder(), "a/b/events.jsonl");
  const sink = await openSink({ path });
  await sink.deliver(batch(1, 2));
  await sink.deliver(batch(3));
  expect(await readFile(path, "utf8")).toBe(
    [1, 2, 3]
      .map(
        (n) =>
          `{"namespace":"default","sessionId":"s","sessionUid":"u","event":{"revision":${n}}}\n`,
      )
      .join(""),
  );
});

it.each([
  ["a part of a line", '{"namespace":"default","event":{"rev'],
  ["a long one", `{"namespace":"${"y".repeat(200_000)}`],
  ["a few bytes", '{"na'],
  ["a stretch of zeros", "\0".repeat(4_096)],
])("%s that a kill left behind is cut off", async (_what, rest) => {
  const path = join(await folder(), "events.jsonl");
  const before = await openSink({ path });
  await before.deliver(batch(1));
  await before.close();
  await appendFile(path, rest);
  const sink = await openSink({ path });
  await sink.deliver(batch(2));
  expect(await revisionsIn(path)).toEqual([1, 2]);
});

it("a file without a whole line begins anew", async () => {
  const path = join(await folder(), "events.jsonl");
  await writeFile(path, '{"namespace":"de');
  const sink = await openSink({ path });
  await sink.deliver(batch(1));
  expect(await revisionsIn(path)).toEqual([1]);
});

const line = '{"namespace":"default","sessionId":"s","sessionUid":"u","event":{"revision":1}}\n';

it.each([
  ["JSON without an end of line", '{"a":1}'],
  ["lines of somebody else", '{"level":30}\n{"level":30}\n'],
  ["a store", "\0".repeat(8_192)],
  ["a last line of somebody else", `${line}# mine`],
])("a file that holds %s is refused and stays as it is", async (_what, content) => {
  const path = join(await folder(), "events.jsonl");
  await writeFile(path, content);
  const sink = new FileSink({ path, maxBytes: 1, keep: 0, now: () => 0 });
  const message = `${path} holds something that no sink wrote; give it a path of its own`;
  await expect(sink.open()).rejects.toThrow(ForeignFileError);
  await expect(sink.deliver(batch(1))).rejects.toThrow(message);
  expect(await readFile(path, "utf8")).toBe(content);
});

it("a file that would be too large gives way, and so many are kept", async () => {
  const at = await folder();
  const path = join(at, "events.jsonl");
  let nowMs = Date.UTC(2030, 0, 1);
  const sink = await openSink({ path, maxBytes: 100, keep: 2, now: () => nowMs });
  // Others in the folder are not ours.
  await writeFile(join(at, "events-of-mine.jsonl"), "");
  for (let n = 1; n <= 5; n++) {
    await sink.deliver(batch(n));
    nowMs += 1_000;
  }
  expect((await readdir(at)).sort()).toEqual([
    "events-20300101T000003.000Z.jsonl",
    "events-20300101T000004.000Z.jsonl",
    "events-of-mine.jsonl",
    "events.jsonl",
  ]);
  expect(await revisionsIn(join(at, "events-20300101T000004.000Z.jsonl"))).toEqual([4]);
  expect(await revisionsIn(path)).toEqual([5]);
});

it("files of one moment have different names, and none is kept when none is wanted", async () => {
  const at = await folder();
  const path = join(at, "events.jsonl");
  const options = { path, maxBytes: 100, now: () => 0 };
  const sink = await openSink({ ...options, keep: 9 });
  for (let n = 1; n <= 3; n++) await sink.deliver(batch(n));
  expect(await readdir(at)).toHaveLength(3);
  await sink.close();
  const other = await openSink({ ...options, keep: 0 });
  await other.deliver(batch(4));
  expect(await readdir(at)).toEqual(["events.jsonl"]);
});

it("a file that is too old gives way, also when it was begun before the start", async () => {
  const at = await folder();
  const path = join(at, "events.jsonl");
  let nowMs = Date.now();
  const options = { path, maxAgeMs: day, now: () => nowMs };
  const before = await openSink(options);
  await before.deliver(batch(1));
  nowMs += day / 2;
  await before.deliver(batch(2));
  await before.close();
  nowMs += day / 2 + 60_000;
  const sink = await openSink(options);
  await sink.deliver(batch(3));
  expect(await readdir(at)).toHaveLength(2);
  expect(await revisionsIn(path)).toEqual([3]);
});

it("whoever has renamed the file gets it whole, and what comes then is in a new one", async () => {
  const at = await folder();
  const path = join(at, "events.jsonl");
  const sink = await openSink({ path });
  await sink.deliver(batch(1));
  await rename(path, join(at, "old"));
  const during = sink.deliver(batch(2));
  await sink.reopen();
  await during;
  await sink.deliver(batch(3));
  expect(await revisionsIn(join(at, "old"))).toEqual([1]);
  expect(await revisionsIn(path)).toEqual([2, 3]);
});

it("a file that was removed with its folder is begun anew", async () => {
  const at = join(await folder(), "out");
  const path = join(at, "events.jsonl");
  const sink = await openSink({ path });
  await sink.deliver(batch(1));
  await rm(at, { recursive: true });
  await sink.deliver(batch(2));
  expect(await revisionsIn(path)).toEqual([2]);
});

it("a batch that is written while the file is removed is in the next one", async () => {
  const path = join(await folder(), "events.jsonl");
  const sink = await openSink({ path });
  const removed = await removeAfterSync(path, 1);
  await sink.deliver(batch(1));
  expect(removed).toHaveBeenCalledTimes(2);
  expect(await revisionsIn(path)).toEqual([1]);
});

it("a file that is removed again and again fails the delivery", async () => {
  const path = join(await folder(), "events.jsonl");
  const sink = await openSink({ path });
  await removeAfterSync(path, 2);
  await expect(sink.deliver(batch(1))).rejects.toThrow(DeliveryError);
  await sink.deliver(batch(1));
  expect(await revisionsIn(path)).toEqual([1]);
});

it("another's file at the path is left alone when the own one is full", async () => {
  const path = join(await folder(), "events.jsonl");
  const sink = await openSink({ path, maxBytes: 1, keep: 0 });
  await sink.deliver(batch(1));
  await rm(path);
  await writeFile(path, "mine");
  await expect(sink.deliver(batch(2))).rejects.toThrow(ForeignFileError);
  expect(await readFile(path, "utf8")).toBe("mine");
});

it.runIf(needs("mount", () => mountable))(
  "on a full disk a batch is in the file whole or not at all",
  async () => {
    await using disk = await mountSmallDisk(1);
    const path = join(disk.path, "events.jsonl");
    const sink = new FileSink({ path, maxBytes: 1e9, keep: 1, now: () => 0 });
    const all = Array.from({ length: 5_000 }, (_, index) => index + 1);
    await sink.deliver(batch(...all));
    await expect(sink.deliver(batch(...all, ...all))).rejects.toThrow(/\(ENOSPC\)$/);
    expect(await revisionsIn(path)).toEqual(all);
    // As soon as there is room it goes on.
    await sink.deliver(batch(1, 2));
    expect(await revisionsIn(path)).toEqual([...all, 1, 2]);
    await sink.close();
  },
);

it("a path that cannot be written is said with its cause", async () => {
  const at = await folder();
  await mkdir(join(at, "events.jsonl"));
  const sink = new FileSink({ path: join(at, "events.jsonl"), maxBytes: 1, keep: 1, now: () => 0 });
  await expect(sink.open()).rejects.toThrow(DeliveryError);
  await expect(sink.open()).rejects.toThrow(/events\.jsonl cannot be written \(EISDIR\)$/);
});
