import { toBinary } from "@bufbuild/protobuf";
import { type Event, EventSchema, Role, type Session } from "@sessiond/contract";
import type { Connection } from "./connection.ts";
import type { Counters, SessionLog } from "./history.ts";
import { markOf } from "./marks.ts";

const pageSize = 1_000;

/** Reads a session back, head and log. Nobody may be writing. */
export async function readSession(
  { http, sessions }: Connection,
  name: { namespace: string; sessionId: string },
): Promise<SessionLog> {
  const { session } = await sessions.getSession(name);
  if (session === undefined) throw new Error(`the answer about ${name.sessionId} is empty`);
  const events: Event[] = [];
  let pageToken = "";
  do {
    const page = await http.listEvents({ ...name, pageSize, pageToken });
    events.push(...page.events);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return {
    sessionId: session.sessionId,
    entries: events.map((event) => ({
      revision: event.revision,
      mark: markOf(event),
      tokens: event.tokens?.count ?? 0,
    })),
    headRevision: session.headRevision,
    counters: countersOf(session),
    recount: recount(events),
  };
}

function countersOf({ metrics }: Session): Counters {
  return {
    events: metrics?.events ?? 0,
    messages: metrics?.messages ?? 0,
    turns: metrics?.turns ?? 0,
    steps: metrics?.steps ?? 0,
    toolCalls: metrics?.toolCalls ?? 0,
    storedBytes: metrics?.storedBytes ?? 0,
    tokens: metrics?.tokens?.total ?? 0,
  };
}

function recount(events: readonly Event[]): Counters {
  const count = (test: (event: Event) => boolean) => events.filter(test).length;
  const sum = (value: (event: Event) => number) =>
    events.reduce((total, event) => total + value(event), 0);
  return {
    events: events.length,
    messages: count(({ payload }) => payload.case === "message"),
    turns: count(({ payload, role }) => payload.case === "message" && role === Role.USER),
    steps: count(({ step }) => step > 0),
    toolCalls: count(({ payload }) => payload.case === "toolCall"),
    storedBytes: sum((event) => toBinary(EventSchema, event).length),
    tokens: sum(({ tokens }) => tokens?.count ?? 0),
  };
}

/** Names of all sessions of a namespace. */
export async function sessionIdsOf({ sessions }: Connection, namespace: string): Promise<string[]> {
  const ids: string[] = [];
  let pageToken = "";
  do {
    const page = await sessions.listSessions({ namespace, pageSize, pageToken });
    ids.push(...page.sessions.map(({ sessionId }) => sessionId));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return ids;
}
