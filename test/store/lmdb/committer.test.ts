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
  return { disk, committer, observed, log, failures, submit };
}

describe("the committer", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("acknowledges in the order of the calls, whatever settles first", async () => {
    const { disk, log, submit } = setUp();
    const all = [submit("a"), submit("b"), submit("c")];
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
    const { disk, committer, log, failures, submit } = setUp();
    const pending = ["a", "b", "c"].map((name) => rejection(submit(name)));
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

  it("takes a write that does not settle in time for a failed one", async () => {
    const { disk, failures, submit } = setUp();
    const first = submit("a");
    await vi.advanceTimersByTimeAsync(TIMEOUT_MS - 1);
    const second = rejection(submit("b"));
    disk[0]?.resolve();
    await first;
    await vi.advanceTimersByTimeAsync(TIMEOUT_MS - 1);
    expect(failures).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(await second).toBeInstanceOf(CommitUnknownError);
    expect(failures).toHaveLength(1);
  });

  it("tells how long writes wait, and how many were on disk together", async () => {
    const { disk, committer, observed, submit } = setUp();
    expect(committer.oldestMs).toBe(0);
    const [first, second] = [submit("a"), submit("b")];
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
    disk[0]?.resolve();
    await commit;
    await idle;
    await vi.advanceTimersByTimeAsync(1);
    expect(vi.getTimerCount()).toBe(0);
  });
});
