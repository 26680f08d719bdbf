import { type Client, createClient } from "@connectrpc/connect";
import { EventService, SessionService } from "@sessiond/contract";
import { createGrpcTransport } from "../../../sdk/client/src/index.ts";

/** Nothing here takes as long; without a bound a lost answer would hang the run. */
const callTimeoutMs = 20_000;

/** Clients of one server over one HTTP/2 connection. Disposing closes it. */
export interface Clients extends Disposable {
  readonly events: Client<typeof EventService>;
  readonly sessions: Client<typeof SessionService>;
}

export function clientsOf(address: string): Clients {
  const transport = createGrpcTransport({ address, defaultTimeoutMs: callTimeoutMs });
  return {
    events: createClient(EventService, transport),
    sessions: createClient(SessionService, transport),
    [Symbol.dispose]: () => transport.close(),
  };
}
