import { InvalidFieldError } from "../../errors.ts";
import type { ConsumerName } from "../../store/store.ts";
import { namespaceOf } from "../names.ts";

/** What names of the server's own consumers begin with. */
export const serverPrefix = "sink.";

/** The name in a request that changes a consumer. Errors: InvalidFieldError for one of the server's. */
export function callersName(
  { namespace, name }: { namespace: string; name: string },
  field: string,
): ConsumerName {
  assertCallers(name, field);
  return { namespace: namespaceOf(namespace), name };
}

/** Errors: InvalidFieldError for the name of a consumer of the server. */
export function assertCallers(name: string, field: string): void {
  if (!name.startsWith(serverPrefix)) return;
  const description = `begins with "${serverPrefix}", as the server's own consumers; choose another`;
  throw new InvalidFieldError({ field, description });
}

/** What to say to who deletes the consumer of a sink. */
export function ofSink({ name }: ConsumerName): InvalidFieldError {
  const sink = name.slice(serverPrefix.length);
  const description = `is read by the server; remove sinks.${sink} from its configuration first`;
  return new InvalidFieldError({ field: "name", description });
}

/** Where the answer to a request about a consumer is kept: no session has such an id. */
export function requestName({ namespace, name }: ConsumerName) {
  return { namespace, sessionId: `\0${name}` };
}
