import { create, toBinary } from "@bufbuild/protobuf";
import {
  EventService,
  GetSessionRequestSchema,
  ListEventsRequestSchema,
  SessionService,
} from "@sessiond/contract";
import { startServer } from "../support/server-process.ts";
import { fill } from "./support/fill.ts";
import { at, type Call, load, median } from "./support/load.ts";
import { pathOf, RawClient } from "./support/raw-client.ts";
import type { Bench } from "./support/report.ts";
import { tempFolder } from "./support/temp-folder.ts";
import { listedEvents } from "./support/wire.ts";
import { startEcho } from "./support/yardsticks.ts";

const paths = {
  append: pathOf(EventService.method.appendEvents),
  list: pathOf(EventService.method.listEvents),
  get: pathOf(SessionService.method.getSession),
};
const rounds = 5;
const durationMs = 2_000;
const logEvents = 50_000;
const sessionId = "long";

/**
 * Pages of a long log, and sessions by name, each against a bare grpc-js echo whose answer has the
 * same size. Pages begin all over the log, which is in the page cache of the system.
 */
export const listBench: Bench = async (report) => {
  await using data = await tempFolder();
  await using server = await startServer({ data: data.path });
  using client = new RawClient(server.address);
  await fill(client, { sessionIds: [sessionId], eventsEach: logEvents });

  const pagesOf = (pageSize: number) => {
    const requests = Array.from({ length: 199 }, (_, i) =>
      listBytes({ firstRevision: 1 + ((i * 7_919) % (logEvents - pageSize)), pageSize }),
    );
    return (index: number) => client.call(paths.list, at(requests, index));
  };
  const get = Buffer.from(
    toBinary(GetSessionRequestSchema, create(GetSessionRequestSchema, { sessionId })),
  );
  const variants = [
    { what: "ListEvents, pages of 50", inFlight: 8, call: pagesOf(50) },
    { what: "ListEvents, pages of 1,000", inFlight: 8, call: pagesOf(1_000) },
    { what: "GetSession", inFlight: 64, call: () => client.call(paths.get, get) },
  ];
  const rows = [];
  for (const { what, inFlight, call } of variants) {
    const answer = await call(0);
    await using echo = await startEcho({ answerBytes: answer.length });
    using echoClient = new RawClient(echo.address);
    const toEcho = () => echoClient.call(paths.append, get);
    const { ours, echoes } = await inTurns({ inFlight, call, toEcho });
    const events = listedEvents(answer).length;
    const callsPerSecond = median(ours.map(({ perSecond }) => perSecond));
    rows.push({
      what,
      "in flight": inFlight,
      "answer bytes": answer.length,
      "calls/s": Math.round(callsPerSecond),
      "events/s": what.startsWith("List") ? Math.round(callsPerSecond * events) : "",
      "of echo": median(
        ours.map(({ perSecond }, i) => perSecond / (echoes[i]?.perSecond ?? 1)),
      ).toFixed(2),
      "p50 ms": median(ours.map(({ p50Ms }) => p50Ms)).toFixed(2),
      "p99 ms": median(ours.map(({ p99Ms }) => p99Ms)).toFixed(2),
    });
  }
  report.table(`reads of a log of ${logEvents.toLocaleString("en")} events`, rows);
};

async function inTurns(args: { inFlight: number; call: Call; toEcho: Call }) {
  const { inFlight, call, toEcho } = args;
  const ours = [];
  const echoes = [];
  for (let round = 0; round <= rounds; round++) {
    const echo = await load({ inFlight, durationMs, call: toEcho });
    const our = await load({ inFlight, durationMs, call });
    // The first round warms up both sides.
    if (round === 0) continue;
    echoes.push(echo);
    ours.push(our);
  }
  return { ours, echoes };
}

function listBytes(range: { firstRevision: number; pageSize: number }): Buffer {
  const request = create(ListEventsRequestSchema, { sessionId, ...range });
  return Buffer.from(toBinary(ListEventsRequestSchema, request));
}
