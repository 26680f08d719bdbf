import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { TokenAccuracy } from "@sessiond/contract";
import { get_encoding } from "tiktoken";
import { encodingForModel } from "../../src/domain/tokens/encodings.ts";
import { estimateTokens } from "../../src/domain/tokens/estimate.ts";
import { WorkerTokenCounter } from "../../src/domain/tokens/worker-counter.ts";
import { corpora, readRealRuns } from "../domain/tokens/corpora.ts";
import { megabytes } from "./support/megabytes.ts";
import type { Bench, Row } from "./support/report.ts";

const MiB = 1024 * 1024;
const encoding = "o200k_base";

/** What an old tool result keeps unless its policy says otherwise. */
const keep = { headTokens: 300, tailTokens: 100, wholeTokens: MiB };

/**
 * Counts hostile megabytes: the time each takes in the worker, the time of a short text that comes
 * behind it, the time to find its two ends, all CPU time of the main thread meanwhile, and how long
 * its event loop stood still at most; on a busy machine that is also the wait for a processor. Then
 * the errors of counts that are not exact.
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
  for (const [name, text] of Object.entries(megabytes)) {
    delay.reset();
    const cpuBefore = process.threadCpuUsage();
    const startMs = performance.now();
    const long = counter.count([text], encoding);
    await sleep(5);
    const shortStartMs = performance.now();
    await counter.count(["I want to visit Japan next month."], encoding);
    const shortMs = performance.now() - shortStartMs;
    const [count] = await long;
    const longMs = performance.now() - startMs;
    const cutStartMs = performance.now();
    await counter.shorten(text, keep, encoding);
    const cutMs = performance.now() - cutStartMs;
    const cpu = process.threadCpuUsage(cpuBefore);
    rows.push({
      "a megabyte of": name,
      ms: longMs.toFixed(0),
      tokens: count?.count ?? 0,
      accuracy: TokenAccuracy[count?.accuracy ?? 0] ?? "",
      "short text behind it ms": shortMs.toFixed(1),
      "shortening ms": cutMs.toFixed(1),
      "main thread ms": ((cpu.user + cpu.system) / 1_000).toFixed(1),
      "longest block ms": (delay.max / 1e6).toFixed(1),
    });
  }
  delay.disable();
  report.table(`counting tokens; the tokenizer loaded in ${loadMs.toFixed(0)} ms`, rows);
  report.table(
    "errors of counts: of the counter, of the estimate without a tokenizer, and of o200k_base × 1.3 for a model whose tokenizer were cl100k_base",
    await errorRows(counter),
  );
  clearInterval(alive);
};

async function errorRows(counter: WorkerTokenCounter): Promise<Row[]> {
  const o200k = get_encoding(encoding);
  const cl100k = get_encoding("cl100k_base");
  const all = Object.entries({ ...corpora, "real runs": (readRealRuns() ?? []).join("\n") });
  const rows: Row[] = [];
  for (const [name, text] of all) {
    if (text === "") continue;
    const [count] = await counter.count([text], encoding);
    const tokens = o200k.encode_ordinary(text).length;
    const others = cl100k.encode_ordinary(text).length;
    rows.push({
      text: name,
      tokens,
      accuracy: TokenAccuracy[count?.accuracy ?? 0] ?? "",
      counted: percent((count?.count ?? 0) / tokens),
      estimated: percent(estimateTokens(text) / tokens),
      "unknown model": percent((tokens * encodingForModel("unknown").factor) / others),
    });
  }
  return rows;
}

function percent(ratio: number): string {
  const error = (ratio - 1) * 100;
  return `${error > 0 ? "+" : ""}${error.toFixed(1)} %`;
}
