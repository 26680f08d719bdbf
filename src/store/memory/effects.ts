import { toBinary } from "@bufbuild/protobuf";
import { SessionSchema } from "@sessiond/contract";
import {
  ConsumerRecordSchema,
  NamespaceLogEntrySchema,
  RequestRecordSchema,
  SessionHeadSchema,
  StateRecordSchema,
} from "@sessiond/contract/store";
import { batchedEvents } from "../batches.ts";
import { encodedEvent } from "../encoded.ts";
import { isStaging, newNameOf, type SessionPlace } from "../in-flight.ts";
import { type Derived, derive, isCheckpoint } from "../indexes.ts";
import { consumerKey, stateKey } from "../keys.ts";
import { stateChangesOf } from "../states.ts";
import type { Change, RollupChange, SessionKey } from "../store.ts";

/** A session in binary form; `uid` and `revision` are those in it. */
export interface SessionBytes extends SessionPlace {
  readonly session: Uint8Array;
  readonly head: Uint8Array;
}

export interface EventBytes {
  readonly content: Uint8Array;
  /** The next event belongs to the same batch. */
  readonly continues: boolean;
}

export interface KeyedRecord {
  readonly key: Uint8Array;
  readonly record?: Uint8Array;
}

/** A change in binary form: what a caller does to its objects later does not reach the store. */
export interface Effects {
  readonly key: SessionKey;
  /** Name the session has afterwards, if it is another one. */
  readonly newName?: string;
  /** Absent: the session is deleted. */
  readonly after?: SessionBytes;
  readonly events: readonly EventBytes[];
  /** Revision of the first event. */
  readonly firstRevision: number;
  /** The head afterwards is to be kept as a checkpoint. */
  readonly isCheckpoint: boolean;
  readonly references: Derived["references"];
  readonly released: Derived["released"];
  readonly indexes: Derived["indexes"];
  readonly deadlines: Derived["deadlines"];
  readonly logEntries: readonly Uint8Array[];
  /** There is no session yet: `events` are staged; none: what was staged is given up. */
  readonly isStaging: boolean;
  /** Checkpoints of what is staged. */
  readonly checkpoints: readonly { readonly revision: number; readonly head: Uint8Array }[];
  readonly request?: {
    readonly key: Uint8Array;
    readonly record: Uint8Array;
    readonly expireTimeMs: number;
  };
  readonly rollups?: RollupChange;
  /** Without a record: the state is removed. */
  readonly states: readonly KeyedRecord[];
  /** Without a record: the consumer is removed. */
  readonly consumers: readonly KeyedRecord[];
}

export function effectsOf(change: Change): Effects {
  const { key, after, request } = change;
  const { indexes, deadlines, references, released, logEntries } = derive(change);
  const newName = newNameOf(change);
  return {
    key,
    indexes,
    deadlines,
    references,
    released,
    firstRevision: (change.copies ?? change.events)[0]?.revision ?? 0,
    isCheckpoint: after !== undefined && isCheckpoint(after.head),
    ...(newName && { newName: newName.sessionId }),
    events: batchedEvents(change).map(({ event, continues }) => ({
      content: encodedEvent(event),
      continues,
    })),
    ...(after && {
      after: {
        uid: key.uid,
        revision: after.head.revision,
        session: toBinary(SessionSchema, after.session),
        head: toBinary(SessionHeadSchema, after.head),
      },
    }),
    isStaging: isStaging(change),
    checkpoints: (change.checkpoints ?? []).map((head) => ({
      revision: head.revision,
      head: toBinary(SessionHeadSchema, head),
    })),
    logEntries: logEntries.map((entry) => toBinary(NamespaceLogEntrySchema, entry)),
    ...(request && {
      request: {
        key: Uint8Array.from(request.key),
        record: toBinary(RequestRecordSchema, request.record),
        expireTimeMs: request.expireTimeMs,
      },
    }),
    ...(change.rollups && { rollups: change.rollups }),
    states: stateChangesOf(change).map(({ scope, record }) => ({
      key: stateKey(scope),
      ...(record && { record: toBinary(StateRecordSchema, record) }),
    })),
    consumers: (change.consumers ?? []).map(({ record, ...name }) => ({
      key: consumerKey(name),
      ...(record && { record: toBinary(ConsumerRecordSchema, record) }),
    })),
  };
}
