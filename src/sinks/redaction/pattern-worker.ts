/* The thread that looks for patterns: the library that does is loaded here and for the check at the start. */
import { parentPort, workerData } from "node:worker_threads";
import type { PatternReply, PatternRequest } from "./pattern-thread.ts";
import { compilePatterns } from "./patterns.ts";

const { patterns } = workerData as { readonly patterns: readonly string[] };
const redact = compilePatterns(patterns);

parentPort?.on("message", ({ id, texts }: PatternRequest) => {
  const reply: PatternReply = { id, texts: texts.map(redact) };
  parentPort?.postMessage(reply);
});
