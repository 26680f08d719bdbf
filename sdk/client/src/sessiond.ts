import { resolveAddress } from "./address.ts";
import { type ClientOptions, SessiondClient } from "./client.ts";
import { createGrpcTransport } from "./transport/grpc-transport.ts";

export interface SessiondOptions extends ClientOptions {
  /** `host:port` or `unix:/path`. Default: `SESSIOND_ADDRESS`, else 127.0.0.1:7377. */
  readonly address?: string | undefined;
  /** Variables in which `SESSIOND_ADDRESS` is looked up. Default: those of the process. */
  readonly variables?: Readonly<Record<string, string | undefined>> | undefined;
}

/**
 * A client of one sessiond, for one namespace, over gRPC. Connects with the first call.
 *
 * ```ts
 * await using sessiond = new Sessiond();
 * const session = await sessiond.sessions.create({ sessionId: "user-42" });
 * await session.append({ role: "user", text: "I want to visit Japan next month" });
 * ```
 */
export class Sessiond extends SessiondClient {
  /** Errors: UsageError for an address or a retry option that makes no sense. */
  constructor(options: string | SessiondOptions = {}) {
    const given = typeof options === "string" ? { address: options } : options;
    const address = resolveAddress(given.address, given.variables ?? process.env);
    super({ address, open: (wanted) => createGrpcTransport({ address, ...wanted }) }, given);
  }
}
