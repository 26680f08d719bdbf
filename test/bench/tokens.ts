import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { TokenAccuracy } from "@sessiond/contract";
import { WorkerTokenCounter } from "../../src/domain/tokens/worker-counter.ts";
import type { Bench, Row } from "./support/report.ts";

const MiB = 1024 * 1024;
const encoding = "o200k_base";

const texts = {
  "one letter": megabyte("a"),
  "letters of both cases": megabyte("aB"),
  "chinese without punctuation": megabyte("我想下个月去日本旅行"),
  "chinese with punctuation": megabyte("我想下个月去日本旅行，请帮忙。"),
  base64: Buffer.from(
    Uint8Array.from({ length: (MiB * 3) / 4 }, (_, i) => (i * i * 31) >> 3),
  ).toString("base64"),
  emoji: megabyte("😀"),
  "emoji families": megabyte("👩‍👩‍👧‍👦"),
  spaces: megabyte(" "),
  "line breaks": megabyte("\n"),
  "exclamation marks": megabyte("!"),
  digits: megabyte("1234567"),
  "runs just below the limit": megabyte(`${"我".repeat(1_000)} `),
  english: megabyte("I want to visit Japan next month, please. "),
} satisfies Record<string, string>;

/**
 * Counts hostile megabytes: the time each takes in the worker, the time of a short text that comes
 * behind it, and how long the main thread's event loop stood still.
 *
 * Not measured: appends, or more than one long text at a time.
 */
export const tokensBench: Bench = async (report) => {
  const log = { warn: (_: unknown, message: string) => void process.stderr.write(`${message}\n`) };
  await using counter = new WorkerTokenCounter({ log });
  // The worker does not keep the process alive, and nothing else does here.
  const alive = setInterval(() => {}, 1_000);
  const loadStartMs = performance.now();
  await counter.preload(encoding);
  const loadMs = performance.now() - loadStartMs;

  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const rows: Row[] = [];
  for (const [name, text] of Object.entries(texts)) {
    const startMs = performance.now();
    const long = counter.count([text], encoding);
    await sleep(5);
    const shortStartMs = performance.now();
    await counter.count(["I want to visit Japan next month."], encoding);
    const shortMs = performance.now() - shortStartMs;
    const [count] = await long;
    rows.push({
      "a megabyte of": name,
      ms: (performance.now() - startMs).toFixed(0),
      tokens: count?.count ?? 0,
      accuracy: TokenAccuracy[count?.accuracy ?? 0] ?? "",
      "short text behind it ms": shortMs.toFixed(1),
    });
  }
  delay.disable();
  clearInterval(alive);
  report.table(
    `counting tokens; the tokenizer loaded in ${loadMs.toFixed(0)} ms, the event loop stood still for at most ${(delay.max / 1e6).toFixed(1)} ms`,
    rows,
  );
};

function megabyte(unit: string): string {
  return unit.repeat(Math.ceil(MiB / Buffer.byteLength(unit)));
}
