import type { Event } from "@sessiond/contract";
import { InvalidFieldError } from "../../errors.ts";
import { compileExpression } from "../cel/expression.ts";
import type { Subject } from "../cel/subject.ts";
import { ExpressionSyntaxError, placeOf } from "../cel/syntax.ts";
import { eventSubject } from "../protection/event-view.ts";
import type { EventFilter } from "./event-filter-of.ts";

/** An event and the session it is in. */
interface EventOf {
  readonly sessionId: string;
  readonly event: Event;
}

/** What filters of watches are about: what protection rules see of an event, and its session. */
const subject: Subject<EventOf> = {
  ...eventSubject,
  word: "filter",
  fields: ["session_id", ...eventSubject.fields],
  sample: { sessionId: "", event: eventSubject.sample },
  view: ({ sessionId, event }) => {
    const { field, metadata } = eventSubject.view(event);
    return { field: (name) => (name === "session_id" ? sessionId : field(name)), metadata };
  },
};

/**
 * Compiles a filter in CEL over `event`. It shows an event that it cannot tell about: a reader can pass
 * over what it gets, and cannot ask for what it never saw.
 *
 * Errors: InvalidFieldError for the field, with the place `line:column`.
 */
export function compileEventFilter(text: string, field: string): EventFilter {
  const expression = compile(text, field);
  return (sessionId, event) => expression.evaluate(subject.view({ sessionId, event })) !== false;
}

function compile(text: string, field: string) {
  try {
    return compileExpression(text, subject);
  } catch (error) {
    if (!(error instanceof ExpressionSyntaxError)) throw error;
    const description = `does not compile at ${placeOf(text, error.offset)}: ${error.message}`;
    throw new InvalidFieldError({ field, description });
  }
}
