import { WritesRefusedError } from "../errors.ts";
import type { Change } from "../store/store.ts";
import type { SessionCell } from "./session-cells.ts";

/**
 * Gives an answer that changes nothing, and remembers it: a late retry must not have the effect
 * that the first call did not have. Where nothing can be written it is given all the same.
 */
export async function withoutEffect<T>(
  cell: SessionCell,
  answer: T,
  request: Change["request"],
): Promise<T> {
  const { latest } = cell;
  if (request === undefined) {
    await cell.settled();
    return answer;
  }
  try {
    await cell.commit({ ...(latest && { after: latest }), events: [], request });
  } catch (error) {
    if (!(error instanceof WritesRefusedError) || cell.durable !== latest) throw error;
  }
  return answer;
}

/** The part of a change that carries the record of its request. */
export function remembered<T>(request: T | undefined): { request?: T } {
  return request === undefined ? {} : { request };
}
