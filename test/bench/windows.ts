import { loadavg } from "node:os";
import { startServer } from "../support/server-process.ts";
import { buildBundle } from "./support/bundle.ts";
import { RawClient } from "./support/raw-client.ts";
import type { Bench } from "./support/report.ts";
import { tempFolder } from "./support/temp-folder.ts";
import { blockRows } from "./windows/blocks.ts";
import { type GetWindow, tokenizerLoaded, windowPath } from "./windows/calls.ts";
import { coldQueryRows, coldRows } from "./windows/cold.ts";
import { compactionRows } from "./windows/compactions.ts";
import { openInProcess } from "./windows/in-process.ts";
import { type FilledSession, fillSessions, kinds } from "./windows/sessions.ts";
import {
  plainVariants,
  queryVariants,
  type WarmRun,
  warmRows,
  warmRun,
  warmRunsApart,
} from "./windows/warm.ts";

const rounds = { plain: 600, query: 200 };

/**
 * Context windows of 8,000 tokens: of sessions of 100 to 100,000 events, warm and right after a
 * restart, with and without a query; the work of compactions; and how long the event loop stands
 * still.
 *
 * Calls are made one at a time and the sizes take turns, so that their ratios are fair. "Server" is
 * the same call in this process, without the transport: decoding, building, encoding. Restarts are
 * of the production bundle. Not measured: several calls at once, and a cold disk.
 */
export const windowsBench: Bench = async (report) => {
  await using data = await tempFolder();
  const { sessions, wire } = await overWire(data.path);
  const server = await inProcess(data.path, sessions);
  for (const kind of kinds) {
    const ofKind = ({ session }: { session: FilledSession }) => session.kind === kind;
    const rows = warmRows(plainVariants(sessions), { wire: wire.plain, server: server.plain });
    const wanted = plainVariants(sessions).map(ofKind);
    report.table(
      titled(`warm windows of sessions, ${kind}`),
      rows.filter((_, index) => wanted[index]),
    );
  }
  report.table(
    titled("warm windows with a query"),
    warmRows(queryVariants(sessions), { wire: wire.query, server: server.query }),
  );
  await using bundle = await buildBundle();
  const built = { data: data.path, wrap: bundle.wrap };
  report.table(titled("first windows after a restart"), await coldRows(built, sessions));
  report.table(titled("first queries after a restart"), await coldQueryRows(built, sessions));
  report.table(titled("compactions of a session"), await compactionRows());
  report.table(titled("the event loop"), await blockRows(data.path, sessions));
};

interface WarmRuns {
  readonly plain: WarmRun;
  readonly query: WarmRun;
}

async function overWire(data: string): Promise<{ sessions: FilledSession[]; wire: WarmRuns }> {
  await using server = await startServer({ data });
  using client = new RawClient(server.address);
  await tokenizerLoaded(client);
  const sessions = await fillSessions(client);
  return { sessions, wire: await warmRuns((bytes) => client.call(windowPath, bytes), sessions) };
}

async function inProcess(data: string, sessions: readonly FilledSession[]): Promise<WarmRuns> {
  await using server = await openInProcess(data);
  return await warmRuns((bytes) => server.window(bytes), sessions);
}

async function warmRuns(
  getWindow: GetWindow,
  sessions: readonly FilledSession[],
): Promise<WarmRuns> {
  return {
    plain: await warmRun(getWindow, plainVariants(sessions), rounds.plain),
    query: await warmRunsApart(getWindow, queryVariants(sessions), rounds.query),
  };
}

/** With the load of the machine in the last minute, which is also this benchmark's own. */
function titled(title: string): string {
  return `${title} (load ${loadavg()[0]?.toFixed(1) ?? ""})`;
}
