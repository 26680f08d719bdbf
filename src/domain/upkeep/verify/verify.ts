import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  type StoreFinding,
  type StoreProgress,
  StoreProgressSchema,
  type VerifySummary,
  VerifySummarySchema,
} from "@sessiond/contract";
import { limits } from "../../../limits.ts";
import type { RecordTable, Store, StoreSize } from "../../../store/store.ts";
import { checkCheckpoints } from "./checkpoints.ts";
import { checkConsumers } from "./consumers.ts";
import { checkList } from "./lists.ts";
import { checkLogs } from "./logs.ts";
import { checkNamespaces } from "./namespaces.ts";
import { Pace } from "./pace.ts";
import { checkReferences } from "./references.ts";
import { checkGarbage, checkRequests } from "./requests.ts";
import { checkRollups, RollupRecount, rolledUp } from "./rollups.ts";
import { type Findings, Moved, type Run } from "./run.ts";
import { checkSessions } from "./sessions.ts";
import { checkStates } from "./states.ts";
import { UidTable } from "./uid-table.ts";

/** What a verify says while it goes on, and at its end. */
export type VerifyMessage =
  | { readonly case: "progress"; readonly value: StoreProgress }
  | { readonly case: "finding"; readonly value: StoreFinding }
  | { readonly case: "summary"; readonly value: VerifySummary };

interface Phase {
  readonly name: (typeof phaseOfTable)[RecordTable];
  readonly check: (run: Run) => AsyncGenerator<Findings>;
}

/** Who looks at each table; a table nobody looks at does not compile. */
const phaseOfTable = {
  heads: "logs",
  events: "logs",
  sessions: "sessions",
  indexes: "lists",
  deadlines: "lists",
  log: "namespaces",
  requests: "requests",
  garbage: "requests",
  states: "sessions",
  references: "lists",
  checkpoints: "logs",
  consumers: "namespaces",
  rollups: "rollups",
} as const satisfies Record<RecordTable, string>;

/** The heads first: the other phases compare with them. */
const phases: readonly Phase[] = [
  { name: "logs", check: checkLogs },
  { name: "logs", check: checkCheckpoints },
  { name: "sessions", check: checkSessions },
  { name: "sessions", check: checkStates },
  { name: "lists", check: (run) => checkList(run, "indexes") },
  { name: "lists", check: (run) => checkList(run, "deadlines") },
  { name: "lists", check: checkReferences },
  { name: "namespaces", check: checkNamespaces },
  { name: "namespaces", check: checkConsumers },
  { name: "requests", check: checkRequests },
  { name: "requests", check: checkGarbage },
  { name: "rollups", check: checkRollups },
];

/** What no phase looks at. */
const neverChecked = [
  "whether token counts are what a tokenizer says",
  "groups and sums of context windows beyond protection and the compaction in force",
];

/**
 * Looks at every record of a store, while it is used or not, and says all that is wrong. The first
 * message comes at once, the summary last.
 *
 * `nowMs`: the time by which the store is kept, for what it keeps for a while. Default: that of this machine.
 *
 * Writes nothing. Holds 25 bytes for each session and no read open between two pieces.
 */
export async function* verifyStore(
  store: Store,
  signal: AbortSignal,
  nowMs = Date.now(),
): AsyncGenerator<VerifyMessage> {
  const startMs = performance.now();
  const moved = new Moved();
  let commits = 0;
  let allCommits = 0;
  const unsubscribe = store.onCommit(({ change: { key, after } }) => {
    commits += 1;
    allCommits += 1;
    if (after === undefined || after.session.sessionId !== key.sessionId) moved.add(key.uid);
  });
  const isBusy = () => {
    const was = commits > 0;
    commits = 0;
    return was;
  };
  const recount = new RollupRecount(nowMs);
  const run: Run = {
    store,
    moved,
    pace: new Pace({ signal, isBusy }),
    uids: new UidTable(limits.verifySessions),
    recount,
    rolledUpBefore: new Map(),
    isUnchanged: () => allCommits === 0,
    notChecked: new Set(neverChecked),
    records: 0,
    sessions: 0,
    events: 0,
    namespaces: 0,
  };
  let findings = 0;
  try {
    yield { case: "progress", value: create(StoreProgressSchema, { phase: "logs" }) };
    const total = recordsIn(await store.size());
    run.rolledUpBefore = await rolledUp(run);
    let saidMs = performance.now();
    for (const { name, check } of phases) {
      for await (const found of check(run)) {
        for (const value of found.findings) {
          findings += 1;
          if (findings <= limits.findings) yield { case: "finding", value };
        }
        if (performance.now() - saidMs < limits.storeProgressMs) continue;
        yield { case: "progress", value: progressOf(name, run.records, total) };
        saidMs = performance.now();
      }
    }
    const { records, sessions, events, namespaces } = run;
    yield {
      case: "summary",
      value: create(VerifySummarySchema, {
        findings,
        findingsLeftOut: Math.max(0, findings - limits.findings),
        records: BigInt(records),
        sessions: BigInt(sessions),
        events: BigInt(events),
        namespaces: BigInt(namespaces),
        duration: durationFromMs(Math.round(performance.now() - startMs)),
        notChecked: [...run.notChecked],
      }),
    };
  } finally {
    unsubscribe();
  }
}

function recordsIn({ tables }: StoreSize): number {
  const entries = tables.map(({ name, entries }) => (name in phaseOfTable ? entries : 0));
  return entries.reduce((sum, count) => sum + count, 0);
}

function progressOf(phase: string, records: number, total: number): StoreProgress {
  // A store that grows meanwhile has more records than it had.
  const share = total === 0 ? 1 : Math.min(1, records / total);
  return create(StoreProgressSchema, { phase, share, records: BigInt(records) });
}
