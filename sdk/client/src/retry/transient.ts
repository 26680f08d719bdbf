import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "@sessiond/contract/rpc";

/**
 * Says whether the same call may succeed a moment later: nothing listens yet, the connection was
 * lost, the server is going down or coming up, or it has more to do than it takes.
 *
 * Not WRITES_REFUSED, which lasts until somebody frees space; and not ABORTED or what else is
 * RESOURCE_EXHAUSTED, which ask the caller for another decision.
 */
export function isTransient(error: unknown): boolean {
  if (!(error instanceof ConnectError)) return false;
  const [info] = error.findDetails(ErrorInfoSchema);
  if (info?.reason === "TOO_MANY_CALLS") return true;
  return error.code === Code.Unavailable && info?.reason !== "WRITES_REFUSED";
}
