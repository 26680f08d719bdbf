import { fromJson, type JsonValue, type MessageInitShape } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import type { Tool, ToolSchema } from "@sessiond/contract";
import type { SessionFields } from "../session-input.ts";
import type { CreateOptions, NewSession } from "../sessions.ts";

/** Fields of a session with its context and tools in short forms. */
export interface ShortFields extends Omit<SessionFields, "context" | "tools"> {
  /** What the agent should know beside the goal: a text, a structure, a file reference. */
  readonly context?: JsonValue | undefined;
  /** Tools the model may call: names, or with description and schema. */
  readonly tools?: readonly (string | ToolInput)[] | undefined;
}

/** A tool the model may call. */
export type ToolInput = Exclude<MessageInitShape<typeof ToolSchema>, Tool>;

/** What to run. What is left open is filled in by preset "execution": 10 steps, 4,000 tokens, 120 s. */
export interface RunInput extends ShortFields, Pick<CreateOptions, "ifExists"> {
  /** Task of the run. */
  readonly goal: string;
  /** 1 to 200 bytes. Default: the server makes one up. */
  readonly sessionId?: string | undefined;
  /** Cancels the run, with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Turns the short forms into those of a session. */
export function toSessionFields({ context, tools, ...same }: ShortFields): SessionFields {
  return {
    ...same,
    ...(context === undefined ? {} : { context: fromJson(ValueSchema, context) }),
    ...(tools === undefined ? {} : { tools: tools.map(toTool) }),
  };
}

export function toNewSession(input: RunInput): NewSession {
  const { sessionId, signal: _signal, ifExists: _ifExists, ...fields } = input;
  return {
    preset: "execution",
    ...toSessionFields(fields),
    ...(sessionId === undefined ? {} : { sessionId }),
  };
}

function toTool(tool: string | ToolInput): ToolInput {
  return typeof tool === "string" ? { name: tool } : tool;
}
