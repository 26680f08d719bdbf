import { CleanupAction, SessionState } from "@sessiond/contract";
import { PageTokenInvalidError } from "../../errors.ts";
import type { SessionIndex, SessionPosition } from "../../store/store.ts";
import { parsePosition, positionText } from "../session-walk.ts";

/**
 * The lists that a cleanup goes through, one after the other, oldest session first. CREATED comes
 * first: a session that starts meanwhile is met again in ACTIVE rather than missed.
 */
export function listsFor(action: CleanupAction): readonly SessionIndex[] {
  if (action === CleanupAction.DELETE) return [{ by: "all" }];
  return [
    { by: "state", value: SessionState.CREATED },
    { by: "state", value: SessionState.ACTIVE },
  ];
}

/** How far a cleanup is. */
export interface CleanupPlace {
  /** When its first page was read: sessions created later are none of its. */
  readonly startMs: number;
  /** Which of its lists it is in, from 0. */
  readonly list: number;
  /** Continue behind this session of the list. */
  readonly after?: SessionPosition;
}

export function placeText({ startMs, list, after }: CleanupPlace): string {
  return `${startMs} ${list}${after === undefined ? "" : ` ${positionText(after)}`}`;
}

/** Errors: PageTokenInvalidError for one made up by a caller. */
export function parsePlace(text: string, lists: number): CleanupPlace {
  const [, startMs, list, after] = /^(\d{1,15}) (\d)(?: (.+))?$/su.exec(text) ?? [];
  if (startMs === undefined || list === undefined || Number(list) >= lists) {
    throw new PageTokenInvalidError("malformed");
  }
  return {
    startMs: Number(startMs),
    list: Number(list),
    ...(after === undefined ? {} : { after: parsePosition(after) }),
  };
}
