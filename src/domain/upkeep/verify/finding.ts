import { create } from "@bufbuild/protobuf";
import { type StoreFinding, StoreFindingCode, StoreFindingSchema } from "@sessiond/contract";

type Code = Exclude<keyof typeof StoreFindingCode, "UNSPECIFIED" | number>;

/** Whom a finding concerns, as far as that is known. */
export interface Concerned {
  readonly namespace?: string;
  readonly sessionId?: string;
  readonly uid?: string;
}

const restore = "restore the newest backup that verifies clean";
const removeSession = `export what can be read and delete the session, or ${restore}`;
const compact =
  "stop the server and run `sessiond compact`, which makes lists, deadlines and references anew";

/** What to do about each kind of damage. */
const fixes = {
  RECORD_DAMAGED: removeSession,
  TABLE_UNREADABLE: `the disk or the file is damaged: check the disk, and ${restore}`,
  HEAD_MISSING: removeSession,
  SESSION_MISSING: restore,
  EVENT_MISSING: removeSession,
  EVENT_MISPLACED: removeSession,
  EVENT_BEYOND_HEAD: restore,
  EVENTS_WITHOUT_SESSION: "nobody sees them; `sessiond compact` leaves them out",
  BATCH_OPEN: removeSession,
  INDEX_MISSING: compact,
  INDEX_STRAY: compact,
  DEADLINE_MISSING: compact,
  DEADLINE_STRAY: compact,
  NAMESPACE_LOG_WRONG: `watches of the namespace show wrong revisions; ${restore}`,
  COUNTER_WRONG: "the log is whole and its events are right; report it as a defect",
  CONTEXT_WRONG: "the log is whole and its events are right; report it as a defect",
  REFERENCE_MISSING: `delete no session until it is there again: ${compact}`,
  REFERENCE_STRAY: compact,
  STATE_STRAY: "nobody sees it; `sessiond compact` leaves it out",
  CHECKPOINT_STRAY: "nobody sees it; `sessiond compact` leaves it out",
  PARENT_MISSING: "nobody deletes it with its parent any more: delete it, or export and import it",
  ROLLUP_WRONG: "sessions and their logs are right, aggregates are not; report it as a defect",
  LOG_CONDEMNED: `stop the server, or its housekeeping removes the log; ${restore}`,
} satisfies Record<Code, string>;

export function finding(code: Code, concerned: Concerned, found: string): StoreFinding {
  const { namespace = "", sessionId = "", uid = "" } = concerned;
  return create(StoreFindingSchema, {
    code: StoreFindingCode[code],
    namespace,
    sessionId,
    sessionUid: uid,
    found,
    fix: fixes[code],
  });
}
