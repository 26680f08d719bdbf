import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { EventService, SessionService } from "@sessiond/contract";

/** Nothing here takes as long; without a bound a lost answer would hang the run. */
const callTimeoutMs = 20_000;

/** Clients of one server over one HTTP/2 connection, which rests between waves without closing. */
export interface Clients {
  readonly events: Client<typeof EventService>;
  readonly sessions: Client<typeof SessionService>;
}

export function clientsOf(address: string): Clients {
  const baseUrl = `http://${address}`;
  const transport = createGrpcTransport({ baseUrl, defaultTimeoutMs: callTimeoutMs });
  return {
    events: createClient(EventService, transport),
    sessions: createClient(SessionService, transport),
  };
}
