import { randomBytes } from "node:crypto";
import { fromBinary } from "@bufbuild/protobuf";
import { SessionSchema } from "@sessiond/contract";
import { DataLossError } from "../../errors.ts";
import { derivedKeys } from "../indexes.ts";
import { decodeRecord } from "../records.ts";
import type { Environment } from "./environment.ts";
import { headerWrite } from "./migrations.ts";
import { NO_VALUE, type TableName, type Write } from "./tables.ts";

/** What is written together. */
const pieceRecords = 2_000;
const pieceBytes = 4 * 1024 * 1024;
const uidLength = 16;

/**
 * What is done with each table, in this order: who owns an event is known when the events come. A table
 * that is not named here does not compile, because it would be lost.
 */
const treatments = {
  meta: "written anew",
  heads: "copied",
  garbage: "copied",
  references: "copied",
  events: "copied",
  checkpoints: "copied",
  sessions: "copied",
  states: "copied",
  log: "copied",
  requests: "copied",
  // They follow from the sessions.
  indexes: "written anew",
  deadlines: "written anew",
} as const satisfies Record<TableName, "copied" | "written anew">;

/** What a logical copy did. */
export interface Copied {
  readonly records: number;
  /** Events of no session, which were left out. */
  readonly leftOut: number;
}

/**
 * Copies a store record by record into a new, empty one, which then has no free pages in it and lists
 * and deadlines made anew from its sessions. Records are copied as they are, damaged ones too.
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
      const wanted = table === "events" ? piece.filter(ownedBy(to)) : piece;
      const derived = table === "sessions" ? wanted.flatMap(listWrites) : [];
      await to.write([...wanted.map((record) => ({ table, ...record })), ...derived]);
      records += piece.length;
      leftOut += piece.length - wanted.length;
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

/** Says whether an event has a session, or one whose log waits for its removal. */
function ownedBy({ tables }: Environment): (record: { key: Buffer }) => boolean {
  let last: Buffer | undefined;
  let isOwned = false;
  return ({ key }) => {
    const uid = key.subarray(0, uidLength);
    if (last?.equals(uid) !== true) {
      isOwned = [tables.heads, tables.garbage].some((table) => table.getBinary(uid) !== undefined);
      last = uid;
    }
    return isOwned;
  };
}

/** A damaged session says nothing of its lists. */
function listWrites({ key, value }: { key: Buffer; value: Buffer }): Write[] {
  try {
    const content = decodeRecord(key, value, () => ({ record: "a session" }));
    const { indexes, deadlines } = derivedKeys(fromBinary(SessionSchema, content));
    return [
      ...indexes.map((index): Write => ({ table: "indexes", key: index, value: NO_VALUE })),
      ...deadlines.map((due): Write => ({ table: "deadlines", key: due, value: NO_VALUE })),
    ];
  } catch (error) {
    if (error instanceof DataLossError) return [];
    throw error;
  }
}
