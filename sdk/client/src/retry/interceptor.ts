import { MethodOptions_IdempotencyLevel as IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import type { Interceptor, UnaryRequest } from "@connectrpc/connect";
import { deadlineKey } from "../transport/deadline.ts";
import { type RetryPolicy, retryDelayMs } from "./policy.ts";
import { requestIdOf, takesRequestId } from "./request-id.ts";
import { isTransient } from "./transient.ts";

/**
 * Repeats unary calls that failed for a moment, if the contract says they may be repeated: calls
 * without side effects, and idempotent ones that carry a request id.
 *
 * A wait that would outlast the call's time is not begun: the caller gets the real error, and at
 * once.
 */
export function retryInterceptor(policy: RetryPolicy): Interceptor {
  return (next) => async (req) => {
    if (req.stream || !mayRepeat(req)) return next(req);
    for (let failures = 1; ; failures++) {
      try {
        return await next(req);
      } catch (error) {
        if (failures >= policy.attempts || !isTransient(error) || req.signal.aborted) throw error;
        const delayMs = retryDelayMs(policy, failures);
        if (policy.now() + delayMs >= req.contextValues.get(deadlineKey)) throw error;
        await policy.sleep(delayMs, req.signal);
        if (req.signal.aborted) throw error;
      }
    }
  };
}

function mayRepeat(req: UnaryRequest): boolean {
  switch (req.method.idempotency) {
    case IdempotencyLevel.NO_SIDE_EFFECTS:
      return true;
    case IdempotencyLevel.IDEMPOTENT:
      return !takesRequestId(req.method) || requestIdOf(req.message) !== "";
    case IdempotencyLevel.IDEMPOTENCY_UNKNOWN:
      return false;
  }
}
