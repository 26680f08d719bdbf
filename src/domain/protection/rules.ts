import type { Event, ProtectionRule } from "@sessiond/contract";
import { InvalidFieldError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import { compileExpression, countWords, type Expression } from "../cel/expression.ts";
import type { View } from "../cel/subject.ts";
import { ExpressionSyntaxError, placeOf } from "../cel/syntax.ts";
import { eventSubject } from "./event-view.ts";

/** A rule as it is written, in a message or in a file of settings. */
export type RuleText = Pick<ProtectionRule, "expression" | "reason">;

/** A rule could not tell whether it protects an event, which is therefore protected. */
export interface RuleFailure {
  /** Reason of the rule; the event is protected with it. */
  readonly reason: string;
  readonly expression: string;
  /** Why, in words. Holds nothing of the event but names of fields and types. */
  readonly why: string;
}

/** Protection rules that were compiled, in the order they were given. */
export interface CompiledRules {
  /**
   * Reason of the first rule that protects an event; undefined when none does.
   *
   * Never throws. A key that is missing from a map counts as false. A rule that fails in another
   * way, or takes more than 65,536 steps (a few milliseconds), protects: `onFailure` is told, to
   * count it and to log it.
   */
  reasonOf(event: Event, onFailure?: (failure: RuleFailure) => void): string | undefined;
}

/**
 * Compiles protection rules: expressions in CEL over `event` (see `event-view.ts` for its fields).
 *
 * ```
 * event.metadata.contains_phi == true
 * event.text.lowerAscii().contains("chapter")                      without regard to case
 * event.kind in ["order", "refund"] && event.role == "user"
 * event.metadata.tags.exists(tag, tag.startsWith("legal"))
 * ```
 *
 * They have the functions that `compileExpression` allows.
 *
 * Errors: InvalidFieldError with the path `<field>[i].expression` and the place `line:column`.
 */
export function compileRules(rules: readonly RuleText[], field: string): CompiledRules {
  if (rules.length > limits.protectionRules) {
    const description = `${rules.length} rules, the limit is ${limits.protectionRules}`;
    throw new InvalidFieldError({ field, description });
  }
  let words = 0;
  const compiled = rules.map(({ expression, reason }, index) => {
    const path = `${field}[${index}].expression`;
    words += countWords(expression);
    if (words > limits.ruleListWords) {
      const description = `the rules up to here have ${words} words and signs, the limit is ${limits.ruleListWords}`;
      throw new InvalidFieldError({ field: path, description });
    }
    return { expression, reason, compiled: compile(expression, path) };
  });
  return {
    reasonOf(event, onFailure) {
      if (compiled.length === 0) return undefined;
      const view = eventSubject.view(event);
      return compiled.find((rule) => protects(rule, view, onFailure))?.reason;
    },
  };
}

interface Rule {
  readonly expression: string;
  readonly reason: string;
  readonly compiled: Expression;
}

function protects(
  { compiled, reason, expression }: Rule,
  view: View,
  onFailure: ((failure: RuleFailure) => void) | undefined,
): boolean {
  const verdict = compiled.evaluate(view);
  if (typeof verdict === "boolean") return verdict;
  onFailure?.({ reason, expression, why: verdict.failure });
  return true;
}

function compile(expression: string, field: string): Expression {
  try {
    return compileExpression(expression, eventSubject);
  } catch (error) {
    if (!(error instanceof ExpressionSyntaxError)) throw error;
    const place = placeOf(expression, error.offset);
    throw new InvalidFieldError({
      field,
      description: `does not compile at ${place}: ${error.message}`,
    });
  }
}
