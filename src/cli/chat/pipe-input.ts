import { limits } from "../../limits.ts";
import { CommandError } from "../command-error.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Input } from "../host.ts";
import { untilAborted } from "../interruption.ts";
import type { ChatInput } from "./input.ts";

/** Reads messages from a pipe, a line each. A signal of the process ends it. */
export function pipeInput(stdin: Input, signal: AbortSignal): ChatInput {
  const lines = linesOf(stdin.bytes());
  return {
    async next() {
      const result = await untilAborted(lines.next(), signal);
      return result === undefined || result.done ? undefined : result.value;
    },
    during: (work) => work(signal),
    [Symbol.dispose]() {},
  };
}

/** Lines of UTF-8. Errors: CommandError for other bytes, and for a line that no event takes. */
async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string, void> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let rest = "";
  for await (const chunk of chunks) {
    rest += decoded(decoder, chunk);
    const lines = rest.split(/\r?\n/);
    rest = lines.pop() ?? "";
    yield* lines;
    if (rest.length > limits.eventBytes) {
      throw new CommandError(
        exitCodes.cannotStart,
        "stdin has a line that is longer than a message",
      );
    }
  }
  yield rest + decoded(decoder);
}

function decoded(decoder: InstanceType<typeof TextDecoder>, chunk?: Uint8Array): string {
  try {
    return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
  } catch (error) {
    const message = "stdin is not UTF-8; convert it first, for example with iconv";
    throw new CommandError(exitCodes.cannotStart, message, error);
  }
}
