import { equals } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import {
  type Event,
  type Session,
  type SessionEnd,
  SessionEndSchema,
  type SessionParent,
  SessionParentKind,
  SessionParentSchema,
  SessionState,
} from "@sessiond/contract";
import { hasEnded } from "../lifecycle/states.ts";

/** What the log says of the life of its session. */
interface Life {
  readonly state: SessionState;
  readonly startTime?: Timestamp;
  readonly reopenTime?: Timestamp;
  readonly end?: SessionEnd;
  readonly endTime?: Timestamp;
  /** Of a fork: what it was forked from. */
  readonly parent?: SessionParent | undefined;
}

/** Follows the states of a session through its log, and says what cannot be. */
export class Lives {
  #life: Life = { state: SessionState.CREATED };

  /** What is wrong with the next event; undefined: nothing. */
  follow({ revision, payload, createTime }: Event): string | undefined {
    const { state, end: _end, endTime: _endTime, ...life } = this.#life;
    const time = createTime ?? { seconds: 0n, nanos: 0 };
    switch (payload.case) {
      case "sessionStarted":
        if (state !== SessionState.CREATED) return "it starts a session that has started";
        this.#life = { state: SessionState.ACTIVE, startTime: time as Timestamp };
        return undefined;
      case "sessionEnded": {
        const { state: ended, end } = payload.value;
        if (state !== SessionState.ACTIVE) return "it ends a session that is not active";
        if (!isEnd(ended)) return "it ends the session in a state that is no end";
        const endTime = time as Timestamp;
        this.#life = { ...life, state: ended, endTime, ...(end && { end }) };
        return undefined;
      }
      case "sessionReopened":
        if (payload.value.from !== state || !isEnd(state)) {
          return "it reopens a session from a state that it is not in";
        }
        this.#life = { ...life, state: SessionState.ACTIVE, reopenTime: time as Timestamp };
        return undefined;
      case "forked": {
        if (state === SessionState.CREATED) return "it forks a session that has not started";
        const { parent } = payload.value;
        if (parent?.revision !== revision - 1) return "it forks a session at another revision";
        this.#life = { state: SessionState.ACTIVE, startTime: time as Timestamp, parent };
        return undefined;
      }
      default:
        if (state === SessionState.CREATED) return "it comes before session_started";
        return isEnd(state) ? "it comes after the end of the session" : undefined;
    }
  }

  /** The field of the session that the log contradicts; undefined: none. */
  contradiction(session: Session): string | undefined {
    const { state, startTime, reopenTime, end, endTime, parent } = this.#life;
    if (isFork(session) || parent !== undefined) {
      if (!sameParent(session.parent, parent)) return "parent";
      if (startTime && session.createTime && isBefore(startTime, session.createTime)) {
        return "create_time";
      }
    }
    if (session.state !== state) return "state";
    if (!sameTime(session.startTime, startTime)) return "start_time";
    if (!sameTime(session.reopenTime, reopenTime)) return "reopen_time";
    if (!sameTime(session.endTime, endTime)) return "end_time";
    return sameEnd(session.end, end) ? undefined : "end";
  }
}

/** Its log begins with what it shares with its parent. */
export function isFork({ parent }: Pick<Session, "parent">): boolean {
  return parent?.kind === SessionParentKind.FORK;
}

function isEnd(state: SessionState): boolean {
  return hasEnded({ session: { state } });
}

/** The one time is earlier. */
export function isBefore(a: Timestamp, b: Timestamp): boolean {
  return a.seconds === b.seconds ? a.nanos < b.nanos : a.seconds < b.seconds;
}

function sameTime(a: Timestamp | undefined, b: Timestamp | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return equals(TimestampSchema, a, b);
}

function sameEnd(a: SessionEnd | undefined, b: SessionEnd | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return equals(SessionEndSchema, a, b);
}

function sameParent(a: SessionParent | undefined, b: SessionParent | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return equals(SessionParentSchema, a, b);
}
