import { readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type BackupSummary,
  BackupSummarySchema,
  type StoreFinding,
  type StoreProgress,
  StoreProgressSchema,
  type VerifySummary,
} from "@sessiond/contract";
import type { Clock } from "../../ids.ts";
import { limits } from "../../limits.ts";
import { syncPath } from "../../store/files.ts";
import { writeManifest } from "../../store/manifest.ts";
import type { Store, StoreSize } from "../../store/store.ts";
import { asWrong, type BackupTarget, notCopied, openTarget } from "./backup-target.ts";
import { verifyStore } from "./verify/verify.ts";

/** What a backup says while it goes on, and at its end. */
export type BackupMessage =
  | { readonly case: "progress"; readonly value: StoreProgress }
  | { readonly case: "finding"; readonly value: StoreFinding }
  | { readonly case: "summary"; readonly value: BackupSummary };

export interface BackupOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** Version of this program, for the manifest. */
  readonly version: string;
  /** Folder that the store is in. */
  readonly dataFolder: string;
  /** Opens a folder that `copyTo` has written. */
  readonly openCopy: (folder: string) => Promise<Store>;
}

/** Copying is disk work, verifying is not: its part of the whole, by what it takes on a disk. */
const copyShare = 0.2;

/**
 * Backs a store up into a folder: copies it beside its place, opens and verifies the copy, writes a
 * manifest, and renames the folder. A process that is killed leaves nothing under the name, or all.
 *
 * Errors: InvalidFieldError for the path, NotSupportedError, what the signal was aborted with.
 */
export async function* backupStore(
  options: BackupOptions,
  path: string,
  signal: AbortSignal,
): AsyncGenerator<BackupMessage> {
  const { store, clock, version, dataFolder, openCopy } = options;
  yield progress({ phase: "copy" });
  const { fileBytes } = await store.size();
  const target = await openTarget({ path, dataFolder, bytes: fileBytes });
  const createTimeMs = clock();
  const copy = store.copyTo(target.partial);
  let isDone = false;
  try {
    yield* whileCopying(copy, { target, fileBytes, signal });
    const files = await readdir(target.partial);
    const { summary, size } = yield* verifyCopy(await openCopy(target.partial), signal);
    // What opening it has made: a lock.
    for (const file of await readdir(target.partial)) {
      if (!files.includes(file)) await rm(join(target.partial, file));
    }
    await writeManifest(target.partial, {
      version,
      schemaVersion: store.capabilities.schemaVersion,
      storeId: Buffer.from(store.capabilities.storeId).toString("hex"),
      createTime: new Date(createTimeMs).toISOString(),
      fileBytes: size.fileBytes,
      records: Object.fromEntries(size.tables.map(({ name, entries }) => [name, entries])),
      sessions: Number(summary.sessions),
      events: Number(summary.events),
      findings: summary.findings,
    });
    signal.throwIfAborted();
    await rename(target.partial, target.path);
    isDone = true;
    await syncPath(target.parent);
    const value = create(BackupSummarySchema, {
      path: target.path,
      bytes: BigInt(size.fileBytes),
      createTime: timestampFromMs(createTimeMs),
      verified: summary,
    });
    yield { case: "summary", value };
  } catch (error) {
    throw asWrong(error);
  } finally {
    if (!isDone) {
      await copy.catch(() => {});
      await rm(target.partial, { recursive: true, force: true });
    }
  }
}

/** Says how far the copy is until it is there. */
async function* whileCopying(
  copy: Promise<void>,
  args: { target: BackupTarget; fileBytes: number; signal: AbortSignal },
): AsyncGenerator<BackupMessage> {
  const { target, fileBytes, signal } = args;
  let isCopied = false;
  const copied = copy.then(
    () => {
      isCopied = true;
    },
    (error: unknown) => {
      throw notCopied(error);
    },
  );
  for (;;) {
    await Promise.race([copied, sleep(limits.storeProgressMs, undefined, { signal })]);
    if (isCopied) return;
    const bytes = await bytesIn(target.partial);
    const share = copyShare * Math.min(1, bytes / Math.max(1, fileBytes));
    yield progress({ phase: "copy", share, bytes: BigInt(bytes) });
  }
}

async function* verifyCopy(
  copy: Store,
  signal: AbortSignal,
): AsyncGenerator<BackupMessage, { summary: VerifySummary; size: StoreSize }> {
  try {
    for await (const message of verifyStore(copy, signal)) {
      if (message.case === "summary") return { summary: message.value, size: await copy.size() };
      if (message.case === "finding") yield message;
      else {
        const share = copyShare + (1 - copyShare) * message.value.share;
        yield { case: "progress", value: { ...message.value, share } };
      }
    }
  } finally {
    await copy.close();
  }
  throw new Error("a verify ended without its summary");
}

async function bytesIn(folder: string): Promise<number> {
  const sizes = (await readdir(folder)).map(async (file) => (await stat(join(folder, file))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

function progress(value: { phase: string; share?: number; bytes?: bigint }): BackupMessage {
  return { case: "progress", value: create(StoreProgressSchema, value) };
}
