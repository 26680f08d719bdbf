import type { Session } from "@sessiond/client";

/** A session in a tree of children and forks. */
export interface LineageNode {
  readonly sessionId: string;
  /** Undefined when it was deleted: forks still name it. */
  readonly session: Session | undefined;
  /** Oldest first. */
  readonly children: LineageNode[];
  /** In the order in which they branch off, then as the sessions are given. */
  readonly forks: LineageNode[];
}

/**
 * The tree that a session stands in: from its oldest ancestor down to the newest child and fork.
 *
 * A parent is known by its uid, whatever it is called now. Of some sessions, such as imported ones, the
 * name is all that is known: where a deleted parent's name was taken anew by a younger session, the
 * parent is shown as gone.
 */
export function lineageOf(sessions: readonly Session[], sessionId: string): LineageNode {
  const byName = new Map(sessions.map((session) => [session.sessionId, session]));
  const byUid = new Map(sessions.map((session) => [session.uid, session]));
  const nodes = new Map<string, LineageNode>();
  const node = (key: string, id: string, session: Session | undefined): LineageNode => {
    const known = nodes.get(key) ?? { sessionId: id, session, children: [], forks: [] };
    nodes.set(key, known);
    return known;
  };
  const nodeOf = (session: Session) => node(`at ${session.sessionId}`, session.sessionId, session);
  const parentNode = (session: Session): LineageNode | undefined => {
    if (session.parent === undefined) return undefined;
    const { sessionId: id, uid } = session.parent;
    if (uid !== "") {
      const known = byUid.get(uid);
      return known ? nodeOf(known) : node(`gone ${uid}`, id, undefined);
    }
    const parent = byName.get(id);
    // Millisecond for millisecond a parent is at most as young as its forks.
    const isIt =
      parent !== undefined && parent !== session && !(parent.createTime > session.createTime);
    return isIt ? nodeOf(parent) : node(`gone ${id}`, id, undefined);
  };
  const parents = new Map<LineageNode, LineageNode>();
  for (const session of sessions) {
    const parent = parentNode(session);
    const below = nodeOf(session);
    if (parent === undefined || isUnder(parents, parent, below)) continue;
    const isChild = session.parent?.kind === "child";
    (isChild ? parent.children : parent.forks).push(below);
    parents.set(below, parent);
  }
  for (const { forks } of nodes.values()) {
    forks.sort((a, b) => branchOf(a) - branchOf(b));
  }
  const asked = byName.get(sessionId);
  let root = asked === undefined ? node(`gone ${sessionId}`, sessionId, undefined) : nodeOf(asked);
  for (let next = parents.get(root); next !== undefined; next = parents.get(root)) root = next;
  return root;
}

/** Names can make a ring where clocks say nothing; a tree has none. */
function isUnder(
  parents: ReadonlyMap<LineageNode, LineageNode>,
  node: LineageNode,
  above: LineageNode,
): boolean {
  const since = above.session?.createTime ?? 0;
  let next: LineageNode | undefined = node;
  // Those created before it cannot stand under it, so mostly one is looked at.
  while (next?.session !== undefined && next.session.createTime >= since) {
    if (next === above) return true;
    next = parents.get(next);
  }
  return false;
}

function branchOf({ session }: LineageNode): number {
  return session?.parent?.revision ?? 0;
}
