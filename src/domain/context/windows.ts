import { create } from "@bufbuild/protobuf";
import {
  type GetContextWindowRequest,
  GetContextWindowRequestSchema,
  type GetContextWindowResponse,
} from "@sessiond/contract";
import { ContextStateSchema } from "@sessiond/contract/store";
import { ContextTooLongError, ProtectedBudgetExceededError } from "../../errors.ts";
import type { StoredSession } from "../../store/store.ts";
import { namespaceOf } from "../names.ts";
import type { SessionCells } from "../session-cells.ts";
import type { TokenCounter } from "../tokens/counter.ts";
import { validate } from "../validation/validate.ts";
import { answer } from "./answer.ts";
import type { Draft, Wish } from "./draft.ts";
import type { EventCache } from "./event-cache.ts";
import { type Fitted, Fitting } from "./fit.ts";
import type { Group } from "./groups.ts";
import { InstructionSizes } from "./instruction-sizes.ts";
import { frameTokens } from "./items.ts";
import { readMaterial } from "./material.ts";
import type { View } from "./pieces.ts";
import { sessionEncoding, windowPolicy } from "./policy.ts";
import { newestUserText, Retrieval, type Retrieved } from "./retrieval.ts";
import type { Indexes } from "./retrieve/indexes.ts";
import { enoughFor, scopeOf, visibleGroups } from "./scope.ts";
import { reducedBefore, Shortenings, shortenedTokens } from "./shortenings.ts";
import { EventSizes } from "./sizes.ts";
import { readCompaction } from "./summary.ts";

/**
 * Builds context windows.
 *
 * A window costs by its own size: it reads the newest events until they are enough, and older ones
 * by name. It writes nothing.
 */
export class Windows {
  readonly #cells: SessionCells;
  readonly #cache: EventCache;
  readonly #sizes: EventSizes;
  readonly #instructions: InstructionSizes;
  readonly #shortenings: Shortenings;
  readonly #retrieval: Retrieval;

  constructor(args: {
    cells: SessionCells;
    cache: EventCache;
    tokens: TokenCounter;
    indexes: Indexes;
  }) {
    this.#cells = args.cells;
    this.#cache = args.cache;
    this.#sizes = new EventSizes(args);
    this.#instructions = new InstructionSizes(args);
    this.#shortenings = new Shortenings({ tokens: args.tokens, sizes: this.#sizes });
    this.#retrieval = new Retrieval({ ...args, sizes: this.#sizes });
  }

