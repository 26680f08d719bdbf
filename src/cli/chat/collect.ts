import type { Session } from "@sessiond/client";
import type { CompletionUsage } from "../../completions/stream.ts";
import type { AnswerOutput } from "./answer-output.ts";
import { type Answerer, AnswerFailure } from "./answerer.ts";

/** Why an answer is not whole. */
export type Cut = "interrupted" | "length" | "filtered" | "failed";

/** What came of an answer. */
export interface Collected {
  readonly text: string;
  /** Absent: nothing was reported. */
  readonly usage?: CompletionUsage;
  /** Absent: it is whole. */
  readonly cut?: Cut;
  readonly failure?: AnswerFailure;
  /** Whole milliseconds. */
  readonly tookMs: number;
}

/** Most text of one answer that is taken, in UTF-16 units: it has to fit into an event. */
const answerLength = 256 * 1024;

/**
 * Has a message answered, and shows the answer as it comes.
 *
 * An answer that fails or is interrupted is no error: what had come is given with the reason.
 * Errors: those of `Session.messages`.
 */
export async function collect(
  answerer: Answerer,
  { session, signal, output }: { session: Session; signal: AbortSignal; output: AnswerOutput },
): Promise<Collected> {
  const startMs = performance.now();
  const found: { usage?: CompletionUsage; cut?: Cut; failure?: AnswerFailure } = {};
  let text = "";
  try {
    for await (const part of answerer.answer(session, signal)) {
      if ("usage" in part) found.usage = part.usage;
      else if ("finish" in part) Object.assign(found, cutBy(part.finish));
      else {
        const room = answerLength - text.length;
        text += part.text.slice(0, room);
        await output.write(part.text.slice(0, room));
        if (part.text.length > room) {
          throw new AnswerFailure(`the answer has more than ${answerLength} characters`, {
            code: "too_long",
          });
        }
      }
    }
    if (text === "" && found.cut === undefined) {
      throw new AnswerFailure("the answer is empty", { code: "empty", retryable: true });
    }
  } catch (error) {
    if (signal.aborted) found.cut = "interrupted";
    else if (error instanceof AnswerFailure)
      Object.assign(found, { cut: "failed", failure: error });
    else throw error;
  } finally {
    await output.end();
  }
  return { ...found, text: text.toWellFormed(), tookMs: Math.round(performance.now() - startMs) };
}

function cutBy(finish: string): { cut?: Cut } {
  if (finish === "length") return { cut: "length" };
  return finish === "content_filter" ? { cut: "filtered" } : {};
}
