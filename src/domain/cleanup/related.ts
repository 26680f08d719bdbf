import { create } from "@bufbuild/protobuf";
import { SessionParentKind, type SharingFork, SharingForkSchema } from "@sessiond/contract";
import type { SessionKey, SessionPosition, Store, StoredSession } from "../../store/store.ts";
import { visitDescendants } from "../children/descendants.ts";
import { positionOf, walkChunk } from "../session-walk.ts";
import { Turns } from "../turns.ts";

/** What others have that comes from the sessions of a user. */
export interface Related {
  /** Sessions that share history of them or of their children: forks, and forks of those. */
  readonly forks: readonly SharingFork[];
  /** How many are their children, or children of those: they are deleted with them. */
  readonly children: number;
}

/**
 * Finds sessions of others than the user that come from the sessions given.
 *
 * Children are found by their list. For forks it looks at every session of the namespace once, oldest
 * first: a fork is younger than its parent.
 */
export async function findRelated(args: {
  store: Store;
  namespace: string;
  sessions: readonly SessionKey[];
  userId: string;
}): Promise<Related> {
  const { store, namespace, sessions, userId } = args;
  const turns = new Turns();
  /** What has their history, by uid; and by id, because an older fork knows its parent by that alone. */
  const sharing = { uids: new Set<string>(), ids: new Set<string>() };
  const share = ({ uid, sessionId }: Pick<SessionKey, "uid" | "sessionId">) => {
    sharing.uids.add(uid);
    sharing.ids.add(sessionId);
  };
  for (const key of sessions) share(key);
  let children = 0;
  const visit = ({ session }: StoredSession) => {
    // Met before: below another one of the user.
    if (sharing.uids.has(session.uid)) return false;
    if (session.userId !== userId) children += 1;
    share(session);
    return true;
  };
  for (const key of sessions) await visitDescendants(store, key, { visit, turns });

  const forks: SharingFork[] = [];
  let after: SessionPosition | undefined;
  for (;;) {
    const stretch = await store.listSessions({
      namespace,
      index: { by: "all" },
      limit: walkChunk,
      ...(after && { after }),
    });
    for (const stored of stretch) {
      after = positionOf(stored);
      const { sessionId, parent } = stored.session;
      if (parent?.kind !== SessionParentKind.FORK) continue;
      const { uid, sessionId: parentSessionId } = parent;
      if (uid === "" ? !sharing.ids.has(parentSessionId) : !sharing.uids.has(uid)) continue;
      share(stored.session);
      if (stored.session.userId === userId) continue;
      forks.push(create(SharingForkSchema, { sessionId, parentSessionId }));
    }
    if (stretch.length < walkChunk) return { forks, children };
    await turns.yield();
  }
}
