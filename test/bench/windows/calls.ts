import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  ContextService,
  CountTokensRequestSchema,
  GetContextWindowRequestSchema,
  type GetContextWindowResponse,
  GetContextWindowResponseSchema,
} from "@sessiond/contract";
import { limits } from "../../../src/limits.ts";
import { pathOf, type RawClient } from "../support/raw-client.ts";

/** Answers a call for a window. */
export type GetWindow = (request: Buffer) => Promise<Buffer>;

export const windowPath = pathOf(ContextService.method.getContextWindow);
const countPath = pathOf(ContextService.method.countTokens);

/** The bytes of a call for a window of 8,000 tokens. */
export function windowBytes(request: MessageInitShape<typeof GetContextWindowRequestSchema>) {
  const message = create(GetContextWindowRequestSchema, { tokenBudget: 8_000, ...request });
  return Buffer.from(toBinary(GetContextWindowRequestSchema, message));
}

export function windowOf(answer: Buffer): GetContextWindowResponse {
  return fromBinary(GetContextWindowResponseSchema, answer);
}

/** Waits until the server has its tokenizer. */
export async function tokenizerLoaded(client: RawClient): Promise<void> {
  const message = create(CountTokensRequestSchema, { texts: ["a few words"] });
  await client.call(countPath, Buffer.from(toBinary(CountTokensRequestSchema, message)));
}

/**
 * Asks until the session's index is whole, or as large as it may be: an answer then comes without
 * waiting for it.
 */
export async function untilIndexed(getWindow: GetWindow, request: Buffer): Promise<void> {
  for (;;) {
    const startMs = performance.now();
    const { indexPartial } = windowOf(await getWindow(request));
    if (!indexPartial || performance.now() - startMs < limits.retrievalWaitMs) return;
  }
}
