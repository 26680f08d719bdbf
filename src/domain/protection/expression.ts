import { type CelInput, isCelError, parse, plan } from "@bufbuild/cel";
import { create } from "@bufbuild/protobuf";
import { type Event, EventSchema } from "@sessiond/contract";
import { limits } from "../../limits.ts";
import { eventView, metadataView } from "./event-view.ts";
import { Machine } from "./machine.ts";
import { checkSyntax, RuleSyntaxError } from "./syntax.ts";

/** What an expression says about an event: yes, no, or that it could not tell. */
export type Verdict = boolean | { readonly failure: string };

/** What expressions see of one event; made once for all of them. */
export interface EventInput {
  readonly fields: ReadonlyMap<string, CelInput>;
  /** Absent: it is too large to be looked at. Made at the first look, as few rules take one. */
  readonly metadata: () => CelInput | undefined;
}

export interface Expression {
  evaluate(input: EventInput): Verdict;
}

const machine = new Machine();
const sample = eventInput(create(EventSchema));

export function eventInput(event: Event): EventInput {
  let metadata: { readonly view: CelInput | undefined } | undefined;
  return {
    fields: eventView(event),
    metadata: () => {
      metadata ??= { view: metadataView(event.metadata) };
      return metadata.view;
    },
  };
}

/**
 * Compiles the CEL of a rule: parses it, checks it, and tries it on an empty event, which shows
 * types that can never fit.
 *
 * Errors: RuleSyntaxError, also for an expression that is too long or too complicated.
 */
export function compileExpression(text: string): Expression {
  checkSize(text);
  const parsed = parseExpression(text);
  const { usesMetadata } = checkSyntax(parsed);
  const run = plan(machine.env, parsed);
  const evaluate = (input: EventInput): Verdict => {
    const metadata = usesMetadata ? input.metadata() : new Map();
    if (metadata === undefined) {
      return { failure: `metadata has more than ${limits.ruleMetadataValues} values` };
    }
    const event = new Map(input.fields).set("metadata", metadata);
    machine.reset();
    return toVerdict(withoutStacks(() => run({ event })));
  };
  const verdict = evaluate(sample);
  if (
    typeof verdict !== "boolean" &&
    /^(it gives|found no matching overload|type mismatch)/.test(verdict.failure)
  ) {
    throw new RuleSyntaxError(`tried on an empty event, ${verdict.failure}`, 0);
  }
  return { evaluate };
}

/** Words and signs outside of texts; what the parser takes time for. */
export function countWords(text: string): number {
  return words(text).length;
}

function words(text: string): string[] {
  return text.match(/"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|\w+|\S/g) ?? [];
}

/** Before the parser sees it: its time and its stack grow with these. */
function checkSize(text: string): void {
  const bytes = Buffer.byteLength(text);
  if (bytes === 0) throw new RuleSyntaxError("it is empty", 0);
  if (bytes > limits.ruleBytes) {
    throw new RuleSyntaxError(`it has ${bytes} bytes, the limit is ${limits.ruleBytes}`, 0);
  }
  const all = words(text);
  if (all.length > limits.ruleWords) {
    throw new RuleSyntaxError(
      `it has ${all.length} words and signs, the limit is ${limits.ruleWords}`,
      0,
    );
  }
  let depth = 0;
  for (const word of all) {
    if ("([{".includes(word)) depth += 1;
    if (")]}".includes(word)) depth -= 1;
    if (depth > limits.ruleDepth) {
      throw new RuleSyntaxError(`more than ${limits.ruleDepth} brackets are open at once`, 0);
    }
  }
}

function parseExpression(text: string): ReturnType<typeof parse> {
  try {
    return parse(text);
  } catch (error) {
    throw toSyntaxError(error);
  }
}

/** The parser's own message lists every sign that could have followed; its place says enough. */
function toSyntaxError(error: unknown): RuleSyntaxError {
  if (error instanceof RangeError) return new RuleSyntaxError("it is too complicated", 0);
  if (!(error instanceof Error)) return new RuleSyntaxError("it is no CEL", 0);
  const { location, found, message } = error as Error & {
    location?: { start?: { offset?: number } };
    found?: string | null;
  };
  const offset = location?.start?.offset ?? 0;
  if (found === undefined) return new RuleSyntaxError(message, offset);
  if (!found) return new RuleSyntaxError("it ends too early", offset);
  return new RuleSyntaxError(`${JSON.stringify(found)} cannot stand here`, offset);
}

/**
 * Runs `work` with errors that have no stack: each round of a comprehension may make one, which
 * takes 9 µs with a stack and 1 µs without.
 */
function withoutStacks<T>(work: () => T): T {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return work();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function toVerdict(result: unknown): Verdict {
  if (typeof result === "boolean") return result;
  if (!isCelError(result)) return { failure: `it gives ${typeName(result)}, not true or false` };
  if (isMissingKey(result)) return false;
  // Other messages may quote what is in the event, which has no place in a log.
  const isHarmless = /^(found no matching overload|type mismatch|it takes more than)/;
  return {
    failure: isHarmless.test(result.message)
      ? result.message
      : "a function cannot take what the event holds",
  };
}

/** True when every error that came together is a key of a map that is not there. */
function isMissingKey(error: unknown): boolean {
  if (!isCelError(error) || !error.message.startsWith("field not found: ")) return false;
  return !Array.isArray(error.cause) || error.cause.every(isMissingKey);
}

function typeName(value: unknown): string {
  if (value === null) return "null";
  if (typeof value === "object") return "a list or map";
  return typeof value === "string" ? "a text" : "a number";
}
