import { randomBytes } from "node:crypto";
import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { SessionSchema } from "@sessiond/contract";
import { SessionHeadSchema } from "@sessiond/contract/store";
import { DataLossError } from "../../errors.ts";
import { derivedKeys, referencesOf } from "../indexes.ts";
import { parseEventKey, parseReferenceKey, parseStateKey, uidBytes, uidText } from "../keys.ts";
import { decodeRecord } from "../records.ts";
import type { Environment } from "./environment.ts";
import { firstUnneeded } from "./maintenance.ts";
import { headerWrite } from "./migrations.ts";
import { HEADER_KEY, NO_VALUE, type TableName, type Write } from "./tables.ts";

/** What is written together. */
const pieceRecords = 2_000;
const pieceBytes = 4 * 1024 * 1024;
const uidLength = 16;

/**
 * What is done with each table, in this order: who needs an event is known when the events come. A table
 * that is not named here does not compile, because it would be lost.
 */
const treatments = {
  // All but the header, which is written anew.
  meta: "copied",
  heads: "copied",
  garbage: "copied",
  // They follow from the heads; those of a damaged one are copied, or its log would be lost.
  references: "copied",
  events: "copied",
  checkpoints: "copied",
  sessions: "copied",
  states: "copied",
  log: "copied",
  requests: "copied",
  consumers: "copied",
  // They outlive what they count, so nothing else says them.
  rollups: "copied",
  // They follow from the sessions.
  indexes: "written anew",
  deadlines: "written anew",
} as const satisfies Record<TableName, "copied" | "written anew">;

/** What a logical copy did. */
export interface Copied {
  readonly records: number;
  /** Records of no session, which were left out. */
  readonly leftOut: number;
}

/**
 * Copies a store record by record into a new, empty one, which then has no free pages in it and lists,
 * deadlines and references made anew from its sessions. Records are copied as they are, damaged ones too.
 *
 * Nobody else may write to either. Errors: those of the driver, and what the signal was aborted with.
 */
export async function copyRecords(
  from: Environment,
  to: Environment,
  options: { signal: AbortSignal; onRecords: (records: number) => void },
): Promise<Copied> {
  const { signal, onRecords } = options;
  let records = 0;
  let leftOut = 0;
  await to.write([headerWrite(from.header)]);
  for (const table of Object.keys(treatments) as TableName[]) {
    if (treatments[table] !== "copied") continue;
    let after: Buffer | undefined;
    for (;;) {
      signal.throwIfAborted();
      const piece = readPiece(from, table, after);
      after = piece.at(-1)?.key;
      if (after === undefined) break;
      const wanted = piece.filter(isWanted(table, to));
      const derived = wanted.flatMap((record) => derivedWrites(table, record));
      await to.write([...wanted.map((record) => ({ table, ...record })), ...derived]);
      records += piece.length;
      if (table !== "references" && table !== "meta") leftOut += piece.length - wanted.length;
      onRecords(records);
    }
  }
  return { records, leftOut };
}

/** Gives a store another identity, so that cursors of before are refused. */
export async function renewIdentity(environment: Environment): Promise<void> {
  const storeId = new Uint8Array(randomBytes(16));
  await environment.write([headerWrite({ ...environment.header, storeId })]);
}

function readPiece({ tables }: Environment, table: TableName, after: Buffer | undefined) {
  const piece: { key: Buffer; value: Buffer }[] = [];
  let bytes = 0;
  for (const { key, value } of tables[table].getRange({
    ...(after && { start: after, exclusiveStart: true }),
    limit: pieceRecords,
  })) {
    // Behind a damaged page the driver goes round in circles.
    const last = piece.at(-1)?.key ?? after;
    if (last !== undefined && Buffer.compare(last, key) >= 0) {
      throw new DataLossError({ record: `a page of table ${table}` });
    }
    piece.push({ key, value });
    bytes += key.length + value.length;
    if (bytes >= pieceBytes) break;
  }
  return piece;
}

/** Says whether a record is needed, by what was copied before it. */
function isWanted(table: TableName, to: Environment): (record: { key: Buffer }) => boolean {
  switch (table) {
    case "meta":
      return ({ key }) => !key.equals(HEADER_KEY);
    case "events":
    case "checkpoints":
      return neededBy(to);
    case "references":
      return ({ key }) => isHeadDamaged(to, uidBytes(parseReferenceKey(key).uid));
    case "states":
      return ({ key }) => {
        const scope = parseStateKey(key);
        return (
          scope.of !== "session" || to.tables.heads.getBinary(uidBytes(scope.uid)) !== undefined
        );
      };
    default:
      return () => true;
  }
}

/** Whether a record of a log has a session, a fork that shares it, or waits for its removal. */
function neededBy({ tables }: Environment): (record: { key: Buffer }) => boolean {
  let last: Buffer | undefined;
  let unneeded = 0;
  return ({ key }) => {
    const uid = key.subarray(0, uidLength);
    if (last?.equals(uid) !== true) {
      const isGarbage = tables.garbage.getBinary(uid) !== undefined;
      unneeded = isGarbage ? Number.POSITIVE_INFINITY : firstUnneeded(tables, uid);
      last = uid;
    }
    return parseEventKey(key).revision < unneeded;
  };
}

function isHeadDamaged({ tables }: Environment, uid: Buffer): boolean {
  const value = tables.heads.getBinary(uid);
  return value !== undefined && contentOf(uid, value, SessionHeadSchema) === undefined;
}

/** What follows from a record; from a damaged one nothing. */
function derivedWrites(table: TableName, { key, value }: { key: Buffer; value: Buffer }): Write[] {
  if (table === "sessions") {
    const session = contentOf(key, value, SessionSchema);
    if (session === undefined) return [];
    const { indexes, deadlines } = derivedKeys(session);
    return [...keyWrites("indexes", indexes), ...keyWrites("deadlines", deadlines)];
  }
  if (table !== "heads") return [];
  const head = contentOf(key, value, SessionHeadSchema);
  return head ? keyWrites("references", referencesOf(uidText(key), head.inherited)) : [];
}

function keyWrites(table: TableName, keys: readonly Uint8Array[]): Write[] {
  return keys.map((key) => ({ table, key, value: NO_VALUE }));
}

/** A message, or undefined for a record that is damaged. */
function contentOf<Desc extends DescMessage>(
  key: Buffer,
  value: Buffer,
  schema: Desc,
): MessageShape<Desc> | undefined {
  try {
    return fromBinary(
      schema,
      decodeRecord(key, value, () => ({ record: "a record" })),
    );
  } catch (error) {
    if (error instanceof DataLossError) return undefined;
    throw error;
  }
}