  /** Errors: as documented at the rpc. */
  async window(request: GetContextWindowRequest): Promise<GetContextWindowResponse> {
    validate(GetContextWindowRequestSchema, request);
    const { sessionId } = request;
    return this.#cells.use({ namespace: namespaceOf(request.namespace), sessionId }, (cell) =>
      this.#build(cell.requireDurable(), request),
    );
  }

  async #build(
    stored: StoredSession,
    request: GetContextWindowRequest,
  ): Promise<GetContextWindowResponse> {
    const { dialect, agent, authors } = request;
    const policy = windowPolicy(stored.session, request);
    const draft = await this.#draft(stored, { policy, dialect, agent, authors });
    this.#checkProtected(draft);
    const { fitted, retrieved } = await this.#fit(draft, queryOf(request, draft.visible));
    return answer({ draft, fitted, retrieved, request });
  }

  async #draft(stored: StoredSession, wish: Wish): Promise<Draft> {
    const { session, head } = stored;
    const { policy, dialect } = wish;
    const state = head.context ?? create(ContextStateSchema);
    const log = { uid: session.uid, head: head.revision };
    const scope = scopeOf(state);
    const [instructions, compaction, material] = await Promise.all([
      this.#instructions.of(session, state, policy.encoding),
      readCompaction({
        cache: this.#cache,
        log,
        compaction: state.compaction,
        encoding: sessionEncoding(session),
      }),
      readMaterial({
        cache: this.#cache,
        log,
        state,
        after: scope.coveredThrough,
        wanted: [...scope.required, ...scope.spared],
        isEnough: enoughFor(policy, session, shortenedTokens(policy.toolResults)),
      }),
    ]);
    const { summary, covered } = compaction;
    const visible = visibleGroups(material.groups, { scope, policy, authors: wish.authors });
    const events = visible.flatMap((group) => group.events);
    if (summary !== undefined) events.push(summary.event);
    await this.#sizes.prepare(events, policy.encoding);
    const frame = {
      instructions,
      summary,
      dialect,
      encoding: policy.encoding,
      sizes: this.#sizes,
    };
    return { ...wish, stored, state, log, scope, frame, material, visible, covered };
  }

  /** The first user message has no share to keep to: whoever begins decides how long it is. */
  #checkProtected({ stored, state, visible, policy }: Draft): void {
    const limitTokens = policy.protectedTokenBudget;
    const known = new Set(state.protected.map(({ revision }) => revision));
    let protectedTokens = 0;
    for (const { events } of visible) {
      for (const event of events) {
        if (!known.has(event.revision) || event.revision === state.firstUserRevision) continue;
        protectedTokens += this.#sizes.of(event, policy.encoding)?.count ?? 0;
      }
    }
    if (protectedTokens <= limitTokens) return;
    const { sessionId } = stored.session;
    throw new ProtectedBudgetExceededError({ sessionId, protectedTokens, limitTokens });
  }

  async #fit(
    draft: Draft,
    query: string,
  ): Promise<{ fitted: Fitted; retrieved: Retrieved | undefined }> {
    const { policy, visible, scope, state, material, frame } = draft;
    const room = policy.room - frameTokens(frame);
    const fitting = new Fitting({
      policy,
      shortenings: this.#shortenings,
      view: viewOf(draft),
      choice: {
        groups: visible,
        required: scope.required,
        turnRevision: state.turnRevision,
        isComplete: material.completeFrom <= scope.coveredThrough + 1,
        tokensBefore: tokensBefore(draft),
        room,
      },
    });
    const reduced = reducedBefore(visible, state, policy);
    await fitting.shorten(reduced.results);
    fitting.omit(reduced.thinking);
    if (await fitting.reduce()) {
      return { fitted: fitting.fitted(visible, 0), retrieved: undefined };
    }
    const stay = await fitting.require();
    if (stay === undefined) throw this.#tooLong(draft, fitting);
    if (query === "") return { fitted: fitting.recent(stay), retrieved: undefined };
    return this.#retrieval.fit({ fitting, stay, room, query, ...draft });
  }

  #tooLong({ stored, policy, visible, scope, frame, state }: Draft, fitting: Fitting) {
    const required = visible.filter(({ first }) => scope.required.has(first));
    const guarded = new Set(state.protected.map(({ group }) => group));
    const protectedTokens = fitting.total(required.filter(({ first }) => guarded.has(first)));
    const requiredTokens = fitting.total(required);
    const instructionTokens = frameTokens(frame);
    return new ContextTooLongError({
      sessionId: stored.session.sessionId,
      tokenBudget: policy.tokenBudget,
      reservedOutputTokens: policy.reservedOutputTokens,
      requiredTokens: requiredTokens + instructionTokens,
      instructionTokens,
      protectedTokens,
      turnTokens: requiredTokens - protectedTokens,
    });
  }
}

function queryOf({ query, retrieve }: GetContextWindowRequest, visible: readonly Group[]): string {
  if (query !== "" || !retrieve) return query;
  return newestUserText(visible);
}

function viewOf({ dialect, policy, agent, frame }: Draft): View {
  const { encoding } = policy;
  return {
    dialect,
    encoding,
    sizes: frame.sizes,
    agent,
    shortened: new Map(),
    omitted: new Set(),
  };
}

/** Tokens of the log in front of a revision of the tail, from the head's sum backwards. */
function tokensBefore({ stored, material }: Draft): (revision: number) => number {
  const { tail } = material;
  const total = stored.head.metrics?.tokens?.total ?? 0;
  const from = tail[0]?.revision ?? 0;
  const sums = new Float64Array(tail.length + 1);
  for (let index = tail.length - 1; index >= 0; index--) {
    sums[index] = (sums[index + 1] ?? 0) + (tail[index]?.tokens?.count ?? 0);
  }
  return (revision) => total - (sums[Math.max(0, revision - from)] ?? 0);
}
