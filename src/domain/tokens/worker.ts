/*
 * The thread that counts. The tokenizers live here and nowhere else: loading one blocks for more
 * than 100 ms, and the event loop of the main thread must stay free.
 */
import { type MessagePort, parentPort } from "node:worker_threads";
import { get_encoding, type Tiktoken } from "tiktoken";
import { FairQueue, type Result } from "./fair-queue.ts";
import { type CountReply, type CountRequest, type Encoding, encodings } from "./protocol.ts";

/** Tokenizers are loaded at their first text and stay: one is about 65 MB. */
const tokenizers = new Map<Encoding, Tiktoken>();

function countTokens(text: string, encoding: Encoding): number {
  let tokenizer = tokenizers.get(encoding);
  if (tokenizer === undefined) {
    tokenizer = get_encoding(encoding);
    tokenizers.set(encoding, tokenizer);
  }
  return tokenizer.encode_ordinary(text).length;
}

function serve(port: MessagePort): void {
  const queue = new FairQueue({ countTokens, nowMs: () => performance.now(), turnMs: 0.3 });

  const work = () => {
    const results = queue.turn();
    if (results.length > 0) port.postMessage(toReply(results));
    if (!queue.isEmpty) setImmediate(work);
  };

  port.on("message", (request: CountRequest) => {
    if (queue.isEmpty) setImmediate(work);
    for (const [index, text] of request.texts.entries()) {
      const encoding = encodings[request.encodings[index] ?? 0] ?? "o200k_base";
      queue.add({ id: (request.firstId + index) >>> 0, text, encoding });
    }
  });
}

function toReply(results: readonly Result[]): CountReply {
  return {
    ids: Uint32Array.from(results, (result) => result.id),
    counts: Uint32Array.from(results, (result) => result.count),
    estimated: Uint8Array.from(results, (result) => (result.estimated ? 1 : 0)),
  };
}

if (parentPort !== null) serve(parentPort);
