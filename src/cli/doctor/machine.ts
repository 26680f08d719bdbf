import { type Finding, notOk, ok, reasonOf } from "./finding.ts";

/** Sources run by type stripping, and the store's binaries are built for it. */
const oldestNode = 24;

/** The version of Node.js that runs this. */
export function checkNode(version = process.versions.node): Finding {
  const major = Number(version.split(".")[0]);
  if (major >= oldestNode) return ok("node", version);
  return notOk("node", "fail", {
    found: version,
    fix: `use Node.js ${oldestNode} or newer; npx brings it along`,
  });
}

/** No machine runs this before it was made. */
const earliest = new Date("2026-01-01T00:00:00Z");

/** Whether the clock of this machine can be right. A server's clock is compared by the round trip. */
export function checkClock(now = new Date()): Finding {
  const found = now.toISOString();
  if (now >= earliest) return ok("clock", found);
  return notOk("clock", "fail", {
    found: `${found}, which is before this version was made`,
    fix: "set the clock, for example with timedatectl set-ntp true; expiry goes by it",
  });
}

/** Loads the tokenizer and counts with it. */
export async function checkTokenizer(): Promise<Finding> {
  const { WorkerTokenCounter } = await import("../../domain/tokens/worker-counter.ts");
  const { TokenAccuracy } = await import("@sessiond/contract");
  let warning = "it answers with estimates";
  const log = {
    warn: ({ err }: { err: unknown }) => {
      warning = reasonOf(err);
    },
  };
  const counter = new WorkerTokenCounter({ log });
  // The counter's thread lets the process end, and here nothing else holds it.
  const held = setInterval(() => {}, 60_000);
  try {
    const startMs = performance.now();
    const [count] = await counter.count(["hello world"], "o200k_base");
    const tookMs = Math.round(performance.now() - startMs);
    if (count?.accuracy === TokenAccuracy.EXACT && count.count === 2) {
      return ok("tokenizer", `o200k_base, loaded in ${tookMs} ms`);
    }
  } catch (error) {
    warning = reasonOf(error);
  } finally {
    clearInterval(held);
    await counter.close();
  }
  return notOk("tokenizer", "fail", {
    found: `does not count exactly: ${warning}`,
    fix: "install again with npm ci; until then token counts are estimated",
  });
}
