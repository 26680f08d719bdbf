import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { EventSchema } from "@sessiond/contract";
import { expect, it } from "vitest";
import { DeadLetters } from "../../src/sinks/dead-letters.ts";
import type { SinkBatch } from "../../src/sinks/sink.ts";
import { needs } from "../support/needs.ts";
import { canMount, mountSmallDisk } from "../support/small-disk.ts";
import { folder } from "./support/lab.ts";

const mountable = await canMount();

function batch(revision: number): SinkBatch {
  const event = create(EventSchema, { revision });
  const message = { kind: "event", sessionId: "s", sessionUid: "u", event } as const;
  return { namespace: "default", messages: [message] };
}

const line = (revision: number, time: Date) =>
  `{"time":"${time.toISOString()}","reason":"no","namespace":"default","sessionId":"s","sessionUid":"u","event":{"revision":${revision}}}\n`;

it("a file that would be too large gives way, and the newest are kept", async () => {
  const at = await folder();
  const path = join(at, "dead/hook.jsonl");
  const timeOf = (revision: number) => new Date(Date.UTC(2030, 0, 1, 0, 0, revision));
  const maxBytes = 2 * line(1, timeOf(1)).length;
  const letters = new DeadLetters({ path, maxBytes, keep: 2 });
  for (let revision = 1; revision <= 9; revision++) {
    await letters.add(batch(revision), { reason: "no", time: timeOf(revision) });
  }
  const names = (await readdir(join(at, "dead"))).sort();
  expect(names).toEqual([
    "hook-20300101T000007.000Z.jsonl",
    "hook-20300101T000009.000Z.jsonl",
    "hook.jsonl",
  ]);
  const texts = await Promise.all(names.map((name) => readFile(join(at, "dead", name), "utf8")));
  expect(texts.join("")).toBe([5, 6, 7, 8, 9].map((n) => line(n, timeOf(n))).join(""));
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

it.runIf(needs("mount", () => mountable))(
  "on a full disk a batch is in the file whole or not at all",
  async () => {
    await using disk = await mountSmallDisk(1);
    const path = join(disk.path, "hook.jsonl");
    const letters = new DeadLetters({ path });
    const time = new Date(0);
    await letters.add(batch(1), { reason: "no", time });
    const large = { ...batch(2), messages: Array(20_000).fill(batch(2).messages[0]) };
    await expect(letters.add(large, { reason: "no", time })).rejects.toThrow(/ENOSPC/);
    await letters.add(batch(3), { reason: "no", time });
    expect(await readFile(path, "utf8")).toBe(line(1, time) + line(3, time));
  },
);
