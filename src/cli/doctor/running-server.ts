import { createServer } from "node:net";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Sessiond } from "@sessiond/client";
import type { Address } from "../../config-values.ts";
import { type Finding, notOk, ok, reasonOf } from "./finding.ts";

/** Sessions of the round trip are deleted again; a namespace of their own keeps them out of the way. */
export const doctorNamespace = "sessiond-doctor";

/** A server whose clock differs by more confuses who compares times. */
const clockToleranceMs = 5_000;

/** Whether a server can listen there, or one of ours does. */
export async function checkPort(address: Address, version: string | undefined): Promise<Finding> {
  const place = `${address.host}:${address.port}`;
  if (version !== undefined) return ok("port", `${place} is served by sessiond ${version}`);
  const error = await bindError(address);
  if (error === undefined) return ok("port", `${place} is free`);
  return notOk("port", "fail", {
    found: `${place} cannot be used: ${reasonOf(error)}`,
    fix: `choose another with --listen, or see what uses it: ss -ltnp 'sport = :${address.port}'`,
  });
}

/** Version of the server that answers; undefined when none does. */
export async function serverVersion(sessiond: Sessiond): Promise<string | undefined> {
  try {
    const { server } = await sessiond.clients.server.getServerInfo({}, { timeoutMs: 2_000 });
    return server?.version;
  } catch {
    return undefined;
  }
}

/** Creates a session in the running server, appends, reads back, and deletes it. */
export async function checkRoundTrip(sessiond: Sessiond): Promise<Finding[]> {
  const text = "is everything well?";
  try {
    const startMs = performance.now();
    const session = await sessiond.sessions.create();
    try {
      const { isDurable } = await session.append({ role: "user", text });
      const tookMs = Math.round(performance.now() - startMs);
      const { items } = await session.events({ order: "newest", pageSize: 1 });
      const [event] = items;
      if (event?.text !== text) throw new Error("what was appended was not read back");
      return [
        isDurable
          ? ok("round trip", `${sessiond.address}: created and appended in ${tookMs} ms, durable`)
          : notOk("round trip", "warn", {
              found: `${sessiond.address}: works, but nothing is durable`,
              fix: "start the server with --store lmdb to keep sessions",
            }),
        checkServerClock(session.message.createTime),
      ];
    } finally {
      await session.delete({ allowMissing: true });
    }
  } catch (error) {
    return [
      notOk("round trip", "fail", {
        found: `${sessiond.address}: ${reasonOf(error)}`,
        fix: "see the log of the server; it has the details under the id of the request",
      }),
    ];
  }
}

function checkServerClock(created: Parameters<typeof timestampDate>[0] | undefined): Finding {
  const skewMs = created === undefined ? 0 : timestampDate(created).getTime() - Date.now();
  if (Math.abs(skewMs) <= clockToleranceMs) return ok("server clock", "agrees with this machine's");
  return notOk("server clock", "warn", {
    found: `${Math.round(skewMs / 1_000)} s away from this machine's`,
    fix: "set both clocks by NTP; --since and expiry go by the server's",
  });
}

export function noServer(address: string): Finding {
  return notOk("round trip", "skip", {
    found: `no server answers at ${address}`,
    fix: 'start one with "sessiond", or name another with --address',
  });
}

function bindError({ host, port }: Address): Promise<Error | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", resolve);
    server.listen({ host, port }, () => server.close(() => resolve(undefined)));
  });
}
