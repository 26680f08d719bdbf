import { existsSync, mkdirSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type StoreHeader, StoreHeaderSchema } from "@sessiond/contract/store";
import { open, type RootDatabase } from "lmdb";
import { DataLossError, StartError } from "../../errors.ts";
import { syncPath } from "../files.ts";
import { MANIFEST_FILE } from "../manifest.ts";
import { decodeRecord, encodeRecord } from "../records.ts";
import { assertReadable, damagedHeader, newStoreHeader } from "../schema.ts";
import { errorCode, errorText } from "./errors.ts";
import { type FolderLock, lockFolder } from "./lock.ts";
import { assertMetaPages } from "./meta-pages.ts";
import { migrate } from "./migrations.ts";
import { pagesOf } from "./pages.ts";
import {
  HEADER_KEY,
  TABLE_NAMES,
  type Table,
  type TableName,
  type Tables,
  type Write,
} from "./tables.ts";
import { WriteChain } from "./write-chain.ts";

/**
 * Address space for the file, and so its largest size. Takes no memory and no disk ahead of need;
 * 128 GiB fit beside everything else where a process has only 39 bits of it.
 */
export const DEFAULT_MAP_BYTES = 128 * 1024 ** 3;

/** Slots for read transactions. One process with one thread has one or two at a time. */
const MAX_READERS = 64;
/** Named databases: those of today and some of tomorrow; each costs a few bytes. */
const MAX_DBS = 32;

export const DATA_FILE = "data.mdb";
/** Folders in a data folder that something new is written in, until it takes the place of the old. */
export const PARTIAL_FOLDERS = ["restore.partial", "compact.partial"] as const;
const READER_FILE = "lock.mdb";
/** More than MAX_READERS slots of 64 bytes and a header take. */
const READER_FILE_BYTES = 8_192;
const BINARY = { encoding: "binary", keyEncoding: "binary" } as const;

/** An open folder: its lock, its LMDB environment and what its header says. */
export interface Environment {
  readonly path: string;
  readonly header: StoreHeader;
  readonly root: RootDatabase<Buffer, Buffer>;
  readonly tables: Tables;
  /** The folder is on a read-only file system. */
  readonly readOnly: boolean;
  /** Applies the writes together; resolves when they are on disk. Rejects: outcome unknown. */
  write(writes: readonly Write[]): Promise<void>;
  /**
   * Copies the data file as it is now into an empty folder, and syncs both.
   *
   * By the driver's plain copy, on a thread of its own: it holds back commits while it copies the two
   * meta pages, and keeps the pages of that moment from being written anew until it is done. Its
   * compacting copy is not used, because it is known to make files that are damaged.
   */
  copyTo(folder: string): Promise<void>;
  /** Closes the environment and gives up the lock. Nothing may be under way. */
  close(): Promise<void>;
}

/**
 * Opens a folder, making what is missing.
 *
 * Errors: StartError, with one sentence that says what to do.
 */
export async function openEnvironment(options: {
  path: string;
  mapSizeBytes: number;
  nowMs: number;
  /** The folder may be a backup. Default false: nobody works with one by mistake. */
  isBackup?: boolean;
}): Promise<Environment> {
  const { path, mapSizeBytes, nowMs, isBackup = false } = options;
  if (!isBackup) assertNoBackup(path);
  makeFolder(path);
  const lock = lockFolder(path, nowMs);
  let root: RootDatabase<Buffer, Buffer> | undefined;
  try {
    assertMetaPages(join(path, DATA_FILE));
    if (lock !== undefined) {
      // Left by a process that was killed: they may be as large as the store.
      for (const name of PARTIAL_FOLDERS)
        rmSync(join(path, name), { recursive: true, force: true });
      allocateReaderTable(join(path, READER_FILE));
    }
    root = openRoot({ path, mapSizeBytes, readOnly: lock === undefined });
    extendToPages(root, path);
    const tables = openTables(root, path);
    const chain = WriteChain.open(root);
    const found = readHeader(tables.meta, path) ?? (await writeHeader(tables, path, nowMs));
    const where = `the store in ${path}`;
    assertReadable(found, where);
    const opened = environment({ path, header: found, root, tables, chain, lock });
    const header = await migrate({ tools: opened, where, ...opened });
    return { ...opened, header };
  } catch (error) {
    await root?.close();
    lock?.release();
    if (error instanceof StartError) throw error;
    throw new StartError(startMessage(path, error), error);
  }
}

function assertNoBackup(path: string): void {
  if (!existsSync(join(path, MANIFEST_FILE))) return;
  throw new StartError(
    `folder ${path} is a backup; make a data folder of it: sessiond restore ${path} --data <folder>`,
  );
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new StartError(
      `cannot make folder ${path} (${errorCode(cause)}); choose another with --data`,
      cause,
    );
  }
}

