import { create, equals, type JsonObject } from "@bufbuild/protobuf";
import {
  type BundleFooter,
  type Event,
  ImportConflict,
  ImportOutcome,
  type ImportSessionRequest,
  ImportSessionRequestSchema,
  type ImportSessionResponse,
  ImportSessionResponseSchema,
  type ImportStart,
  type Session,
  SessionMetricsSchema,
  SessionSchema,
} from "@sessiond/contract";
import { type SessionHead, StateRecordSchema } from "@sessiond/contract/store";
import {
  CallHiddenError,
  ImportInvalidError,
  InvalidFieldError,
  NotSupportedError,
  ProtectedBudgetExceededError,
  SessionAlreadyExistsError,
  TooManyCallsError,
} from "../../errors.ts";
import type { Clock, Ids } from "../../ids.ts";
import { limits } from "../../limits.ts";
import type { HourFacts, Store, StoredSession } from "../../store/store.ts";
import { instructionCounts } from "../context/instruction-sizes.ts";
import { asCheckpoint } from "../history/checkpoints.ts";
import { headAt } from "../history/replay.ts";
import { freeName } from "../lifecycle/renew.ts";
import { withDueTime } from "../lifecycle/transitions.ts";
import type { Contributions } from "../metrics/contributions.ts";
import { ImportedFacts } from "../metrics/imported-facts.ts";
import { namespaceOf } from "../names.ts";
import type { Protection } from "../protection/protection.ts";
import type { Quotas } from "../quotas/quotas.ts";
import type { SessionCells, SessionName } from "../session-cells.ts";
import { checkSessionSize } from "../sizes.ts";
import type { TokenCounter } from "../tokens/counter.ts";
import { validate } from "../validation/validate.ts";
import { currentView } from "../views.ts";
import { BundleDigest } from "./digest.ts";
import { measuredHead } from "./measures.ts";
import { headerSession } from "./parts.ts";
import { Replay } from "./replay.ts";
import { requestsUntil } from "./requests-until.ts";
import { Staging } from "./staging.ts";

/** A session, and its own keys of the state. */
interface Read extends StoredSession {
  readonly values: JsonObject;
}

/** With what its log counts for in aggregates. */
interface Imported extends Read {
  readonly facts: readonly HourFacts[];
}

/** Makes sessions of what `Exports` gave. */
export class Imports {
  readonly #store: Store;
  readonly #cells: SessionCells;
  readonly #tokens: TokenCounter;
  readonly #protection: Protection;
  readonly #quotas: Quotas;
  readonly #contributions: Contributions;
  readonly #clock: Clock;
  readonly #ids: Ids;
  readonly #shutdown: AbortSignal;
  #open = 0;

  constructor(args: {
    store: Store;
    cells: SessionCells;
    tokens: TokenCounter;
    protection: Protection;
    quotas: Quotas;
    contributions: Contributions;
    clock: Clock;
    ids: Ids;
    /** Fires when the server is about to stop; ends imports. */
    shutdown: AbortSignal;
  }) {
    this.#store = args.store;
    this.#cells = args.cells;
    this.#tokens = args.tokens;
    this.#protection = args.protection;
    this.#quotas = args.quotas;
    this.#contributions = args.contributions;
    this.#clock = args.clock;
    this.#ids = args.ids;
    this.#shutdown = args.shutdown;
  }

