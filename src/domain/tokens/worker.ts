/*
 * The thread that counts. The tokenizers live here and nowhere else: loading one blocks for more
 * than 100 ms, and the event loop of the main thread must stay free.
 */
import { type MessagePort, parentPort } from "node:worker_threads";
import { get_encoding } from "tiktoken";
import { FairQueue } from "./fair-queue.ts";
import { type Count, countSteps, cutSteps, type Tokenizer } from "./jobs.ts";
import {
  type CountReply,
  type CountRequest,
  type CutReply,
  type CutRequest,
  type Encoding,
  encodings,
  type Request,
} from "./protocol.ts";

type Counted = Count & { readonly id: number };

/** Tokenizers are loaded at their first text and stay: one is about 65 MB. */
const loaded = new Map<Encoding, Tokenizer>();

/** The tokenizer of an encoding, loaded when it is first used: a message alone loads none. */
function tokenizerOf(encoding: Encoding): Tokenizer {
  const known = loaded.get(encoding);
  if (known !== undefined) return known;
  const tiktoken = get_encoding(encoding);
  const tokenizer = {
    encode: (text: string) => tiktoken.encode_ordinary(text),
    decode: (tokens: Uint32Array) => tiktoken.decode(tokens),
  };
  loaded.set(encoding, tokenizer);
  return tokenizer;
}

function* count(id: number, text: string, encoding: Encoding) {
  const counted = yield* countSteps({ text, encoding, tokenizer: tokenizerOf(encoding) });
  return { id, ...counted } satisfies Counted;
}

function* cut({ id, text, encoding, ...keep }: CutRequest) {
  const found = yield* cutSteps({ text, encoding, tokenizer: tokenizerOf(encoding) }, keep);
  return { id, cut: found } satisfies CutReply;
}

function serve(port: MessagePort): void {
  const queue = new FairQueue<Counted | CutReply>({ nowMs: () => performance.now(), turnMs: 0.3 });

  const work = () => {
    const counts: Counted[] = [];
    for (const result of queue.turn()) {
      if ("cut" in result) port.postMessage(result);
      else counts.push(result);
    }
    if (counts.length > 0) port.postMessage(toReply(counts));
    if (!queue.isEmpty) setImmediate(work);
  };

  port.on("message", (request: Request) => {
    if (queue.isEmpty) setImmediate(work);
    if ("texts" in request) addCounts(queue, request);
    else queue.add({ length: request.text.length, steps: cut(request) });
  });
}

function addCounts(queue: FairQueue<Counted | CutReply>, request: CountRequest): void {
  for (const [index, text] of request.texts.entries()) {
    const encoding = encodings[request.encodings[index] ?? 0] ?? "o200k_base";
    const id = (request.firstId + index) >>> 0;
    queue.add({ length: text.length, steps: count(id, text, encoding) });
  }
}

function toReply(results: readonly Counted[]): CountReply {
  return {
    ids: Uint32Array.from(results, (result) => result.id),
    counts: Uint32Array.from(results, (result) => result.count),
    estimated: Uint8Array.from(results, (result) => (result.estimated ? 1 : 0)),
  };
}

if (parentPort !== null) serve(parentPort);
