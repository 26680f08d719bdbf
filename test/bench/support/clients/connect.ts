import { createClient, type Transport } from "@connectrpc/connect";
import { createGrpcTransport as createNodeTransport } from "@connectrpc/connect-node";
import { createGrpcTransport } from "@sessiond/client";
import { EventService, SessionService, WatchStart } from "@sessiond/contract";
import { countdown, type MeasuredClient } from "./measured-client.ts";

/** Connect's typed clients over connect-node's own gRPC transport, on plaintext HTTP/2. */
export function connectNodeClient(address: string): MeasuredClient {
  return connectClient(createNodeTransport({ baseUrl: `http://${address}` }));
}

/** The same clients over the SDK's transport, and nothing else of the SDK. */
export function sdkTransportClient(address: string): MeasuredClient {
  return connectClient(createGrpcTransport({ address }));
}

function connectClient(transport: Transport): MeasuredClient {
  const sessions = createClient(SessionService, transport);
  const log = createClient(EventService, transport);
  return {
    getSession: (sessionId) => sessions.getSession({ sessionId }),
    async watchEvents({ sessionId, events }) {
      const more = countdown(events);
      // Leaving the loop alone would not end the call.
      const ended = new AbortController();
      const request = { sessionId, start: WatchStart.BEGINNING };
      for await (const { message } of log.watchEvents(request, { signal: ended.signal })) {
        if (!more(message.case === "events" ? message.value.events.length : 0)) break;
      }
      ended.abort();
    },
  };
}
