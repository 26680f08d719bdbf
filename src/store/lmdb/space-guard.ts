import { statfsSync } from "node:fs";
import { WritesRefusedError } from "../../errors.ts";
import type { Environment } from "./environment.ts";
import { pagesOf } from "./pages.ts";
import type { Write } from "./tables.ts";

const KiB = 1024;
const MiB = 1024 * KiB;

/** Kept free of ordinary writes, so that deletes and housekeeping have room to work. */
const RESERVE_BYTES = 64 * MiB;
/** On small disks the reserve is this part of the disk. */
const RESERVE_SHARE = 1 / 8;
/** Part of the reserve that even deletes leave, so that they cannot fail half-way. */
const FLOOR_SHARE = 1 / 8;
/**
 * Every write needs at least this part of the reserve beside it, so that near the end small writes
 * do not go on being taken while others are refused.
 */
const SMALLEST_WRITE_SHARE = 1 / 16;
/** How long a measurement counts: other programs fill the disk, too. */
const MEASURE_INTERVAL_MS = 250;
/** A write costs up to this many times its bytes: half-filled pages, pages written anew. */
const SAFETY_FACTOR = 2;
/** What a commit costs beside its bytes. */
const COMMIT_BYTES = 8 * KiB;
/** Values from this size on need pages that lie side by side: room at the end of the file. */
const LARGE_VALUE_BYTES = 2_000;

/** What there is to write to. */
export interface Space {
  /** Bytes the file can grow by. */
  readonly growthBytes: number;
  /** Bytes of the file that are free for new content. */
  readonly insideBytes: number;
  /** Size of the disk, or of the map where that is smaller. */
  readonly totalBytes: number;
}

/** Bytes free and in all on the file system of a folder. */
export type DiskSpace = (path: string) => { freeBytes: number; totalBytes: number };

export const diskSpace: DiskSpace = (path) => {
  const { bavail, blocks, bsize } = statfsSync(path);
  return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
};

/** Measures what an environment can still take. */
export function spaceOf(environment: Environment, disk: DiskSpace): Space {
  const { fileBytes, freeBytes, mapBytes } = pagesOf(
    environment.root,
    Object.values(environment.tables),
  );
  const { freeBytes: diskFreeBytes, totalBytes } = disk(environment.path);
  return {
    growthBytes: Math.max(0, Math.min(diskFreeBytes, mapBytes - fileBytes)),
    insideBytes: freeBytes,
    totalBytes: Math.min(totalBytes, mapBytes),
  };
}

/** Bytes a commit is expected to take. */
export interface Cost {
  readonly bytes: number;
  /** Of these, bytes that need room at the end of the file. */
  readonly largeBytes: number;
}

export function costOf(writes: readonly Write[]): Cost {
  let bytes = COMMIT_BYTES;
  let largeBytes = 0;
  for (const { key, value } of writes) {
    const size = SAFETY_FACTOR * (key.length + (value?.length ?? 0));
    bytes += size;
    if (value !== undefined && value.length >= LARGE_VALUE_BYTES) largeBytes += size;
  }
  return { bytes, largeBytes };
}

/**
 * Refuses writes before the disk or the map is full: a commit that fails for want of space has an
 * unknown outcome and ends the process, a refused one has not happened.
 */
export class SpaceGuard {
  readonly #measure: () => Space;
  #space: Space;
  #measuredAtMs: number;
  /** Bytes of commits under way. */
  #inFlightBytes = 0;
  /** Bytes of commits that the measurement may not show. */
  #unseenBytes = 0;

  constructor(measure: () => Space) {
    this.#measure = measure;
    this.#space = measure();
    this.#measuredAtMs = performance.now();
  }

  /**
   * Throws unless there is room for a commit. A `relief` is one that frees space in the end: it may
   * use most of the reserve.
   *
   * Errors: WritesRefusedError with `free_bytes` and `needed_bytes`.
   */
  assertRoom(cost: Cost, kind: "write" | "relief"): void {
    this.#refresh();
    let lacking = this.#lacking(cost, kind);
    if (lacking !== undefined && this.#unseenBytes > this.#inFlightBytes) {
      this.#remeasure();
      lacking = this.#lacking(cost, kind);
    }
    if (lacking === undefined) return;
    throw new WritesRefusedError(reason(lacking), {
      free_bytes: String(lacking.freeBytes),
      needed_bytes: String(lacking.neededBytes),
    });
  }

  /** Why a small write would be refused now; undefined while it would be taken. */
  refused(): string | undefined {
    this.#refresh();
    const lacking = this.#lacking({ bytes: 0, largeBytes: 0 }, "write");
    return lacking === undefined ? undefined : reason(lacking);
  }

  begin(cost: Cost): void {
    this.#inFlightBytes += cost.bytes;
    this.#unseenBytes += cost.bytes;
  }

  end(cost: Cost): void {
    this.#inFlightBytes -= cost.bytes;
  }

  #refresh(): void {
    const ageMs = performance.now() - this.#measuredAtMs;
    const freeBytes = this.#space.growthBytes + this.#space.insideBytes;
    if (ageMs >= MEASURE_INTERVAL_MS || this.#unseenBytes - this.#inFlightBytes > freeBytes / 8) {
      this.#remeasure();
    }
  }

  #remeasure(): void {
    this.#space = this.#measure();
    this.#measuredAtMs = performance.now();
    this.#unseenBytes = this.#inFlightBytes;
  }

  #lacking(
    cost: Cost,
    kind: "write" | "relief",
  ): { freeBytes: number; neededBytes: number } | undefined {
    const { growthBytes, insideBytes, totalBytes } = this.#space;
    const reserveBytes = Math.min(RESERVE_BYTES, totalBytes * RESERVE_SHARE);
    const floorBytes = Math.floor(reserveBytes * FLOOR_SHARE);
    const freeBytes = Math.max(0, growthBytes + insideBytes - this.#unseenBytes);
    if (kind === "relief") {
      return freeBytes < floorBytes ? { freeBytes, neededBytes: floorBytes } : undefined;
    }
    const writeBytes = Math.max(cost.bytes, reserveBytes * SMALLEST_WRITE_SHARE);
    const neededBytes = Math.floor(reserveBytes + writeBytes);
    if (freeBytes < neededBytes) return { freeBytes, neededBytes };
    const neededGrowthBytes = floorBytes + cost.largeBytes;
    if (growthBytes < neededGrowthBytes) {
      return { freeBytes: growthBytes, neededBytes: neededGrowthBytes };
    }
    return undefined;
  }
}

function reason({ freeBytes, neededBytes }: { freeBytes: number; neededBytes: number }): string {
  return `the disk is nearly full (${freeBytes} bytes free, ${neededBytes} needed); free space or delete sessions, then retry`;
}
