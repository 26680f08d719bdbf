import { isCelError, parse, plan } from "@bufbuild/cel";
import { limits } from "../../limits.ts";
import { Machine } from "./machine.ts";
import type { Subject, View } from "./subject.ts";
import { checkSyntax, ExpressionSyntaxError } from "./syntax.ts";

/** What an expression says about a thing: yes, no, or that it could not tell. */
export type Verdict = boolean | { readonly failure: string };

/** An expression that was compiled. */
export interface Expression {
  /**
   * Never throws. A key that is missing from a map counts as false; it takes at most 65,536 steps,
   * which are a few milliseconds.
   */
  evaluate(view: View): Verdict;
}

const machine = new Machine();

/**
 * Compiles an expression in CEL: parses it, checks it, and tries it on an empty subject, which
 * shows types that can never fit.
 *
 * It has the functions of CEL and its strings extension that cannot take long: no `matches`,
 * `replace`, `join`, `format`, `map`, `filter`, and one level of `exists`, `exists_one` and `all`.
 *
 * Errors: ExpressionSyntaxError, also for one that is too long or too complicated.
 */
export function compileExpression<T>(text: string, subject: Subject<T>): Expression {
  checkSize(text);
  const { variable, sample } = subject;
  const parsed = parseExpression(text);
  const { usedFields } = checkSyntax(parsed, subject);
  const usesMetadata = usedFields.has("metadata");
  const names = [...usedFields].filter((name) => name !== "metadata");
  const run = plan(machine.env, parsed);
  const evaluate = (view: View): Verdict => {
    const value = new Map(names.map((name) => [name, view.field(name)]));
    if (usesMetadata) {
      const metadata = view.metadata();
      if (metadata === undefined) {
        return { failure: `metadata has more than ${limits.ruleMetadataValues} values` };
      }
      value.set("metadata", metadata);
    }
    machine.reset();
    return toVerdict(
      withoutStacks(() => run({ [variable]: value })),
      variable,
    );
  };
  const verdict = evaluate(subject.view(sample));
  if (
    typeof verdict !== "boolean" &&
    /^(it gives|found no matching overload|type mismatch)/.test(verdict.failure)
  ) {
    throw new ExpressionSyntaxError(`tried on an empty ${variable}, ${verdict.failure}`, 0);
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
  if (bytes === 0) throw new ExpressionSyntaxError("it is empty", 0);
  if (bytes > limits.ruleBytes) {
    throw new ExpressionSyntaxError(`it has ${bytes} bytes, the limit is ${limits.ruleBytes}`, 0);
  }
  const all = words(text);
  if (all.length > limits.ruleWords) {
    throw new ExpressionSyntaxError(
      `it has ${all.length} words and signs, the limit is ${limits.ruleWords}`,
      0,
    );
  }
  let depth = 0;
  for (const word of all) {
    if ("([{".includes(word)) depth += 1;
    if (")]}".includes(word)) depth -= 1;
    if (depth > limits.ruleDepth) {
      throw new ExpressionSyntaxError(`more than ${limits.ruleDepth} brackets are open at once`, 0);
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
function toSyntaxError(error: unknown): ExpressionSyntaxError {
  if (error instanceof RangeError) return new ExpressionSyntaxError("it is too complicated", 0);
  if (!(error instanceof Error)) return new ExpressionSyntaxError("it is no CEL", 0);
  const { location, found, message } = error as Error & {
    location?: { start?: { offset?: number } };
    found?: string | null;
  };
  const offset = location?.start?.offset ?? 0;
  if (found === undefined) return new ExpressionSyntaxError(message, offset);
  if (!found) return new ExpressionSyntaxError("it ends too early", offset);
  return new ExpressionSyntaxError(`${JSON.stringify(found)} cannot stand here`, offset);
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

function toVerdict(result: unknown, variable: string): Verdict {
  if (typeof result === "boolean") return result;
  if (!isCelError(result)) return { failure: `it gives ${typeName(result)}, not true or false` };
  if (isMissingKey(result)) return false;
  // Other messages may quote what is in the event or session, which has no place in a log.
  const isHarmless = /^(found no matching overload|type mismatch|it takes more than)/;
  return {
    failure: isHarmless.test(result.message)
      ? result.message
      : `a function cannot take what the ${variable} holds`,
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
