import { type ClientOptions, SessiondClient } from "../client.ts";
import { resolveWebAddress } from "./address.ts";
import { createWebTransport } from "./web-transport.ts";

export interface SessiondOptions extends ClientOptions {
  /** URL of the server. Default http://127.0.0.1:7377. */
  readonly address?: string | undefined;
}

/**
 * A client of one sessiond, for one namespace, over `fetch`. The server must allow the page's
 * origin with `--allow-origin`.
 *
 * Over plain HTTP a browser keeps six connections to a server for all its pages, and every watch
 * takes one: watch a namespace rather than many sessions.
 *
 * ```ts
 * const sessiond = new Sessiond("http://127.0.0.1:7377");
 * const session = await sessiond.sessions.create({ sessionId: "user-42" });
 * for await (const event of session.watch()) console.log(event.revision, event.text);
 * ```
 */
export class Sessiond extends SessiondClient {
  /** Errors: UsageError for an address or a retry option that makes no sense. */
  constructor(options: string | SessiondOptions = {}) {
    const given = typeof options === "string" ? { address: options } : options;
    const address = resolveWebAddress(given.address);
    super({ address, open: (wanted) => createWebTransport({ address, ...wanted }) }, given);
  }
}
