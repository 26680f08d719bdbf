import { Worker } from "node:worker_threads";
import { TokenAccuracy } from "@sessiond/contract";
import fc from "fast-check";
import { get_encoding } from "tiktoken";
import { afterAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { WorkerTokenCounter } from "../../../src/domain/tokens/worker-counter.ts";
import { NotSupportedError, ShuttingDownError } from "../../../src/errors.ts";
import { limits } from "../../../src/limits.ts";

const { EXACT, ESTIMATED } = TokenAccuracy;
const o200k = get_encoding("o200k_base");
const workerFile = new URL("../../../src/domain/tokens/worker.ts", import.meta.url);

/** A counter of its own whose workers, clock and log a test can see. */
function observedCounter() {
  const workers: Worker[] = [];
  const warnings: string[] = [];
  const clock = { nowMs: 0 };
  const counter = new WorkerTokenCounter({
    log: { warn: (_, message) => warnings.push(message) },
    nowMs: () => clock.nowMs,
    startWorker: () => {
      const worker = new Worker(workerFile);
      workers.push(worker);
      return worker;
    },
  });
  onTestFinished(() => counter.close());
  return { counter, workers, warnings, clock };
}

describe("a running counter", () => {
  const counter = new WorkerTokenCounter({ log: { warn: () => {} } });
  afterAll(() => counter.close());

  const countOne = async (text: string, encoding = "o200k_base") => {
    const [count] = await counter.count([text], encoding);
    return count;
  };

  test("counts any text as the tokenizer does", async () => {
    const texts = fc.array(fc.string({ unit: "grapheme", maxLength: 200 }), { maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(texts, async (all) => {
        const counts = await counter.count(all, "o200k_base");
        expect(counts.map((count) => [count.count, count.accuracy])).toEqual(
          all.map((text) => [o200k.encode_ordinary(text).length, EXACT]),
        );
      }),
    );
  });

  test("counts texts of many new words, then of known ones, then of both, as the tokenizer does", async () => {
    const word = fc.string({
      unit: fc.constantFrom(..."aeiklmnstABC09-'"),
      minLength: 1,
      maxLength: 9,
    });
    const text = fc.array(word, { maxLength: 40 }).map((words) => words.join(" "));
    await fc.assert(
      fc.asyncProperty(fc.array(text, { maxLength: 20 }), async (all) => {
        for (const texts of [all, all, [...all, all.join(" ").slice(0, 1_000)]]) {
          const counts = await counter.count(texts, "o200k_base");
          expect(counts.map((count) => [count.count, count.accuracy])).toEqual(
            texts.map((one) => [o200k.encode_ordinary(one).length, EXACT]),
          );
        }
      }),
    );
  });

  test("an empty text has 0 tokens, exactly", async () => {
    expect(await countOne("")).toMatchObject({ count: 0, accuracy: EXACT, encoding: "o200k_base" });
    expect(await counter.count([], "o200k_base")).toEqual([]);
  });

  test("the name of a special token is text", async () => {
    expect((await countOne("<|endoftext|>"))?.count).toBeGreaterThan(1);
  });

  test("each call is counted in its own encoding", async () => {
    const text = "我想下个月去日本旅行";
    const [first, second] = await Promise.all([countOne(text), countOne(text, "cl100k_base")]);
    expect(first).toMatchObject({ encoding: "o200k_base" });
    expect(second).toMatchObject({ encoding: "cl100k_base" });
    expect(second?.count).toBe(get_encoding("cl100k_base").encode_ordinary(text).length);
    expect(second?.count).not.toBe(first?.count);
  });

  test("counts of one call come in the order of its texts, whatever is ready first", async () => {
    const counts = await counter.count(
      ["word ".repeat(100_000), "one", "", "two words"],
      "o200k_base",
    );
    expect(counts.map((count) => count.count)).toEqual([100_001, 1, 0, 2]);
  });

  test("a short text behind a megabyte is counted first", async () => {
    const order: string[] = [];
    const long = countOne("word ".repeat(200_000)).then(() => order.push("long"));
    const short = countOne("short").then(() => order.push("short"));
    await Promise.all([long, short]);
    expect(order).toEqual(["short", "long"]);
  });

  test("a run of more than 1,024 characters is estimated", async () => {
    expect(await countOne("a".repeat(1_024))).toMatchObject({ count: 128, accuracy: EXACT });
    expect(await countOne("a".repeat(20_000))).toMatchObject({ accuracy: ESTIMATED });
  });

  test("a lone surrogate is counted like any broken character", async () => {
    expect((await countOne("a \ud83d b"))?.count).toBe(o200k.encode_ordinary("a \ufffd b").length);
  });

  test("a text is shortened to its first and last tokens", async () => {
    const text = " one two three four five six";
    const keep = { headTokens: 2, tailTokens: 1, wholeTokens: 6 };
    expect(await counter.shorten(text, keep, "o200k_base")).toEqual({
      head: " one two",
      tail: " six",
      cutTokens: 3,
    });
  });

  test("a text whose ends meet is not shortened, whatever its count is said to be", async () => {
    const text = " one two three";
    for (const wholeTokens of [0, 3, 4, 100]) {
      const keep = { headTokens: 2, tailTokens: 2, wholeTokens };
      expect(await counter.shorten(text, keep, "o200k_base")).toBeUndefined();
    }
    const keep = { headTokens: 0, tailTokens: 0, wholeTokens: 0 };
    expect(await counter.shorten("", keep, "o200k_base")).toBeUndefined();
  });

  test("an encoding without a tokenizer is refused before anything waits", async () => {
    await expect(counter.count(["text"], "claude")).rejects.toThrow(NotSupportedError);
    const keep = { headTokens: 1, tailTokens: 1, wholeTokens: 9 };
    await expect(counter.shorten("text", keep, "claude")).rejects.toThrow(NotSupportedError);
    await expect(counter.preload("")).rejects.toThrow(/use one of o200k_base, cl100k_base/);
  });
});

test("the worker starts at the first count and is started once", async () => {
  const { counter, workers } = observedCounter();
  await counter.count([""], "o200k_base");
  expect(workers).toHaveLength(0);
  await Promise.all([counter.preload("r50k_base"), counter.count(["text"], "r50k_base")]);
  await counter.count(["text"], "r50k_base");
  expect(workers).toHaveLength(1);
});

test("counts a dead worker leaves are estimated, and a later one is exact again", async () => {
  const { counter, workers, warnings, clock } = observedCounter();
  await counter.preload("r50k_base");
  const left = counter.count(["twelve bytes", "word ".repeat(200_000)], "r50k_base");
  await workers[0]?.terminate();
  expect(await left).toMatchObject([
    { count: 6, accuracy: ESTIMATED },
    { count: 500_000, accuracy: ESTIMATED },
  ]);
  expect(warnings).toHaveLength(1);

  // Too soon for another worker: counts still come.
  expect(await counter.count(["text"], "r50k_base")).toMatchObject([{ accuracy: ESTIMATED }]);
  expect(workers).toHaveLength(1);
  clock.nowMs += 1_000;
  expect(await counter.count(["text"], "r50k_base")).toMatchObject([{ count: 1, accuracy: EXACT }]);
  expect(workers).toHaveLength(2);
});

test("ends a dead worker leaves are cut by characters, and no character is in two", async () => {
  const { counter, workers } = observedCounter();
  await counter.preload("r50k_base");
  const text = "😀".repeat(100_000);
  const keep = { headTokens: 4_000_000_000, tailTokens: 5, wholeTokens: 5_000_000_000 };
  const long = counter.shorten(text, keep, "r50k_base");
  const few = { headTokens: 3, tailTokens: 5, wholeTokens: 300_000 };
  await workers[0]?.terminate();
  expect(await long).toBeUndefined();
  // No other worker may start yet.
  expect(await counter.shorten(text, few, "r50k_base")).toEqual({
    head: "😀",
    tail: "😀😀",
    cutTokens: 299_992,
  });
});

test("a worker that cannot start leaves no count waiting", async () => {
  const counter = new WorkerTokenCounter({
    log: { warn: () => {} },
    startWorker: () => new Worker(new URL("./no-such-worker.ts", import.meta.url)),
  });
  onTestFinished(() => counter.close());
  expect(await counter.count(["text"], "r50k_base")).toMatchObject([
    { count: 2, accuracy: ESTIMATED },
  ]);
});

test("more text than may wait is estimated at once", async () => {
  const { counter } = observedCounter();
  const full = " word".padEnd(limits.tokenQueueLength - 512, " word");
  const order: string[] = [];
  const waiting = counter.count([full], "r50k_base").then(([count]) => {
    order.push("waiting");
    return count;
  });
  const [over] = await counter.count(["text"], "r50k_base");
  const keep = { headTokens: 1, tailTokens: 2, wholeTokens: 9 };
  expect(await counter.shorten("text", keep, "r50k_base")).toMatchObject({ head: "t", tail: "xt" });
  order.push("over");
  await counter.close();
  expect(over).toMatchObject({ count: 2, accuracy: ESTIMATED });
  expect(await waiting).toMatchObject({ accuracy: ESTIMATED });
  expect(order).toEqual(["over", "waiting"]);
});

test("the worker is asked for a text of many new words, and for few of its words beside", async () => {
  const { counter, workers } = observedCounter();
  await counter.preload("o200k_base");
  const [worker] = workers;
  if (worker === undefined) throw new Error("no worker was started");
  const post = vi.spyOn(worker, "postMessage");
  const asked = () => post.mock.calls.flatMap(([{ texts }]) => texts as readonly string[]);
  const words = Array.from(
    { length: 100 },
    (_, index) => `word${String.fromCharCode(97 + (index % 26))}${index}x`,
  );
  const text = words.join(" ");
  const [count] = await counter.count([text], "o200k_base");
  expect(count).toMatchObject({ count: o200k.encode_ordinary(text).length, accuracy: EXACT });
  expect(asked().filter((one) => one === text)).toEqual([text]);
  expect(asked()).toHaveLength(1 + 8);
  await counter.count([text], "o200k_base");
  const known = asked().slice(1, 9);
  post.mockClear();
  await counter.count([known.join("")], "o200k_base");
  expect(asked()).toEqual([]);
});

test("a text that is counted makes room for the next", async () => {
  const { counter } = observedCounter();
  const most = " word".padEnd(limits.tokenQueueLength * 0.75, " word");
  const [first] = await counter.count([most], "r50k_base");
  const [second] = await counter.count([most], "r50k_base");
  expect([first?.accuracy, second?.accuracy]).toEqual([EXACT, EXACT]);
  expect(first?.count).toBe(Math.ceil(most.length / 5));
});

test.each(["r50k_base", "o200k_base"])(
  "closing leaves no count in %s waiting, and later counts are refused",
  async (encoding) => {
    const { counter } = observedCounter();
    const left = counter.count(["twelve bytes"], encoding);
    await counter.close();
    expect(await left).toMatchObject([{ count: 6, accuracy: ESTIMATED }]);
    await expect(counter.count(["text"], encoding)).rejects.toThrow(ShuttingDownError);
    const keep = { headTokens: 1, tailTokens: 1, wholeTokens: 9 };
    await expect(counter.shorten("text", keep, "r50k_base")).rejects.toThrow(ShuttingDownError);
    await counter.close();
  },
);
