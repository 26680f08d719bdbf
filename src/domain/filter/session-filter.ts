import { FilterFailedError, InvalidFieldError } from "../../errors.ts";
import { compileExpression } from "../cel/expression.ts";
import { ExpressionSyntaxError, placeOf } from "../cel/syntax.ts";
import { type SessionAt, sessionSubject } from "./session-view.ts";

/** Says whether a session matches. Errors: FilterFailedError when it cannot be told. */
export type SessionFilter = (at: SessionAt) => boolean;

/**
 * Compiles a filter in CEL over `session`.
 *
 * Errors: InvalidFieldError for the field `filter`, with the place `line:column`.
 */
export function compileFilter(text: string): SessionFilter {
  const expression = compile(text);
  return (at) => {
    const verdict = expression.evaluate(sessionSubject.view(at));
    if (typeof verdict === "boolean") return verdict;
    throw new FilterFailedError({
      sessionId: at.stored.session.sessionId,
      why: verdict.failure,
    });
  };
}

function compile(text: string) {
  try {
    return compileExpression(text, sessionSubject);
  } catch (error) {
    if (!(error instanceof ExpressionSyntaxError)) throw error;
    const description = `does not compile at ${placeOf(text, error.offset)}: ${error.message}`;
    throw new InvalidFieldError({ field: "filter", description });
  }
}