function openRoot(args: {
  path: string;
  mapSizeBytes: number;
  readOnly: boolean;
}): RootDatabase<Buffer, Buffer> {
  return open({
    ...BINARY,
    path: args.path,
    readOnly: args.readOnly,
    noSubdir: false,
    mapSize: args.mapSizeBytes,
    maxReaders: MAX_READERS,
    maxDbs: MAX_DBS,
    // With it a commit would be acknowledged before it is on disk.
    overlappingSync: false,
  });
}

/**
 * Takes the disk space of LMDB's reader table ahead. LMDB makes it as a file with holes and writes
 * to it through memory: without space for a hole the process is killed instead of told.
 */
function allocateReaderTable(file: string): void {
  const blocks = statSync(file, { throwIfNoEntry: false })?.blocks ?? 0;
  // Nobody else has the folder open, so there are no readers in it to be lost.
  if (blocks * 512 < READER_FILE_BYTES) writeFileSync(file, Buffer.alloc(READER_FILE_BYTES));
}

/**
 * Gives a file that is shorter than its pages its full length. What was cut off then reads as a
 * damaged page; without this, touching it would kill the process.
 */
function extendToPages(root: RootDatabase<Buffer, Buffer>, path: string): void {
  const file = join(path, DATA_FILE);
  const { fileBytes } = pagesOf(root, []);
  if (statSync(file).size < fileBytes) truncateSync(file, fileBytes);
}

/** Tables that the first stores did not have. */
const younger: ReadonlySet<TableName> = new Set(["states", "consumers", "rollups"]);

function openTables(root: RootDatabase<Buffer, Buffer>, path: string): Tables {
  const opened = new Map<TableName, Table>();
  for (const name of TABLE_NAMES) {
    const table: Table | undefined = root.openDB<Buffer, Buffer>({ name, ...BINARY });
    // A read-only folder from before there were such: none is found among the meta keys.
    const found = table ?? (younger.has(name) ? opened.get("meta") : undefined);
    if (found === undefined) {
      throw new StartError(
        `folder ${path} has no store and is read-only; make it writable or choose another with --data`,
      );
    }
    opened.set(name, found);
  }
  return Object.fromEntries(opened) as Tables;
}

function readHeader(meta: Table, path: string): StoreHeader | undefined {
  const value = meta.getBinary(HEADER_KEY);
  if (value === undefined) return undefined;
  try {
    const content = decodeRecord(HEADER_KEY, value, () => ({ record: "header" }));
    return fromBinary(StoreHeaderSchema, content);
  } catch (cause) {
    if (!(cause instanceof DataLossError)) throw cause;
    throw damagedHeader(`the store in ${path}`);
  }
}

async function writeHeader(tables: Tables, path: string, nowMs: number): Promise<StoreHeader> {
  // Only a new store has no header.
  if (tables.sessions.getKeysCount({ limit: 1 }) > 0) {
    throw damagedHeader(`the store in ${path}`);
  }
  const header = newStoreHeader({ nowMs });
  const value = encodeRecord(HEADER_KEY, toBinary(StoreHeaderSchema, header));
  await tables.meta.put(HEADER_KEY, value);
  return header;
}

function environment(args: {
  path: string;
  header: StoreHeader;
  root: RootDatabase<Buffer, Buffer>;
  tables: Tables;
  chain: WriteChain | undefined;
  lock: FolderLock | undefined;
}): Environment {
  const { root, tables, chain, lock } = args;
  let handled = false;
  // Of the promises the driver makes for one turn of the event loop, one comes back from nowhere.
  // A failed commit rejects it as well, which would end the process before anybody could say why.
  function handleDriverPromise(): void {
    if (handled) return;
    handled = true;
    // Behind the driver's own task, which makes that promise.
    setImmediate(() => {
      handled = false;
      // Both are needed: when a write of another turn is under way, the driver calls the first.
      root.committed.then(ignore, ignore);
    });
  }
  return {
    ...args,
    readOnly: lock === undefined,
    async write(writes) {
      if (chain === undefined) throw new Error("a store that is open for reading takes no writes");
      const committed = chain.write(() => {
        for (const { table, key, value } of writes) {
          if (value === undefined) tables[table].remove(key as Buffer);
          else tables[table].put(key as Buffer, value as Buffer);
        }
      });
      handleDriverPromise();
      if (!(await committed)) throw new Error("an earlier write failed, so this one was not made");
    },
    async copyTo(folder) {
      await root.backup(folder, false);
      await syncPath(join(folder, DATA_FILE));
      await syncPath(folder);
    },
    async close() {
      await root.close();
      lock?.release();
    },
  };
}

function startMessage(path: string, error: unknown): string {
  const text = errorText(error);
  if (/no space|ENOSPC|MAP_FULL/i.test(`${text} ${errorCode(error)}`)) {
    return `no space to open the store in ${path}; free some and start again`;
  }
  if (existsSync(join(path, DATA_FILE))) {
    return `cannot read the store in ${path} (${text}); restore it from a backup, or start with an empty folder`;
  }
  return `cannot open a store in ${path} (${text}); choose another folder with --data`;
}

function ignore(): void {}
