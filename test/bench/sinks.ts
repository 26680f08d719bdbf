import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { EventService } from "@sessiond/contract";
import { scrape } from "../support/scrape.ts";
import { type ServerProcess, startServer } from "../support/server-process.ts";
import { buildBundle } from "./support/bundle.ts";
import { load, median } from "./support/load.ts";
import { appendBytes, textEvent } from "./support/messages.ts";
import { cpuMs } from "./support/process-stats.ts";
import { createQuietSession } from "./support/quiet-session.ts";
import { pathOf, RawClient } from "./support/raw-client.ts";
import type { Bench } from "./support/report.ts";
import { tempFolder } from "./support/temp-folder.ts";

const path = pathOf(EventService.method.appendEvents);
const receiverFile = fileURLToPath(new URL("./support/webhook-receiver.ts", import.meta.url));
const warmUpMs = 1_000;
/** Long enough for sinks that rest to work again. */
const durationMs = 2_500;
const rounds = 7;
const sessions = 16;

/** What is appended: so many calls under way, of so many events. */
const loads = [
  { inFlight: 1, events: 1 },
  { inFlight: 64, events: 1 },
  { inFlight: 16, events: 25 },
];

/**
 * Appends with three sinks, to stdout that another process reads, to a file, and to a webhook in another
 * process, against the same server without any, with the production bundle.
 *
 * The servers take turns, and the ratio is the median of the rounds' ratios. A round counts what is
 * acknowledged in its time; then it is waited until the sinks have delivered all, so that they do not work
 * during the other server's round. Servers, load and receivers share the machine's cores: what the receivers
 * take is said beside it. Not measured: what a disk of its own for the file would change.
 */
export const sinksBench: Bench = async (report) => {
  await using bundle = await buildBundle();
  await using receiver = await startReceiver();
  await using folder = await tempFolder();
  const { wrap } = bundle;
  const config = join(folder.path, "sessiond.yaml");
  await writeFile(
    config,
    JSON.stringify({
      sinks: {
        out: { type: "stdout" },
        file: { type: "file", path: join(folder.path, "events.jsonl"), keep: 1 },
        hook: { type: "webhook", url: `http://${receiver.address}` },
      },
    }),
  );
  // Another process reads stdout: bash starts it and becomes the server.
  const read = ["bash", "-c", 'exec "$0" "$@" > >(exec cat > /dev/null)'];
  const probe = ["--probe-listen", "127.0.0.1:0"];
  await using on = await startServer({
    data: join(folder.path, "on"),
    wrap: [...read, ...wrap],
    args: ["--config", config, ...probe],
  });
  await using off = await startServer({ data: join(folder.path, "off"), wrap, args: probe });
  const rows = [];
  for (const one of loads) rows.push(await compare({ on, off, receiver, ...one }));
  report.table(`appends with three sinks and without, ${rounds} rounds`, rows);
};

interface Receiver extends AsyncDisposable {
  readonly address: string;
  readonly pid: number;
}

async function startReceiver(): Promise<Receiver> {
  const child = spawn(process.execPath, [receiverFile], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  return {
    address: line.toString().trim(),
    pid: child.pid ?? -1,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await once(child, "close");
    },
  };
}

interface Round {
  readonly perSecond: number;
  readonly cpuUs: number;
  readonly drainMs: number;
  readonly receiverMs: number;
}

async function compare(args: {
  on: ServerProcess;
  off: ServerProcess;
  receiver: Receiver;
  inFlight: number;
  events: number;
}) {
  const { on, off, receiver, inFlight, events } = args;
  const batch = Array.from({ length: events }, () => textEvent());
  const bytes = Array.from({ length: sessions }, (_, index) =>
    appendBytes({ sessionId: `${events}-${index}`, events: batch }),
  );
  for (const { address } of [on, off]) {
    using client = new RawClient(address);
    for (let n = 0; n < sessions; n++) await createQuietSession(client, `${events}-${n}`);
  }
  const run = async (server: ServerProcess, forMs: number): Promise<Round> => {
    using client = new RawClient(server.address);
    const call = (index: number) => client.call(path, bytes[index % sessions] as Buffer);
    const before = { server: cpuMs(server.pid), receiver: cpuMs(receiver.pid) };
    const { perSecond } = await load({ inFlight, durationMs: forMs, call });
    const startMs = performance.now();
    await delivered(server);
    const calls = (perSecond * forMs) / 1_000;
    return {
      perSecond,
      cpuUs: ((cpuMs(server.pid) - before.server) * 1_000) / calls,
      drainMs: performance.now() - startMs,
      receiverMs: cpuMs(receiver.pid) - before.receiver,
    };
  };
  for (const server of [on, off]) await run(server, warmUpMs);
  const pairs: { a: Round; b: Round }[] = [];
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? [on, off] : [off, on];
    const results = new Map<ServerProcess, Round>();
    for (const server of order) results.set(server, await run(server, durationMs));
    const [a, b] = [results.get(on), results.get(off)];
    if (a !== undefined && b !== undefined) pairs.push({ a, b });
  }
  const middle = (of: (pair: (typeof pairs)[number]) => number) => median(pairs.map(of));
  return {
    "in flight": inFlight,
    "events each": events,
    "appends/s": Math.round(middle(({ a }) => a.perSecond)),
    without: Math.round(middle(({ b }) => b.perSecond)),
    ratio: middle(({ a, b }) => a.perSecond / b.perSecond).toFixed(3),
    "CPU µs/append": middle(({ a }) => a.cpuUs).toFixed(0),
    "without ": middle(({ b }) => b.cpuUs).toFixed(0),
    "all delivered after ms": middle(({ a }) => a.drainMs).toFixed(0),
    "receiver's CPU ms": middle(({ a }) => a.receiverMs).toFixed(0),
  };
}

/** Waits until no sink lacks anything. */
async function delivered(server: ServerProcess): Promise<void> {
  for (;;) {
    const { text } = await scrape(server.probe);
    const lags = [...text.matchAll(/^sessiond_sink_lag_commits\{.*\} (\d+)$/gm)];
    if (lags.every(([, lag]) => lag === "0")) return;
    await sleep(20);
  }
}
