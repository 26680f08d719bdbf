import { field } from "../../../../completions/endpoint.ts";
import { EndpointFailure } from "../../../../completions/failure.ts";
import { UnusableAnswer } from "./unusable-answer.ts";

/** Beginnings of answers that refuse; longer texts may well begin so and go on. */
const refusal =
  /^["'\s]*(?:i['’]?m (?:sorry|unable|not able)|i am (?:sorry|unable|not able)|sorry,|i (?:can(?:['’]?t|not)|won['’]?t) |as an ai )/i;
const refusalLength = 400;

/**
 * The summary in an answer of chat completions, without what a model thought aloud before it, and
 * whether the answer was cut off for its length.
 *
 * Errors: EndpointFailure when the answer has another form; UnusableAnswer when it is empty or a
 * refusal.
 */
export function summaryOf(answer: unknown): {
  readonly summary: string;
  readonly isCutOff: boolean;
} {
  const choices = field(answer, "choices");
  const choice: unknown = Array.isArray(choices) ? choices[0] : undefined;
  const message = field(choice, "message");
  const content = field(message, "content");
  const refused = field(message, "refusal");
  if (typeof refused === "string" && refused !== "") throw new UnusableAnswer("it refused");
  if (field(choice, "finish_reason") === "content_filter") throw new UnusableAnswer("it refused");
  if (message === undefined || (typeof content !== "string" && content !== null)) {
    throw new EndpointFailure("its answer is none of chat completions");
  }
  const isCutOff = field(choice, "finish_reason") === "length";
  const summary = (content ?? "").replace(/^\s*<think>[\s\S]*?<\/think>/, "").trim();
  if (!isCutOff && !/[\p{L}\p{N}]/u.test(summary)) throw new UnusableAnswer("its answer is empty");
  if (summary.length <= refusalLength && refusal.test(summary)) {
    throw new UnusableAnswer("it refused");
  }
  return { summary, isCutOff };
}
