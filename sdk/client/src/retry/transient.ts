import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "@sessiond/contract/rpc";

/**
 * Says whether the same call may succeed a moment later: nothing listens yet, the connection was
 * lost, the server is going down or coming up.
 *
 * Not WRITES_REFUSED, which lasts until somebody frees space; and not RESOURCE_EXHAUSTED or
 * ABORTED, which ask the caller for another decision.
 */
export function isTransient(error: unknown): boolean {
  if (!(error instanceof ConnectError) || error.code !== Code.Unavailable) return false;
  return error.findDetails(ErrorInfoSchema)[0]?.reason !== "WRITES_REFUSED";
}
