import { Sessiond } from "@sessiond/client";
import { countdown, type MeasuredClient } from "./measured-client.ts";

/** The SDK as its README shows it. */
export function sdkClient(address: string): MeasuredClient {
  const sessiond = new Sessiond(address);
  return {
    getSession: (sessionId) => sessiond.sessions.get(sessionId),
    async watchEvents({ sessionId, events }) {
      const session = await sessiond.sessions.get(sessionId);
      const more = countdown(events);
      for await (const _event of session.watch()) if (!more(1)) break;
    },
  };
}
