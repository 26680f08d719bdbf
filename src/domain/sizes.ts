import { toBinary } from "@bufbuild/protobuf";
import { type Session, SessionSchema } from "@sessiond/contract";
import { EventTooLargeError, InvalidFieldError, SessionLogFullError } from "../errors.ts";
import { limits } from "../limits.ts";
import { encodedEvent } from "../store/encoded.ts";
import { type Outcome, withoutEnd } from "./record.ts";

/** Errors: InvalidFieldError when the session's own fields are too large together. */
export function checkSessionSize(session: Session): void {
  const bytes = toBinary(SessionSchema, session).length;
  if (bytes > limits.sessionBytes) {
    throw new InvalidFieldError({
      field: "session",
      description: `has ${bytes} bytes in all, the limit is ${limits.sessionBytes}`,
    });
  }
}

/**
 * Checks what an append leads to, `appended` being its newest events that came from the caller,
 * in the fields of the request that `fieldAt` names.
 *
 * Errors: EventTooLargeError for the first event that is too large; SessionLogFullError.
 */
export function checkLogSize(
  { after, events }: Outcome,
  appended: number,
  fieldAt: (index: number) => string = (index) => `events[${index}]`,
): void {
  for (const [index, event] of withoutEnd(events).slice(-appended).entries()) {
    const actualBytes = encodedEvent(event).length;
    if (actualBytes > limits.eventBytes) {
      const field = fieldAt(index);
      throw new EventTooLargeError({ field, actualBytes, limitBytes: limits.eventBytes });
    }
  }
  if ((after.head.metrics?.storedBytes ?? 0) > limits.sessionLogBytes) {
    const { sessionId } = after.session;
    throw new SessionLogFullError({ sessionId, limitBytes: limits.sessionLogBytes });
  }
}
