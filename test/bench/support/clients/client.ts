/*
 * One client in a process of its own, given its name and the server's address: it does each task it
 * is sent, and answers with what it measured.
 */
import { load } from "../load.ts";
import type { ClientRun, ClientTask } from "./client-process.ts";
import { type ClientName, clients } from "./clients.ts";

const [name, address = ""] = process.argv.slice(2);
const client = clients[name as ClientName](address);

process.on("message", async ({ call, sessionId, events, inFlight, durationMs }: ClientTask) => {
  let calls = 0;
  const measured = await load({
    inFlight,
    durationMs,
    call: () => {
      calls++;
      return call === "getSession"
        ? client.getSession(sessionId)
        : client.watchEvents({ sessionId, events });
    },
  });
  answer({ ...measured, calls });
});
process.send?.("ready");

function answer(found: ClientRun): void {
  process.send?.(found);
}
