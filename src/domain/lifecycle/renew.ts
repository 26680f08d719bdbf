import { InvalidFieldError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import type { SessionCell, SessionCells, SessionName } from "../session-cells.ts";
import { settled } from "./lapse.ts";
import { hasEnded } from "./states.ts";

/**
 * Keeps the ended session of a cell under the next free name of `<id>~1`, `<id>~2` …, and has `make`
 * commit a fresh one under the name it leaves. The two commits follow one another without a wait, so
 * nobody comes between them. Undefined: somebody else changed a session meanwhile; look again.
 *
 * Errors: InvalidFieldError when the longer name is too long; those of `make`.
 */
export async function keepEnded<T>(args: {
  cells: SessionCells;
  cell: SessionCell;
  nowMs: number;
  /** Says whether the session of that uid may leave its name, and a fresh one come, at this moment. */
  canMake: (uid: string) => boolean;
  make: () => Promise<T>;
}): Promise<T | undefined> {
  const { cells, cell, nowMs, canMake, make } = args;
  const name = await freeName(cells, cell.name);
  return cells.use(name, async (target) => {
    if (cell.latest === undefined || target.latest !== undefined) return undefined;
    if (!canMake(cell.latest.session.uid)) return undefined;
    const { after, events } = settled(cell.latest, nowMs);
    if (!hasEnded(after)) return undefined;
    const { sessionId } = name;
    const kept = { session: { ...after.session, sessionId }, head: after.head };
    // Both are waited for, so that an error of the second finds the first one done.
    const [renamed, made] = await Promise.allSettled([
      cell.rename({ after: kept, events }, target),
      make(),
    ]);
    if (renamed.status === "rejected") throw renamed.reason;
    if (made.status === "rejected") throw made.reason;
    return made.value;
  });
}

/**
 * The first free name of `<id>~1`, `<id>~2` …. Looks at ever larger numbers, then in between: a handful
 * of looks also for thousands of names. Errors: InvalidFieldError when the longer name is too long.
 */
export async function freeName(cells: SessionCells, { namespace, sessionId }: SessionName) {
  const nameOf = (number: number) => ({ namespace, sessionId: `${sessionId}~${number}` });
  const isFree = (number: number) =>
    cells.use(checked(nameOf(number)), (cell) => cell.latest === undefined);
  let taken = 0;
  let free = 1;
  while (!(await isFree(free))) {
    taken = free;
    free *= 2;
  }
  while (free - taken > 1) {
    const middle = Math.floor((free + taken) / 2);
    if (await isFree(middle)) free = middle;
    else taken = middle;
  }
  return nameOf(free);
}

function checked(name: SessionName): SessionName {
  if (Buffer.byteLength(name.sessionId) <= limits.idBytes) return name;
  throw new InvalidFieldError({
    field: "session.session_id",
    description: `leaves no room to keep the ended session as "${name.sessionId}", which is longer than ${limits.idBytes} bytes; delete it, or choose a shorter name`,
  });
}
