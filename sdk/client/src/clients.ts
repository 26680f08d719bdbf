import { type Client, createClient, type Transport } from "@connectrpc/connect";
import {
  ConsumerService,
  ContextService,
  EventService,
  MetricsService,
  ServerService,
  SessionService,
} from "@sessiond/contract";

/**
 * The typed Connect clients of all services, for what has no short form here.
 *
 * They throw ConnectError; `fromConnectError` turns it into the classes of this client. Mutations
 * get request ids and are retried all the same. Leaving a stream early does not end its call, so
 * give streams a `signal`.
 */
export interface Clients {
  readonly sessions: Client<typeof SessionService>;
  readonly events: Client<typeof EventService>;
  readonly context: Client<typeof ContextService>;
  readonly metrics: Client<typeof MetricsService>;
  readonly consumers: Client<typeof ConsumerService>;
  readonly server: Client<typeof ServerService>;
}

export function createClients(transport: Transport): Clients {
  return {
    sessions: createClient(SessionService, transport),
    events: createClient(EventService, transport),
    context: createClient(ContextService, transport),
    metrics: createClient(MetricsService, transport),
    consumers: createClient(ConsumerService, transport),
    server: createClient(ServerService, transport),
  };
}
