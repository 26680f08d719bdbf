import { create } from "@bufbuild/protobuf";
import { type Event, EventSchema, Role, type Session } from "@sessiond/contract";
import type { ContextState } from "@sessiond/contract/store";
import type { TokenCounter } from "../tokens/counter.ts";
import type { ModelEncoding } from "../tokens/encodings.ts";
import { countInstructions, instructionsText } from "./instructions.ts";
import { sessionEncoding } from "./policy.ts";

/** Tokens of what comes before all events of a window. */
export interface InstructionCounts {
  /** Of system instructions, goal and context. */
  readonly instructionTokens: number;
  /** Of tools with their schemas. */
  readonly toolTokens: number;
}

/** What comes before all events of a window, and its tokens. */
export interface Instructions extends InstructionCounts {
  /** Absent: the session has no instructions. */
  readonly event?: Event;
}

/** Instructions and tools of sessions, in the encodings of their windows. */
export class InstructionSizes {
  readonly #tokens: TokenCounter;
  readonly #known = new WeakMap<Session, Map<string, Instructions>>();

  constructor({ tokens }: { tokens: TokenCounter }) {
    this.#tokens = tokens;
  }

  /** Errors: NotSupportedError. */
  async of(
    session: Session,
    state: ContextState | undefined,
    { encoding, factor }: ModelEncoding,
  ): Promise<Instructions> {
    const known = this.#known.get(session) ?? new Map<string, Instructions>();
    this.#known.set(session, known);
    const key = `${encoding} ${factor}`;
    let found = known.get(key);
    if (found === undefined) {
      const own = sessionEncoding(session);
      const isOwn = own.encoding === encoding && own.factor === factor;
      const counts =
        isOwn && state !== undefined
          ? state
          : scaled(await countInstructions(this.#tokens, session, encoding), factor);
      found = { ...counted(counts), ...instructionsEvent(session) };
      known.set(key, found);
    }
    return found;
  }
}

/**
 * Counts the instructions of a session in its own encoding, for its head.
 *
 * Errors: NotSupportedError for a policy with an encoding without a tokenizer.
 */
export async function instructionCounts(
  tokens: TokenCounter,
  session: Session,
): Promise<InstructionCounts> {
  const { encoding, factor } = sessionEncoding(session);
  return scaled(await countInstructions(tokens, session, encoding), factor);
}

function scaled(
  { instructionTokens, toolTokens }: InstructionCounts,
  factor: number,
): InstructionCounts {
  return {
    instructionTokens: Math.ceil(instructionTokens * factor),
    toolTokens: Math.ceil(toolTokens * factor),
  };
}

function counted({ instructionTokens, toolTokens }: InstructionCounts): InstructionCounts {
  return { instructionTokens, toolTokens };
}

function instructionsEvent(session: Session): { event?: Event } {
  const text = instructionsText(session);
  if (text === "") return {};
  const payload = { case: "message", value: { text } } as const;
  return { event: create(EventSchema, { role: Role.SYSTEM, payload }) };
}
