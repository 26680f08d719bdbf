import type { SessionKey, SessionPosition, Store, StoredSession } from "../../store/store.ts";
import { positionOf, walkChunk } from "../session-walk.ts";
import type { Turns } from "../turns.ts";

/**
 * Goes through the sessions below one: its children and theirs, each behind its parent. Where `visit` says
 * false those below are passed over. Damaged ones are not seen.
 */
export async function visitDescendants(
  store: Store,
  { namespace, uid }: Omit<SessionKey, "sessionId">,
  options: { visit: (child: StoredSession) => boolean; turns: Turns },
): Promise<void> {
  const index = { by: "parent", value: uid } as const;
  let after: SessionPosition | undefined;
  for (;;) {
    const limit = walkChunk;
    const page = await store.listSessions({ namespace, index, limit, ...(after && { after }) });
    for (const child of page) {
      after = positionOf(child);
      if (options.visit(child)) await visitDescendants(store, child.session, options);
    }
    await options.turns.yield();
    if (page.length < limit) return;
  }
}
