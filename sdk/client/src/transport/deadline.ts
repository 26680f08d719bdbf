import { createContextKey } from "@connectrpc/connect";

/**
 * Time in milliseconds since 1970 by which a call must be done, for interceptors.
 *
 * Without a time limit it is Infinity.
 */
export const deadlineKey = createContextKey(Number.POSITIVE_INFINITY, {
  description: "deadline of the call",
});
