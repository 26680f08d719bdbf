import {
  type Event,
  type Session,
  SessionState,
  type StoreFinding,
  type TokenCount,
} from "@sessiond/contract";
import { DataLossError } from "../../../errors.ts";
import { limits } from "../../../limits.ts";
import { parseRollupKey, rollupPrefix } from "../../../store/keys.ts";
import {
  addEncodedCounters,
  type Counter,
  counterAt,
  newCounters,
} from "../../../store/rollup-counters.ts";
import { Histogram } from "../../../store/rollup-histogram.ts";
import type { RollupKey, Store, StoredRecord } from "../../../store/store.ts";
import { finding } from "./finding.ts";
import { type Findings, nothing, type Run } from "./run.ts";
import { damaged, pagesOf, parsed } from "./walk.ts";

const hourMs = 3_600_000;
/** Housekeeping may be that far behind or ahead of a verify. */
const edgeHours = 48;

/** What is counted a second time, without the code that counts at commits. */
const recounted = [
  "sessions",
  "events",
  "bytes",
  "messages",
  "tokens",
  "toolCalls",
  "errors",
  "requests",
  "compactions",
  "reopened",
] as const satisfies readonly Counter[];

const ends = ["completed", "failed", "cancelled", "timedOut", "limitReached", "expired"] as const;

type Number = (typeof recounted)[number] | "ended" | "active" | "deleted";
type Numbers = Map<Number, number>;

/** The numbers of one log, until it is known that it is whole. */
export class LogRecount {
  readonly #firstHour: number;
  readonly #shares: boolean;
  #numbers: Numbers = new Map();

  /** `shares`: it is the log of a fork, whose own events begin with its `forked`. */
  constructor({ firstHour, shares }: { firstHour: number; shares: boolean }) {
    this.#firstHour = firstHour;
    this.#shares = shares;
  }

  get numbers(): ReadonlyMap<Number, number> {
    return this.#numbers;
  }

