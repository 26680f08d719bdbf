import type { Event } from "@sessiond/contract";
import type { ContextState } from "@sessiond/contract/store";
import { type Stretch, visibleParts } from "../history/visible.ts";
import { withAmendments } from "./amendment-view.ts";
import type { EventCache, Log } from "./event-cache.ts";
import { type Group, groupEvents } from "./groups.ts";
import { withProtection } from "./protection-view.ts";

/** What a window can be made of. */
export interface Material {
  /** Groups that were read, in the order of their first events: the newest ones, and those asked for. */
  readonly groups: readonly Group[];
  /** Groups that begin at or behind this revision are all there. */
  readonly completeFrom: number;
  /**
   * All events from there on, whether windows show them or not, as the log has them; without what a
   * rewind hides.
   */
  readonly tail: readonly Event[];
}

/** Events that are read at once on the way back through a log, at least; then a quarter of what is there. */
const stride = 64;

/**
 * Reads the newest groups of a log until they are enough, and older ones by name.
 *
 * It reads by the size of the window, not of the log. Errors: DataLossError.
 */
export async function readMaterial(args: {
  cache: EventCache;
  log: Log;
  state: ContextState;
  /** Nothing at or before this revision is read unless it is asked for by name. */
  after: number;
  /** First revisions of older groups to read in any case. */
  wanted: Iterable<number>;
  /** Says whether the newest events are more than a window could hold. */
  isEnough(events: readonly Event[]): boolean;
}): Promise<Material> {
  const { cache, log, state, after, isEnough } = args;
  const amended = (events: readonly Event[]) => withAmendments(events, { cache, log, state });
  const enough = async (events: readonly Event[]) => isEnough(await amended(events));
  const parts = visibleParts(state.hidden, { first: after + 1, last: log.head }).reverse();
  let from = after + 1;
  let tail: readonly Event[] = [];
  for (const [index, part] of parts.entries()) {
    const read = await readBack({ cache, log, part, behind: tail, enough });
    tail = read.tail;
    const isOldest = index === parts.length - 1;
    if (isOldest ? read.from === part.first : !read.isEnough) continue;
    from = read.from;
    break;
  }
  const older = new Set<number>();
  for (const first of args.wanted) if (first > 0 && first < from) older.add(first);
  // An answer that came late belongs to a group further back.
  for (const { group } of tail) if (group > after && group < from) older.add(group);
  const members: Event[] = [];
  for (const first of older) {
    members.push(...(await readGroup({ cache, log, state, first, before: from })));
  }
  const shown = await amended([...members, ...tail]);
  const events = withProtection(shown, state).toSorted((a, b) => a.revision - b.revision);
  const complete = (first: number) => first >= from || older.has(first);
  const groups = groupEvents(events).filter(({ first }) => complete(first));
  return { groups: groups.sort((a, b) => a.first - b.first), completeFrom: from, tail };
}

/** Reads a part of a log backwards until it is enough together with what stands behind it. */
async function readBack(args: {
  cache: EventCache;
  log: Log;
  part: Stretch;
  behind: readonly Event[];
  enough(events: readonly Event[]): Promise<boolean>;
}): Promise<{ from: number; tail: readonly Event[]; isEnough: boolean }> {
  const { cache, log, part, behind, enough } = args;
  let from = part.last + 1;
  let tail = behind;
  while (from > part.first) {
    const before = from;
    from = Math.max(part.first, from - Math.max(stride, Math.floor(tail.length / 4)));
    tail =
      part.last === log.head
        ? await cache.tail(log, from)
        : [...(await cache.range(log, from, before - 1)), ...tail];
    if (await enough(tail)) return { from, tail, isEnough: true };
  }
  return { from, tail, isEnough: false };
}

/** Members of a group that stand before a revision: those together, and the late ones; as the log has them. */
export async function readGroup(args: {
  cache: EventCache;
  log: Log;
  state: ContextState;
  first: number;
  before: number;
}): Promise<Event[]> {
  const { cache, log, state, first, before } = args;
  const members: Event[] = [];
  for (const part of growing(visibleParts(state.hidden, { first, last: before - 1 }))) {
    const events = await cache.range(log, part.first, part.last);
    // Those that stand together end where a younger group begins.
    const end = events.findIndex(({ group }) => group > first);
    const here = end === -1 ? events : events.slice(0, end);
    members.push(...here.filter(({ group }) => group === first));
    if (end !== -1) break;
  }
  const known = new Set(members.map(({ revision }) => revision));
  for (const { group, revision } of [...state.lateMembers, ...state.protected]) {
    if (group !== first || revision >= before || known.has(revision)) continue;
    known.add(revision);
    members.push(...(await cache.range(log, revision, revision)));
  }
  return members;
}

/** Pieces of parts of a log, each up to twice as long as the one before. */
function* growing(parts: readonly Stretch[]): Generator<Stretch, void, undefined> {
  let size = 4;
  for (const { first, last } of parts) {
    for (let next = first; next <= last; ) {
      const end = Math.min(last, next + size - 1);
      yield { first: next, last: end };
      next = end + 1;
      size *= 2;
    }
  }
}
