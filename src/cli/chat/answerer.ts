import type { Session } from "@sessiond/client";
import type { CompletionPart } from "../../completions/stream.ts";

/** A piece of an answer as it comes: text, what it took, or why it ended. */
export type AnswerPart = CompletionPart;

/** What answers in a chat. */
export interface Answerer {
  /** Who it is, for people: `gpt-5 at https://api.openai.com/v1`. */
  readonly name: string;
  /**
   * Answers the newest message of a session, of which it sees the context window.
   *
   * Errors: AnswerFailure; those of `Session.messages`; the signal's reason when `signal` fires.
   */
  answer(session: Session, signal: AbortSignal): AsyncIterable<AnswerPart>;
}

/** It gave no answer, or broke it off. The message is a sentence that says why and what to do. */
export class AnswerFailure extends Error {
  /** For programs, for example "http_401" or "exit_3". */
  readonly code: string;
  /** The same message may be answered when it is sent again. */
  readonly retryable: boolean;

  constructor(
    message: string,
    options: { readonly code: string; readonly retryable?: boolean; readonly cause?: unknown },
  ) {
    super(message, { cause: options.cause });
    this.name = "AnswerFailure";
    this.code = options.code;
    this.retryable = options.retryable ?? false;
  }
}

/** What an answer is made of, beside the session. */
export interface View {
  /** Model it is for; chooses the encoding. Default: the session's. */
  readonly model?: string | undefined;
  /** Tokens of the context window. Default: the session's policy. */
  readonly budget?: number | undefined;
}
