/*
 * Counts hostile megabytes and prints the time each takes in the worker, how far the count is from
 * a tokenizer's where that can be had, and how long the main thread's event loop stood still.
 *
 * Does not measure: appends, or more than one text at a time. Run with `node test/bench/tokens.ts`.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { TokenAccuracy } from "@sessiond/contract";
import { WorkerTokenCounter } from "../../src/domain/tokens/worker-counter.ts";

const MiB = 1024 * 1024;

function megabyte(unit: string): string {
  return unit.repeat(Math.ceil(MiB / Buffer.byteLength(unit)));
}

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

const log = { warn: (_: unknown, message: string) => void process.stderr.write(`${message}\n`) };
const delay = monitorEventLoopDelay({ resolution: 1 });

await using counter = new WorkerTokenCounter({ log });
// The worker does not keep the process alive, and nothing else does here.
const alive = setInterval(() => {}, 1_000);
delay.enable();

const loadStart = performance.now();
await counter.preload("o200k_base");
process.stdout.write(`load ${(performance.now() - loadStart).toFixed(0)} ms\n`);

for (const [name, text] of Object.entries(texts)) {
  const start = performance.now();
  const long = counter.count([text], "o200k_base");
  await new Promise((resolve) => setTimeout(resolve, 5));
  const shortStart = performance.now();
  await counter.count(["I want to visit Japan next month."], "o200k_base");
  const shortMs = performance.now() - shortStart;
  const [count] = await long;
  const ms = performance.now() - start;
  process.stdout.write(
    `${name.padEnd(28)} ${ms.toFixed(0).padStart(5)} ms  ${String(count?.count).padStart(8)} tokens ` +
      `${TokenAccuracy[count?.accuracy ?? 0]?.padEnd(10)} short text behind it ${shortMs.toFixed(1)} ms\n`,
  );
}
process.stdout.write(`longest stop of the event loop ${(delay.max / 1e6).toFixed(1)} ms\n`);
clearInterval(alive);
