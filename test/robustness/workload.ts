import { create } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import {
  type AppendEventsRequest,
  AppendEventsRequestSchema,
  EventOrder,
  type EventService,
} from "@sessiond/contract";
import { batchOf } from "./batches.ts";
import { type Connection, failureKind } from "./connection.ts";
import type { Ledger } from "./ledger.ts";
import { markOf } from "./marks.ts";
import { type Random, randomOf } from "./random.ts";

export interface Workload {
  readonly connection: Connection;
  readonly ledger: Ledger;
  readonly namespace: string;
  readonly sessionIds: readonly string[];
  readonly seed: number;
  /** Makes the names of this workload's workers and requests different from all others. */
  readonly name: string;
  /** Ends the workers that their failing calls do not end. */
  readonly signal: AbortSignal;
}

const unaryWorkers = 6;
const streamBatches = 8;
const eventsPerBatch = 20;

/** Has workers append and read side by side until the server dies. */
export async function run(workload: Workload): Promise<void> {
  const workers = Array.from({ length: unaryWorkers }, (_, index) =>
    appendOneByOne(workload, index),
  );
  await Promise.all([...workers, appendPipelined(workload), readOn(workload)]);
}

/** Sends an append and notes what came of it; false when the server is gone. */
export async function send(
  client: Client<typeof EventService>,
  ledger: Ledger,
  request: AppendEventsRequest,
): Promise<boolean> {
  await ledger.sending(request);
  try {
    const response = await client.appendEvents(request);
    await ledger.acknowledged(request.requestId, response);
    return true;
  } catch (error) {
    const failure = failureKind(error);
    if (failure.kind === "unknown") {
      await ledger.unknown(request.requestId, failure.why);
      return false;
    }
    await ledger.refused(request.requestId, failure.reason);
    return true;
  }
}

/** One call after another; some are sent twice at once, some sent again after their answer. */
async function appendOneByOne(workload: Workload, index: number): Promise<void> {
  const { connection, ledger, signal } = workload;
  const random = randomOf(workload.seed, `${workload.name} worker ${index}`);
  const requests = requestsOf(workload, `worker${index}`, random);
  const { grpc, http } = connection;
  while (!signal.aborted) {
    const request = requests.next({ mayExpect: true });
    const clients = random.chance(0.1) ? [grpc, http] : [random.pick([grpc, http])];
    if (random.chance(0.05)) clients.push(random.pick([grpc, http]));
    const sent = await Promise.all(clients.map((client) => send(client, ledger, request)));
    if (!sent.every((isAnswered) => isAnswered)) return;
    if (random.chance(0.05) && !(await send(http, ledger, request))) return;
  }
}

/** Several batches under way on one stream, with answers in the order they were sent. */
async function appendPipelined(workload: Workload): Promise<void> {
  const { connection, ledger, signal } = workload;
  const random = randomOf(workload.seed, `${workload.name} stream`);
  const requests = requestsOf(workload, "stream", random);
  while (!signal.aborted) {
    const batches = Array.from({ length: streamBatches }, () =>
      requests.next({ mayExpect: false }),
    );
    await Promise.all(batches.map((request) => ledger.sending(request)));
    const unanswered = batches.map(({ requestId }) => requestId);
    async function* messages() {
      for (const append of batches) yield { append };
    }
    try {
      for await (const { append } of connection.grpc.appendStream(messages())) {
        const requestId = unanswered.shift();
        if (append !== undefined && requestId !== undefined) {
          await ledger.acknowledged(requestId, append);
        }
      }
    } catch (error) {
      const failure = failureKind(error);
      const why = failure.kind === "unknown" ? failure.why : failure.reason;
      await Promise.all(unanswered.map((requestId) => ledger.unknown(requestId, why)));
      return;
    }
  }
}

/** Notes the newest events as a reader sees them while they are being written. */
async function readOn({ connection, ledger, ...workload }: Workload): Promise<void> {
  const { namespace, sessionIds, signal } = workload;
  const random = randomOf(workload.seed, `${workload.name} reader`);
  while (!signal.aborted) {
    const sessionId = random.pick(sessionIds);
    if (ledger.headOf(sessionId) === 0) {
      await new Promise(setImmediate);
      continue;
    }
    try {
      const order = EventOrder.NEWEST_FIRST;
      const { events } = await connection.http.listEvents({
        namespace,
        sessionId,
        order,
        pageSize: 5,
      });
      for (const event of events) {
        ledger.sightings.push({ sessionId, revision: event.revision, mark: markOf(event) });
      }
    } catch (error) {
      failureKind(error);
      return;
    }
  }
}

function requestsOf({ ledger, ...workload }: Workload, worker: string, random: Random) {
  const { name, namespace, sessionIds } = workload;
  let count = 0;
  return {
    next({ mayExpect }: { mayExpect: boolean }): AppendEventsRequest {
      count += 1;
      const requestId = `${name}.${worker}.${count}`;
      const sessionId = random.pick(sessionIds);
      const size = random.between(1, eventsPerBatch);
      return create(AppendEventsRequestSchema, {
        namespace,
        sessionId,
        requestId,
        createIfMissing: true,
        events: batchOf({ requestId, size, random }),
        ...(mayExpect && random.chance(0.2) && { expectedRevision: ledger.headOf(sessionId) }),
      });
    },
  };
}
