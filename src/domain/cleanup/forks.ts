import { create } from "@bufbuild/protobuf";
import { SessionParentKind, type SharingFork, SharingForkSchema } from "@sessiond/contract";
import type { SessionPosition, Store } from "../../store/store.ts";
import { positionOf, walkChunk } from "../session-walk.ts";
import { Turns } from "../turns.ts";

/**
 * Sessions of others than the user that share history of the parents: their forks, and forks of
 * those.
 *
 * Looks at every session of the namespace once, oldest first: a fork is younger than its parent.
 */
export async function findForks(args: {
  store: Store;
  namespace: string;
  /** Ids of sessions. */
  parents: ReadonlySet<string>;
  userId: string;
}): Promise<SharingFork[]> {
  const { store, namespace, parents, userId } = args;
  const sharing = new Set(parents);
  const forks: SharingFork[] = [];
  const turns = new Turns();
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
      if (parent?.kind !== SessionParentKind.FORK || !sharing.has(parent.sessionId)) continue;
      sharing.add(sessionId);
      if (stored.session.userId === userId) continue;
      forks.push(create(SharingForkSchema, { sessionId, parentSessionId: parent.sessionId }));
    }
    if (stretch.length < walkChunk) return forks;
    await turns.yield();
  }
}