  add(event: Event, bytes: number): void {
    const { payload, createTime, tokens } = event;
    if (this.#shares && payload.case === "forked") this.#numbers = new Map();
    if (createTime === undefined || Number(createTime.seconds) < this.#firstHour * 3_600) return;
    const add = (name: Number, by = 1) =>
      this.#numbers.set(name, (this.#numbers.get(name) ?? 0) + by);
    add("events");
    add("bytes", bytes);
    add("tokens", countOf(tokens));
    if (payload.case === "message") add("messages");
    if (payload.case === "toolCall") add("toolCalls");
    if (payload.case === "error") add("errors");
    if (payload.case === "compaction") add("compactions");
    if (payload.case === "sessionEnded") add("ended");
    if (payload.case === "sessionReopened") add("reopened");
    if (payload.case === "requestRecorded" && payload.value.count !== false) add("requests");
  }
}

/** What the logs and sessions of a store come to, to be compared with its rollups. */
export class RollupRecount {
  /** Older facts are not compared: housekeeping removes them. */
  readonly firstHour: number;
  readonly #numbers: Numbers = new Map();
  /** Something could not be read, or was changed while it was. */
  #isShort = false;
  #sessionsMoved = false;

  constructor(nowMs: number) {
    this.firstHour = Math.max(0, Math.floor((nowMs - limits.rollupTtlMs) / hourMs) + edgeHours);
  }

  /** Undefined: it cannot be told. */
  get(name: Number): number | undefined {
    if (this.#sessionsMoved && (name === "sessions" || name === "active")) return undefined;
    return this.#numbers.get(name) ?? 0;
  }

  /** There may be more than was counted. */
  get isShort(): boolean {
    return this.#isShort;
  }

  noteMissing(): void {
    this.#isShort = true;
  }

  noteMoved(): void {
    this.#sessionsMoved = true;
  }

  log({ numbers }: LogRecount): void {
    for (const [name, by] of numbers) this.#add(name, by);
  }

  session({ createTime, state }: Session): void {
    if (Number(createTime?.seconds ?? 0n) >= this.firstHour * 3_600) this.#add("sessions", 1);
    if (state === SessionState.ACTIVE) this.#add("active", 1);
  }

  #add(name: Number, by: number): void {
    this.#numbers.set(name, (this.#numbers.get(name) ?? 0) + by);
  }
}

/** The numbers that the rollups of all namespaces have; none where they cannot be read. */
export async function rolledUp({
  store,
  recount,
}: Pick<Run, "store" | "recount">): Promise<ReadonlyMap<Number, number>> {
  try {
    return await sumsOf(store, recount.firstHour);
  } catch (error) {
    if (!(error instanceof DataLossError)) throw error;
    recount.noteMissing();
    return new Map();
  }
}

async function sumsOf(store: Store, firstHour: number): Promise<Numbers> {
  const counters = newCounters();
  let after: Uint8Array | undefined;
  for (;;) {
    const [[next]] = await store.records({ table: "rollups", limit: 1, ...(after && { after }) });
    const key = next && parsed(parseRollupKey, next.key);
    if (next === undefined) break;
    if (key === undefined) {
      after = next.key;
      continue;
    }
    const series = { namespace: key.namespace, dimension: "all", label: "" } as const;
    for (const part of ["active", "counters"] as const) {
      await addRange(store, rollupPrefix({ ...series, part }), (record, { hour }) => {
        const isCounted = part === "active" || hour >= firstHour;
        if (isCounted && record.content instanceof Uint8Array) take(counters, record.content);
      });
    }
    after = lastOf(rollupPrefix({ ...series, part: "active" }));
  }
  const of = (name: Counter) => counters[counterAt[name]] ?? 0;
  return new Map<Number, number>([
    ...recounted.map((name) => [name, of(name)] as const),
    ["ended", ends.reduce((sum, name) => sum + of(name), 0)],
    ["active", of("active")],
    ["deleted", of("deleted")],
  ]);
}

async function addRange(
  store: Store,
  prefix: Uint8Array,
  add: (record: StoredRecord, key: RollupKey) => void,
): Promise<void> {
  let after: Uint8Array | undefined;
  for (;;) {
    const range = { table: "rollups", prefix, limit: limits.verifyRecords } as const;
    const [page] = await store.records({ ...range, ...(after && { after }) });
    for (const record of page) {
      const key = parsed(parseRollupKey, record.key);
      if (key !== undefined) add(record, key);
    }
    after = page.at(-1)?.key;
    if (after === undefined) return;
  }
}

function take(counters: number[], content: Uint8Array): void {
  try {
    addEncodedCounters(counters, content);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
}

/** Behind every key of the namespace that the prefix begins with: no kind has that number. */
function lastOf(prefix: Uint8Array): Uint8Array {
  return Buffer.concat([prefix.subarray(0, 1 + (prefix[0] ?? 0)), Buffer.of(0xff)]);
}

/**
 * The rollups can be read, and have all that the logs have; as long as no session was deleted, no more.
 * Comes last: what was recounted is in them by now.
 */
export async function* checkRollups(run: Run): AsyncGenerator<Findings> {
  for await (const page of pagesOf(run, "rollups")) {
    if ("findings" in page) {
      yield page;
      run.recount.noteMissing();
      continue;
    }
    for (const record of page) {
      const key = parsed(parseRollupKey, record.key);
      if (key === undefined) yield damaged("the key of a rollup", {});
      else if (!isReadable(record, key)) yield damaged("a rollup", { namespace: key.namespace });
    }
    yield nothing;
  }
  yield { findings: await compared(run) };
}

function isReadable({ content }: StoredRecord, { part }: RollupKey): boolean {
  if (!(content instanceof Uint8Array)) return false;
  try {
    if (part === "sessions" || part === "steps") new Histogram().addEncoded(content);
    else addEncodedCounters(newCounters(), content);
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

async function compared(run: Run): Promise<StoreFinding[]> {
  const { store, recount, rolledUpBefore: before, moved } = run;
  if (store.uncounted() !== undefined) {
    run.notChecked.add("rollups, which the next start of a server completes");
    return [];
  }
  if (moved.size > 0) recount.noteMoved();
  const now = await rolledUp(run);
  // They cannot be read, which was said.
  if (now.size === 0) return [];
  // Whoever goes on behind a deletion leaves more in the rollups than in the logs.
  const isExact = (now.get("deleted") ?? 0) === 0 && !recount.isShort;
  const wrong: string[] = [];
  for (const name of [...recounted, "ended"] as const) {
    const found = recount.get(name);
    if (found === undefined) continue;
    const most = now.get(name) ?? 0;
    const least = isExact ? (before.get(name) ?? 0) : 0;
    if (found > most) wrong.push(`${name} is ${most}, logs have ${found}`);
    else if (found < least) wrong.push(`${name} is ${least}, logs have ${found}`);
  }
  const active = recount.get("active");
  if (run.isUnchanged() && !recount.isShort && active !== undefined) {
    const counted = now.get("active") ?? 0;
    if (counted !== active) wrong.push(`active is ${counted}, sessions are ${active}`);
  }
  return wrong.length === 0 ? [] : [finding("ROLLUP_WRONG", {}, wrong.join("; "))];
}

function countOf(tokens: TokenCount | undefined): number {
  return tokens?.count ?? 0;
}
