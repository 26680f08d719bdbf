import type { UniversalServerRequest } from "@connectrpc/connect/protocol";
import { undecodable } from "./errors.ts";

type Body = UniversalServerRequest["body"];

/**
 * Passes a JSON body through and fails where it is not UTF-8. Connect would put U+FFFD in place of
 * such bytes and go on, so that something else is stored than was sent.
 */
export function utf8Checked(body: Body): Body {
  return isChunks(body) ? chunksChecked(body) : body;
}

function isChunks(body: Body): body is AsyncIterable<Uint8Array> {
  return typeof body === "object" && body !== null && Symbol.asyncIterator in body;
}

async function* chunksChecked(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const check = (chunk?: Uint8Array) => {
    try {
      decoder.decode(chunk, { stream: chunk !== undefined });
    } catch (cause) {
      throw undecodable("the body is not UTF-8; encode it so", cause);
    }
  };
  for await (const chunk of chunks) {
    check(chunk);
    yield chunk;
  }
  check();
}
