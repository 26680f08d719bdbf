import type { JsonValue } from "@bufbuild/protobuf";
import type { StepTypeWord } from "./words.ts";

/** What to record of a step, by its type. */
export interface StepDetails extends Record<StepTypeWord, unknown> {
  readonly thinking: string | { readonly text?: string; readonly signature?: string };
  readonly tool_call: {
    /** Name of the tool. */
    readonly name: string;
    /** Its arguments; anything but a text is written as JSON. */
    readonly input?: JsonValue | undefined;
    /** Id that its result repeats. Default: made up. */
    readonly callId?: string | undefined;
  };
  /** The result of a call that was recorded without its work. */
  readonly tool_result: {
    readonly callId: string;
    readonly content: string;
    readonly isError?: boolean;
    /** Default true; false for progress of a long-running call. */
    readonly isFinal?: boolean;
  };
  /** A text or a structure. */
  readonly output: JsonValue;
  readonly error: {
    /** Code for programs. */
    readonly code?: string;
    readonly message: string;
    /** The work may be tried again. Default false. */
    readonly retryable?: boolean;
  };
}

/** A type with what is recorded of it. */
export type StepInput = {
  readonly [Type in StepTypeWord]: { readonly type: Type; readonly details: StepDetails[Type] };
}[StepTypeWord];
