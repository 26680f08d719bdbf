import { type MessageInitShape, toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import {
  type Event,
  type GetContextWindowRequest,
  type GetContextWindowRequestSchema,
  type GetContextWindowResponse,
  Role,
} from "@sessiond/contract";
import { ContextTooLongError, ProtectedBudgetExceededError } from "../../../../src/errors.ts";
import type { TestDomain } from "../../../support/domain.ts";
import type { Violation } from "../validators/report.ts";
import { type DialectName, validators } from "../validators/validators.ts";
import { lowerBound, type MadeSizes, protectedTokens } from "./lower-bound.ts";

type RequestInit = Exclude<
  MessageInitShape<typeof GetContextWindowRequestSchema>,
  GetContextWindowRequest
>;

/** What is asked for. */
export interface Ask {
  readonly sessionId: string;
  readonly dialect: DialectName;
  readonly tokenBudget: number;
  /** Tokens of the session's instructions. */
  readonly instructionTokens: number;
  readonly over?: Pick<RequestInit, "agent" | "authors" | "query" | "policy">;
}

/** Asks for windows and holds them against what providers and budgets want. */
export class Trials {
  readonly #domain: TestDomain;
  readonly #made: MadeSizes;
  windows = 0;
  /** Of them, those that what must stay does not fit in, and because of what the dialect adds only. */
  tooLong = 0;
  tooLongByAdditions = 0;
  protectedTooLong = 0;
  readonly faults: string[] = [];

  constructor(domain: TestDomain, made: MadeSizes) {
    this.#domain = domain;
    this.#made = made;
  }

  /** The window; undefined when there is none. */
  async ask(ask: Ask): Promise<GetContextWindowResponse | undefined> {
    this.windows++;
    const { sessionId, tokenBudget, over } = ask;
    const { dialect } = validators[ask.dialect];
    try {
      const window = await this.#domain.window({ ...over, sessionId, tokenBudget, dialect });
      this.#judge(window, ask);
      return window;
    } catch (error) {
      await this.#judgeError(error, ask);
      return undefined;
    }
  }

  #judge(window: GetContextWindowResponse, ask: Ask): void {
    for (const { path, rule } of refusalsOf(window, ask.dialect)) {
      this.#fault(ask, window.headRevision, `${path} breaks ${rule}`);
    }
    const total = window.tokens?.total ?? Number.POSITIVE_INFINITY;
    if (total > ask.tokenBudget) this.#fault(ask, window.headRevision, `it has ${total} tokens`);
  }

  async #judgeError(error: unknown, ask: Ask): Promise<void> {
    const log = await this.#domain.log(ask.sessionId);
    if (error instanceof ContextTooLongError) {
      this.tooLong++;
      const { tokens, additions } = await lowerBound(this.#domain, log, {
        instructionTokens: ask.instructionTokens,
        dialect: validators[ask.dialect].dialect,
        agent: ask.over?.agent ?? "",
        made: this.#made,
      });
      if (tokens > ask.tokenBudget) return;
      this.tooLongByAdditions++;
      if (tokens + additions > ask.tokenBudget) return;
      const bound = `${tokens} and ${additions} tokens`;
      this.#fault(ask, log.length, `CONTEXT_TOO_LONG with ${bound}: ${error.message}`);
    } else if (error instanceof ProtectedBudgetExceededError) {
      this.protectedTooLong++;
      const tokens = protectedTokens(log);
      if (2 * tokens > ask.tokenBudget) return;
      this.#fault(
        ask,
        log.length,
        `PROTECTED_BUDGET_EXCEEDED with ${tokens} of ${ask.tokenBudget}`,
      );
    } else {
      this.#fault(ask, log.length, String(error instanceof Error ? error.stack : error));
    }
  }

  #fault({ sessionId, dialect, tokenBudget }: Ask, revision: number, what: string): void {
    this.faults.push(`${sessionId} at ${revision}, ${dialect}, budget ${tokenBudget}: ${what}`);
  }
}

/**
 * What a provider would refuse of a window, apart from what is its caller's: where the model spoke
 * last, or nobody has yet, there is nothing to ask a model.
 */
export function refusalsOf(window: GetContextWindowResponse, dialect: DialectName): Violation[] {
  const { rendered, items } = window;
  if (rendered === undefined) return [{ path: "rendered", rule: "missing-field" }];
  const isEmpty = !items.some(({ reason }) => reason !== "instructions");
  const excused = new Set(isEmpty ? ["no-messages", "no-items", "no-contents"] : []);
  if (isOfModel(items.at(-1)?.event)) excused.add("last-role");
  const violations = validators[dialect].validate(toJson(ValueSchema, rendered));
  return violations.filter(({ rule }) => !excused.has(rule));
}

function isOfModel(event: Event | undefined): boolean {
  const payload = event?.payload.case;
  if (payload === "message") return event?.role === Role.ASSISTANT;
  return payload === "thinking" || payload === "output" || payload === "toolCall";
}
