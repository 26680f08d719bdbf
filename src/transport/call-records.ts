import type { Message } from "@bufbuild/protobuf";
import type { EndedCall } from "./call-observer.ts";
import type { Log } from "./log.ts";

/** What of a request names things. Everything else may be content, which no log has. */
const names = ["namespace", "sessionId", "requestId"] as const;

/**
 * Writes a record for every call that has ended: at `debug`, and at `error` if what it asked for is
 * damaged. Defects have a record of their own.
 */
export function callRecords(log: Log): (call: EndedCall, request?: Message) => void {
  return ({ service, method, code, reason, seconds }, request) => {
    const isDamage = code === "data_loss";
    if (!isDamage && !log.isLevelEnabled("debug")) return;
    const record = {
      method: `${service}/${method}`,
      ...namesIn(request),
      code,
      ...(reason !== undefined && { reason }),
      ms: Math.round(seconds * 1e6) / 1e3,
    };
    if (isDamage) log.error(record, "a call met damaged data");
    else log.debug(record, "a call ended");
  };
}

/** The names that a request has. A session that is made is named in a message of its own. */
function namesIn(request: object | undefined): Record<string, string> {
  if (request === undefined) return {};
  const fields = request as Readonly<Record<string, unknown>>;
  const found = names.flatMap((name) => {
    const value = fields[name];
    return typeof value === "string" && value !== "" ? [[name, value] as const] : [];
  });
  const { session } = fields;
  return {
    ...(typeof session === "object" && session !== null && namesIn(session)),
    ...Object.fromEntries(found),
  };
}
