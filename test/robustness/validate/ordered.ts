import { acknowledgement, type Call, type History } from "../history.ts";

/**
 * Ordered: revisions rise in every read; a call has its events in the order it sent them, behind
 * the revision it expected, and behind those of every call acknowledged before it was sent.
 */
export function* ordered({ calls, logs }: History): Generator<string> {
  for (const { sessionId, entries } of logs) yield* rising(sessionId, entries);
  for (const call of calls) {
    const revisions = acknowledgement(call)?.revisions ?? [];
    yield* rising(
      call.requestId,
      revisions.map((revision) => ({ revision })),
    );
    yield* expected(call);
  }
  for (const group of Map.groupBy(calls, ({ sessionId }) => sessionId).values()) {
    yield* realTime(group);
  }
}

function* rising(where: string, entries: readonly { revision: number }[]): Generator<string> {
  let last = 0;
  for (const { revision } of entries) {
    if (revision <= last) yield `${where} has revision ${revision} behind ${last}`;
    last = revision;
  }
}

function* expected(call: Call): Generator<string> {
  const { requestId, expectedRevision } = call;
  const first = acknowledgement(call)?.revisions[0];
  if (expectedRevision === undefined || first === undefined) return;
  // In front of the first event of a new session stands the server's own.
  const right = expectedRevision === 0 ? 2 : expectedRevision + 1;
  if (first !== right) {
    yield `${requestId} expected revision ${expectedRevision} and was stored at ${first}`;
  }
}

/** Goes through the calls as they were sent, with those answered by then taken into account. */
function* realTime(calls: readonly Call[]): Generator<string> {
  const answered = calls
    .flatMap((call) => {
      const answer = acknowledgement(call);
      return answer === undefined ? [] : [{ call, ...answer }];
    })
    .sort((a, b) => a.place - b.place);
  const sent = answered.toSorted((a, b) => a.call.place - b.call.place);
  let next = 0;
  let newest = { revision: 0, requestId: "" };
  for (const { call, revisions } of sent) {
    for (; ; next++) {
      const before = answered[next];
      if (before === undefined || before.place > call.place) break;
      const revision = before.revisions.at(-1) ?? 0;
      if (revision > newest.revision) newest = { revision, requestId: before.call.requestId };
    }
    const first = revisions[0] ?? Number.POSITIVE_INFINITY;
    if (first <= newest.revision) {
      yield `${call.requestId} was stored at ${first}, before ${newest.requestId} at ${newest.revision}, which was answered before it was sent`;
    }
  }
}
