import { fromConnectError, type Sessiond } from "@sessiond/client";
import type { ServerInfo } from "@sessiond/contract";

/** What the server says of itself; undefined: it said nothing. Errors: those of the client. */
export async function serverInfo(
  { clients }: Sessiond,
  signal: AbortSignal,
): Promise<ServerInfo | undefined> {
  try {
    return (await clients.server.getServerInfo({}, { signal })).server;
  } catch (error) {
    throw fromConnectError(error);
  }
}
