import { create } from "@bufbuild/protobuf";
import { type Event, EventSchema, type Session, SessionParentKind } from "@sessiond/contract";
import { DataLossError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import type { Store, StoredSession } from "../../store/store.ts";
import type { OwnRange, SessionFacts, SessionSource } from "./source.ts";

/** Looks sessions up in the store. `leaving` makes events of a session into what the sink may have. */
export function storeSource(
  store: Pick<Store, "getSession" | "readEvents">,
  leaving: (sessionId: string, events: readonly Event[]) => Promise<readonly Event[]>,
): SessionSource {
  const find = async (name: { namespace: string; sessionId: string; uid: string }) => {
    const stored = await store.getSession(name);
    return stored?.session.uid === name.uid ? stored : undefined;
  };
  return {
    session: async (name) => {
      const stored = await find(name);
      if (stored === undefined) return undefined;
      const [told] = await leaving(name.sessionId, [toldOf(stored)]);
      return factsOf(stored.session, told, await parentOf(stored.session, name.namespace));
    },
    events: async (range) => leaving(range.sessionId, await read(store, range)),
  };

  async function parentOf(session: Session, namespace: string) {
    const { sessionId = "", uid = "", revision = 0, kind = 0 } = session.parent ?? {};
    // A mere name, which nothing follows from.
    if (uid === "") return undefined;
    const parent = await find({ namespace, sessionId, uid });
    return { sessionId, uid, revision, kind, firstRevision: parent ? firstOf(parent.session) : 1 };
  }
}

/** What facts say of a session as an event, so that nothing leaves in them that would not in its log. */
function toldOf({ session, head }: StoredSession): Event {
  const { agentId, model } = session;
  const { reportedInput = 0, reportedOutput = 0 } = head.metrics?.tokens ?? {};
  return create(EventSchema, {
    payload: { case: "sessionStarted", value: { agentId, model } },
    usage: { inputTokens: reportedInput, outputTokens: reportedOutput },
  });
}

function factsOf(
  session: Session,
  told: Event | undefined,
  parent: SessionFacts["parent"],
): SessionFacts {
  const started = told?.payload.case === "sessionStarted" ? told.payload.value : undefined;
  return {
    agentId: started?.agentId ?? "",
    model: started?.model ?? "",
    firstRevision: firstOf(session),
    ...(parent && { parent }),
    inputTokens: told?.usage?.inputTokens ?? 0,
    outputTokens: told?.usage?.outputTokens ?? 0,
  };
}

/** A fork's own log begins behind what it shares; one that was imported shares nothing. */
function firstOf({ parent }: Session): number {
  const isFork = parent?.kind === SessionParentKind.FORK && parent.uid !== "";
  return isFork ? parent.revision + 1 : 1;
}

/** Newest first, so that those that are read when they are too many are the newest. */
async function read(
  store: Pick<Store, "readEvents">,
  { uid, first, last }: OwnRange,
): Promise<Event[]> {
  if (first > last) return [];
  try {
    const events = await store.readEvents({
      uid,
      first,
      last,
      reverse: true,
      maxEvents: limits.pageSize,
      maxBytes: limits.pageBytes,
    });
    return events.reverse();
  } catch (error) {
    if (error instanceof DataLossError) return [];
    throw error;
  }
}