  /** Errors: as documented at the rpc. */
  async session(requests: AsyncIterable<ImportSessionRequest>): Promise<ImportSessionResponse> {
    if (this.#open >= limits.imports) throw new TooManyCallsError({ limit: limits.imports });
    this.#open++;
    const parts = requestsUntil(requests, this.#shutdown);
    let sessionId = "";
    try {
      const { start, session } = startOf(await parts.next());
      sessionId = session.sessionId;
      return await this.#import(start, session, parts);
    } catch (error) {
      throw asInvalid(error, sessionId);
    } finally {
      this.#open--;
      await parts.return(undefined);
    }
  }

  async #import(
    start: ImportStart,
    session: Session,
    parts: AsyncGenerator<ImportSessionRequest>,
  ): Promise<ImportSessionResponse> {
    if (session.ephemeral && this.#store.capabilities.engine !== "memory") {
      throw new NotSupportedError("ephemeral sessions need a server started with --store memory");
    }
    await this.#protection.check(session);
    const taken = await this.#taken(start, session);
    if (taken !== undefined) return taken;
    const uid = this.#ids.uid();
    const { namespace, sessionId } = session;
    // Also of a dry run: what a rewind leads to is read from what came before it.
    const staging = new Staging(this.#store, { namespace, sessionId, uid });
    try {
      const whole = await this.#read(start, { ...session, uid }, parts, staging);
      if (!start.dryRun) return await this.#commit(start, whole, await staging.end());
      await this.#quotas.check(session, whole);
      const own = { ...whole.session, uid: "" };
      const view = currentView({ ...whole, session: own }, this.#clock());
      await staging.giveUp();
      return responseOf(ImportOutcome.CHECKED, view);
    } catch (error) {
      await staging.giveUp();
      throw error;
    }
  }

  /** The answer when the name is taken; undefined: it is free, or another one is to be found. */
  async #taken(
    { onConflict }: ImportStart,
    name: SessionName,
  ): Promise<ImportSessionResponse | undefined> {
    return this.#cells.use(name, async (cell) => {
      if (cell.latest === undefined || onConflict === ImportConflict.NEW_ID) return undefined;
      await cell.settled();
      if (onConflict !== ImportConflict.SKIP) throw new SessionAlreadyExistsError(cell.name);
      return responseOf(ImportOutcome.SKIPPED, currentView(cell.requireDurable(), this.#clock()));
    });
  }

  /** Reads the rest of the stream, checks it, and stages its events. */
  async #read(
    { header, keep }: ImportStart,
    session: Session,
    parts: AsyncGenerator<ImportSessionRequest>,
    staging: Staging,
  ): Promise<Imported> {
    const digest = new BundleDigest();
    digest.session(header?.session ?? create(SessionSchema));
    const replay = new Replay(session, await instructionCounts(this.#tokens, session));
    const facts = new ImportedFacts(session, this.#clock());
    const invalid = (problem: string, revision = 0) =>
      new ImportInvalidError({ sessionId: session.sessionId, revision, problem });
    for (;;) {
      const next = await parts.next();
      if (next.done) throw invalid("it is cut off", replay.revision + 1);
      const { part } = next.value;
      checkPart(next.value, session.sessionId, replay.revision);
      if (part.case === "footer") {
        const rest = await parts.next();
        if (!rest.done) throw invalid("something follows the footer");
        const stored = finished(session, replay, part.value);
        if (typeof stored === "string") throw invalid(stored);
        const sha256 = digest.end(part.value);
        if (sha256 !== part.value.sha256) {
          throw invalid(`its checksum is ${part.value.sha256}, of what came it is ${sha256}`);
        }
        checkSessionSize(stored.session);
        return { ...stored, ...(keep && kept(stored)), facts: facts.hours };
      }
      if (part.case !== "events") throw invalid("what follows is neither events nor footer");
      for (const event of part.value.events) {
        const again = replay.add(event, await this.#target(event, session, replay, staging));
        digest.event(event);
        await staging.add(again, replay.checkpoint);
        facts.add(again);
      }
    }
  }

  /** The head at the revision that a rewind leads to; undefined for any other event. */
  async #target(
    { payload }: Event,
    session: Session,
    replay: Replay,
    staging: Staging,
  ): Promise<SessionHead | undefined> {
    if (payload.case !== "rewind") return undefined;
    const { head } = replay;
    const { revision } = payload.value;
    if (revision < 1 || revision > head.revision) return undefined;
    await staging.settled();
    return headAt(this.#store, { session, head }, revision);
  }

  /** Makes the session visible, with its whole log. */
  async #commit(
    start: ImportStart,
    whole: Imported,
    staged: readonly number[],
  ): Promise<ImportSessionResponse> {
    const { session: own, head, values, facts } = whole;
    for (;;) {
      const name = await this.#nameFor(start, own);
      const after = { session: { ...own, sessionId: name.sessionId }, head };
      const answer = await this.#quotas.within(name, (admit) =>
        this.#cells.use(name, async (cell) => {
          if (cell.latest !== undefined) return undefined;
          admit(undefined, after);
          const scope = { of: "session", namespace: name.namespace, uid: own.uid } as const;
          const isEmpty = Object.keys(values).length === 0;
          const record = create(StateRecordSchema, { values, version: this.#ids.uid() });
          const imported = responseOf(ImportOutcome.IMPORTED, currentView(after, this.#clock()));
          await cell.commit({
            after,
            events: [],
            staged,
            rollups: this.#contributions.whole(after.session, facts),
            ...(!isEmpty && { states: [{ scope, record }] }),
          });
          return imported;
        }),
      );
      if (answer !== undefined) return answer;
      // Somebody took the name meanwhile.
      const taken = await this.#taken(start, own);
      if (taken !== undefined) {
        await this.#store.commit({ key: own, events: [], staged });
        return taken;
      }
    }
  }

  async #nameFor({ onConflict }: ImportStart, session: Session): Promise<SessionName> {
    const { namespace, sessionId } = session;
    if (onConflict !== ImportConflict.NEW_ID) return { namespace, sessionId };
    const isFree = await this.#cells.use(session, (cell) => cell.latest === undefined);
    return isFree ? { namespace, sessionId } : freeName(this.#cells, { namespace, sessionId });
  }
}

/** The session that a stream begins with, under the name it is to have. Errors: ImportInvalidError. */
function startOf(first: IteratorResult<ImportSessionRequest>): {
  start: ImportStart;
  session: Session;
} {
  const request: ImportSessionRequest | undefined = first.done ? undefined : first.value;
  if (request?.part.case !== "start") {
    throw new ImportInvalidError({
      sessionId: "",
      revision: 0,
      problem: "it does not begin with its start",
    });
  }
  validate(ImportSessionRequestSchema, request, "server");
  const start = request.part.value;
  const header = start.header?.session ?? create(SessionSchema);
  const sessionId = start.sessionId || header.sessionId;
  const problem = problemOf({ ...header, sessionId });
  if (problem !== undefined) throw new ImportInvalidError({ sessionId, revision: 0, problem });
  const namespace = namespaceOf(start.namespace);
  return { start, session: { ...headerSession(header), namespace, sessionId } };
}

function problemOf({ sessionId, createTime, etag }: Session): string | undefined {
  if (sessionId === "") return "it has no session_id";
  if (createTime === undefined) return "it has no create_time";
  return /^\d{1,15}$/.test(etag) ? undefined : "its etag is none that a server gives";
}

/** Errors: ImportInvalidError with the revision of the first event that is wrong. */
function checkPart(request: ImportSessionRequest, sessionId: string, before: number): void {
  try {
    validate(ImportSessionRequestSchema, request, "server");
  } catch (error) {
    if (!(error instanceof InvalidFieldError)) throw error;
    const [{ field, description } = { field: "", description: "" }] = error.violations;
    const at = /^events\.events\[(\d+)\]\.?(.*)$/.exec(field);
    const revision = at === null ? 0 : before + 1 + Number(at[1]);
    const problem = `${at?.[2] || field}: ${description}`;
    throw new ImportInvalidError({ sessionId, revision, problem, cause: error });
  }
}

/** The session as its log has it. A text says what contradicts the log. */
function finished(session: Session, replay: Replay, footer: BundleFooter): Read | string {
  const { head, lives, shownTokens, values } = replay.end();
  if (footer.events !== head.revision) {
    return `its footer says ${footer.events} events, ${head.revision} came`;
  }
  const field = lives.contradiction(session);
  if (field !== undefined) return `its ${field} is not what its log says`;
  const counted = head.metrics ?? create(SessionMetricsSchema);
  if (footer.metrics !== undefined && !equals(SessionMetricsSchema, footer.metrics, counted)) {
    return `its counters are not those of its log: ${differing(footer.metrics, counted)}`;
  }
  const measured =
    footer.measures === undefined ? head : measuredHead(head, footer.measures, shownTokens);
  if (typeof measured === "string") return `${measured} is more or less than its log allows`;
  // What was measured is in no event.
  return { ...withDueTime({ session, head: asCheckpoint(measured) }), values };
}

/** Name of the first counter that differs. */
function differing(a: object, b: object): string {
  const field = SessionMetricsSchema.fields.find(({ localName }) => {
    const [one, other] = [a, b].map((metrics) => (metrics as Record<string, unknown>)[localName]);
    return typeof one === "object" ? JSON.stringify(one) !== JSON.stringify(other) : one !== other;
  });
  return field?.name ?? "metrics";
}

/** Without the retention that would remove it. */
function kept(stored: StoredSession): StoredSession {
  const { expiry } = stored.session;
  if (expiry?.retention === undefined) return stored;
  const { retention: _over, ...rest } = expiry;
  return withDueTime({ ...stored, session: { ...stored.session, expiry: rest } });
}

function responseOf(outcome: ImportOutcome, session: Session): ImportSessionResponse {
  return create(ImportSessionResponseSchema, { outcome, session });
}

/** What of the ordinary errors is a wrong bundle here. */
function asInvalid(error: unknown, sessionId: string): unknown {
  const isOfBundle =
    error instanceof InvalidFieldError ||
    error instanceof ProtectedBudgetExceededError ||
    error instanceof CallHiddenError;
  if (!isOfBundle) return error;
  return new ImportInvalidError({ sessionId, revision: 0, problem: error.message, cause: error });
}
