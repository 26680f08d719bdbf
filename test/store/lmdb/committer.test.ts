import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { CommitUnknownError } from "../../../src/errors.ts";
import { Committer } from "../../../src/store/lmdb/committer.ts";
import { rejection } from "../support.ts";

const TIMEOUT_MS = 1_000;

/** A committer whose disk is in the hands of the test. */
function setUp() {
  const disk: PromiseWithResolvers<void>[] = [];
  const observed: string[] = [];
  const committer = new Committer({
    timeoutMs: TIMEOUT_MS,
    observer: {
      written: (seconds) => observed.push(`written after ${Math.round(seconds * 1_000)} ms`),
      settled: (writes) => observed.push(`${writes} together`),
    },
    write: () => {
      const write = Promise.withResolvers<void>();
      disk.push(write);
      return write.promise;
    },
  });
  const log: string[] = [];
  const failures: Error[] = [];
  committer.onFailure((error) => failures.push(error));
  const submit = (name: string) =>
    committer.submit([], () => log.push(`${name} durable`)).then(() => log.push(`${name} done`));
  /** Submits each in a turn of its own, so that each is handed over alone. */
  const inTurn = async (...names: readonly string[]) => {
    const done: Promise<number>[] = [];
    for (const name of names) {
      done.push(submit(name));
      // Who waits for it comes later.
      done.at(-1)?.catch(() => {});
      await handedOver();
    }
    return done;
  };
  return { disk, committer, observed, log, failures, submit, inTurn };
}

/** Behind what the turn under way hands over. */
function handedOver(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}

describe("the committer", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("acknowledges in the order of the calls, whatever settles first", async () => {
    const { disk, log, inTurn } = setUp();
    const all = await inTurn("a", "b", "c");
    disk[2]?.resolve();
    disk[1]?.resolve();
    await disk[1]?.promise;
    expect(log).toEqual([]);
    disk[0]?.resolve();
    await Promise.all(all);
    expect(log.filter((line) => line.endsWith("durable"))).toEqual([
      "a durable",
      "b durable",
      "c durable",
    ]);
    for (const name of ["a", "b", "c"]) {
      expect(log.indexOf(`${name} durable`)).toBeLessThan(log.indexOf(`${name} done`));
    }
  });

  it("rejects every pending and later write after one failed, and says so once", async () => {
    const { disk, committer, log, failures, submit, inTurn } = setUp();
    const pending = (await inTurn("a", "b", "c")).map((done) => rejection(done));
    const cause = new Error("the disk is gone");
    disk[1]?.reject(cause);
    disk[2]?.reject(new Error("also gone"));
    for (const promise of pending) {
      expect(await promise).toBeInstanceOf(CommitUnknownError);
      expect(await promise).toMatchObject({ cause });
    }
    expect(await rejection(submit("later"))).toBeInstanceOf(CommitUnknownError);
    expect(disk).toHaveLength(3);
    disk[0]?.resolve();
    await disk[0]?.promise;
    expect(log).toEqual([]);
    expect(failures).toHaveLength(1);
    await committer.idle();
  });

  it("hands over together what is submitted together, with what its companion adds", async () => {
    const handed: string[][] = [];
    const durable: string[] = [];
    const write = (key: string) => ({ table: "meta", key: Buffer.from(key) }) as const;
    const committer = new Committer({
      timeoutMs: TIMEOUT_MS,
      write: async (writes) => {
        handed.push(writes.map(({ key }) => Buffer.from(key).toString()));
      },
      companion: () => ({
        writes: [write(`with ${handed.length}`)],
        onDurable: () => durable.push("companion"),
      }),
    });
    const submit = (key: string) => committer.submit([write(key)], () => durable.push(key));
    const pair = [submit("a"), submit("b")];
    expect(handed).toEqual([]);
    await Promise.all(pair);
    await submit("c");
    expect(handed).toEqual([
      ["a", "b", "with 0"],
      ["c", "with 1"],
    ]);
    expect(durable).toEqual(["companion", "a", "b", "companion", "c"]);
  });

  it("takes a write that does not settle in time for a failed one", async () => {
    const { disk, failures, submit } = setUp();
    const first = submit("a");
    await vi.advanceTimersByTimeAsync(TIMEOUT_MS - 1);
    const second = rejection(submit("b"));
    await handedOver();
    disk[0]?.resolve();
    await first;
    await vi.advanceTimersByTimeAsync(TIMEOUT_MS - 1);
    expect(failures).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(await second).toBeInstanceOf(CommitUnknownError);
    expect(failures).toHaveLength(1);
  });

  it("tells how long writes wait, and how many were on disk together", async () => {
    const { disk, committer, observed, submit, inTurn } = setUp();
    expect(committer.oldestMs).toBe(0);
    const [first, second] = await inTurn("a", "b");
    await vi.advanceTimersByTimeAsync(300);
    const third = submit("c");
    await vi.advanceTimersByTimeAsync(200);
    expect(committer.oldestMs).toBe(500);
    disk[0]?.resolve();
    disk[1]?.resolve();
    await Promise.all([first, second]);
    expect(committer.oldestMs).toBe(200);
    await vi.advanceTimersByTimeAsync(100);
    disk[2]?.resolve();
    await third;
    await vi.advanceTimersByTimeAsync(1);
    const pair = ["written after 500 ms", "written after 500 ms", "2 together"];
    expect(observed).toEqual([...pair, "written after 300 ms", "1 together"]);
  });

  it("leaves no timer behind when it is idle", async () => {
    const { disk, committer, submit } = setUp();
    const commit = submit("a");
    const idle = committer.idle();
    await handedOver();
    disk[0]?.resolve();
    await commit;
    await idle;
    await vi.advanceTimersByTimeAsync(1);
    expect(vi.getTimerCount()).toBe(0);
  });
});
