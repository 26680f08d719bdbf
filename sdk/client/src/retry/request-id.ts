import type { DescMethod, Message } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";

/**
 * Gives every unary mutation that names no request id a fresh one, so that it may be retried.
 *
 * The caller's message is not changed: used for a second call it is a second request.
 */
export function requestIdInterceptor(newId: () => string): Interceptor {
  return (next) => (req) => {
    if (req.stream || !takesRequestId(req.method) || requestIdOf(req.message) !== "") {
      return next(req);
    }
    // A copy of the fields is a whole message: proto3 messages keep nothing on their prototype.
    return next({ ...req, message: { ...req.message, requestId: newId() } as Message });
  };
}

/** Says whether the request of a method has a field `request_id`. */
export function takesRequestId(method: DescMethod): boolean {
  return Object.hasOwn(method.input.field, "requestId");
}

/** The request id of a message; empty when there is none. */
export function requestIdOf(message: Message): string {
  return "requestId" in message && typeof message.requestId === "string" ? message.requestId : "";
}
