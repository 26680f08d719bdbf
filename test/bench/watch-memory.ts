import { EventService, WatchStart } from "@sessiond/contract";
import { type ServerProcess, startServer } from "../support/server-process.ts";
import { fill, sessionIds } from "./support/fill.ts";
import { collectable, liveMemory } from "./support/live-memory.ts";
import { load } from "./support/load.ts";
import { appendBytes, uncountedEvent } from "./support/messages.ts";
import { pathOf, RawClient } from "./support/raw-client.ts";
import type { Bench, Row } from "./support/report.ts";
import { tempFolder } from "./support/temp-folder.ts";
import { startWatchers, type WatcherTask } from "./support/watcher-process.ts";

const path = pathOf(EventService.method.appendEvents);
const openWatches = 1_000;
const stalledReaders = 200;
/** Far more than the HTTP/2 window of a stream holds. */
const stalledEvents = 2_000;
/** Below the size of one stream message, which is what a stalled reader may cost. */
const batchEvents = 25;

type Stall = "paused" | "frozen";

/**
 * Memory of the server for each open watch that is idle, and for each whose reader stalled and then
 * missed 2,000 events of its session.
 *
 * A paused reader leaves its stream unread and its connection alive; a frozen one is a stopped
 * process with a connection of its own. Garbage is collected before each look. Resident memory
 * includes what the engine keeps for reuse, so the live bytes are the steadier number.
 */
export const watchMemoryBench: Bench = async (report) => {
  const rows: Row[] = [];
  for (const connections of [1, openWatches]) {
    rows.push(
      await measure(
        `${openWatches} idle, ${connections === 1 ? "one connection" : "a connection each"}`,
        (server) => ({
          address: server.address,
          requests: Array(openWatches).fill({ sessionId: "idle-0", start: WatchStart.NOW }),
          connections,
          reads: true,
        }),
      ),
    );
  }
  for (const sessions of [1, stalledReaders]) {
    for (const stall of ["paused", "frozen"] satisfies Stall[]) {
      const ids = sessionIds(sessions, `${stall}-${sessions}`);
      rows.push(
        await measure(
          `${stalledReaders} ${stall}, ${sessions === 1 ? "one session" : "a session each"}`,
          (server) => ({
            address: server.address,
            requests: Array.from({ length: stalledReaders }, (_, index) => ({
              sessionId: ids[index % ids.length] ?? "",
              start: WatchStart.NOW,
            })),
            connections: stall === "paused" ? 1 : stalledReaders,
            reads: false,
          }),
          { sessionIds: ids, stall },
        ),
      );
    }
  }
  report.table("memory of the server for each open watch, garbage collected", rows);
};

/** Opens the watches on a fresh server, writes what they miss, and says what each came to. */
async function measure(
  what: string,
  taskOf: (server: ServerProcess) => WatcherTask,
  missed?: { readonly sessionIds: readonly string[]; readonly stall: Stall },
): Promise<Row> {
  await using data = await tempFolder();
  await using server = await startServer({ data: data.path, env: collectable });
  using client = new RawClient(server.address);
  const ids = missed?.sessionIds ?? ["idle-0"];
  const write = () => fill(client, { sessionIds: ids, eventsEach: stalledEvents, ...filling });
  const task = taskOf(server);
  // The same beforehand, so that code, buffers and pools of the first time are not counted.
  await write();
  await using warmUp = await startWatchers({ ...task, reads: true });
  await write();
  await warmUp[Symbol.asyncDispose]();
  await write();

  const before = await liveMemory(server);
  await using watchers = await startWatchers(task);
  if (missed?.stall === "frozen") watchers.freeze();
  if (missed !== undefined) await write();
  const after = await liveMemory(server);
  // A reader that stalled must not keep others from being served.
  const { p99Ms } = await load({
    inFlight: 1,
    durationMs: 500,
    call: () => client.call(path, one),
  });
  const each = (bytes: number) => (bytes / task.requests.length / 1024).toFixed(1);
  return {
    watches: what,
    "live KiB each": each(after.liveBytes - before.liveBytes),
    "resident KiB each": each(after.residentBytes - before.residentBytes),
    "append p99 ms": p99Ms.toFixed(2),
  };
}

const filling = { batchEvents, event: uncountedEvent() };
const one = appendBytes({ sessionId: "idle-0", events: [uncountedEvent()] });
