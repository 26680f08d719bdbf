import { type Event, SessionParentKind } from "@sessiond/contract";
import type { Subject } from "./attributes.ts";
import { own, parentWords } from "./names.ts";
import type { SpanRecord, SpanRef } from "./records.ts";
import type { SessionFacts, SessionSource } from "./source.ts";
import { spanIdOf, traceIdOf } from "./span-ids.ts";
import { type Taken, takeDeletion, takeEvent } from "./take-event.ts";
import { initialState, type Open, recordedSpan, type TraceState } from "./trace-state.ts";
import { timeMsOf } from "./values.ts";

/** Events in front of one that are looked at to find what is open, when nothing is known of its session. */
const lookBack = 256;

/** A session, as a batch names it. */
export interface SessionName {
  readonly namespace: string;
  readonly sessionId: string;
  readonly uid: string;
}

/**
 * Traces of sessions, as far as they are remembered. Of a session that is not, after a restart or because
 * others were busier, what is missing is read back.
 */
export class Traces {
  readonly #source: SessionSource;
  readonly #memoryBytes: number;
  /** The longest quiet one first. */
  readonly #states = new Map<string, TraceState>();
  #bytes = 0;

  constructor(args: {
    source: SessionSource;
    /** About how many bytes are remembered. */
    memoryBytes: number;
  }) {
    this.#source = args.source;
    this.#memoryBytes = args.memoryBytes;
  }

  /** Begins a batch, which changes what is remembered only when it is kept. */
  begin(): TraceBatch {
    return new TraceBatch({
      source: this.#source,
      remembered: (uid) => this.#states.get(uid),
      keep: (uid, state) => this.#keep(uid, state),
    });
  }

  #keep(uid: string, state: TraceState | undefined): void {
    this.#forget(uid);
    // One that has ended mostly stays so; if not, it is read back.
    if (state === undefined || state.hasEnded) return;
    this.#states.set(uid, state);
    this.#bytes += bytesOf(state);
    for (const oldest of this.#states.keys()) {
      if (this.#bytes <= this.#memoryBytes) return;
      this.#forget(oldest);
    }
  }

  #forget(uid: string): void {
    const state = this.#states.get(uid);
    if (state === undefined) return;
    this.#states.delete(uid);
    this.#bytes -= bytesOf(state);
  }
}

/** About what is remembered of a session takes. */
function bytesOf({ calls, steps }: TraceState): number {
  let bytes = 1_024;
  const add = ({ trace }: Open, ...texts: (string | undefined)[]) => {
    const own = texts.reduce((sum, text = "") => sum + text.length, 0);
    bytes += 256 + own + (trace === undefined ? 0 : 256 + trace.tracestate.length);
  };
  for (const call of calls.values()) add(call, call.arguments, call.callId, call.name);
  for (const step of steps) add(step, step.input, step.name);
  return bytes;
}

/** Events that are delivered together. A batch that is not kept can be taken again. */
export class TraceBatch {
  readonly #source: SessionSource;
  readonly #remembered: (uid: string) => TraceState | undefined;
  readonly #keep: (uid: string, state: TraceState | undefined) => void;
  readonly #changed = new Map<string, TraceState | undefined>();

  constructor(args: {
    source: SessionSource;
    remembered: (uid: string) => TraceState | undefined;
    keep: (uid: string, state: TraceState | undefined) => void;
  }) {
    this.#source = args.source;
    this.#remembered = args.remembered;
    this.#keep = args.keep;
  }

  /** Takes the next event of a session. */
  async take(name: SessionName, event: Event): Promise<Taken> {
    const state = this.#known(name.uid) ?? (await this.#open(name, event));
    const taken = takeEvent(state, event, {
      call: await this.#call(state, event),
      facts: event.payload.case === "sessionEnded" ? await this.#source.session(name) : undefined,
    });
    this.#changed.set(name.uid, taken.state);
    return taken;
  }

  /** Takes the deletion of a session. */
  takeDeletion(uid: string, atMs: number): readonly SpanRecord[] {
    const state = this.#known(uid);
    this.#changed.set(uid, undefined);
    return state === undefined ? [] : takeDeletion(state, atMs);
  }

  /** Remembers what the batch led to. */
  keep(): void {
    for (const [uid, state] of this.#changed) this.#keep(uid, state);
  }

  #known(uid: string): TraceState | undefined {
    return this.#changed.has(uid) ? this.#changed.get(uid) : this.#remembered(uid);
  }

  /** The call that a final result answers, if the state does not know all of it. */
  async #call(state: TraceState, event: Event): Promise<Event | undefined> {
    const { calls, subject, shared } = state;
    const { payload, callRevision } = event;
    if (payload.case !== "toolResult" || payload.value.isFinal === false) return undefined;
    if (callRevision === 0 || calls.get(callRevision)?.arguments !== undefined) return undefined;
    const isShared = shared !== undefined && callRevision <= shared.revision;
    return this.#event(isShared ? shared : subject, callRevision);
  }

  /** The state in front of an event of a session that is not remembered. */
  async #open(name: SessionName, event: Event): Promise<TraceState> {
    const facts = await this.#source.session(name);
    const { sessionId, uid } = name;
    const isFork = event.payload.case === "forked";
    const firstRevision = facts?.firstRevision ?? (isFork ? event.revision : 1);
    const isFirst = event.revision === firstRevision;
    const first = isFirst ? event : await this.#event(name, firstRevision);
    const state = initialState({
      subject: subjectOf(name, first, facts),
      first,
      firstRevision,
      knownSinceMs: timeMsOf(event),
      links: await this.#links(facts),
      shared: facts?.parent?.kind === SessionParentKind.FORK ? facts.parent : undefined,
    });
    if (isFirst) return state;
    const last = event.revision - 1;
    const nearest = { first: Math.max(firstRevision, last - lookBack + 1), last };
    const before = await this.#source.events({ sessionId, uid, ...nearest });
    return before.reduce((known, earlier) => takeEvent(known, earlier).state, state);
  }

  async #event(
    { sessionId, uid }: Pick<SessionName, "sessionId" | "uid">,
    revision: number,
  ): Promise<Event | undefined> {
    const range = { sessionId, uid, first: revision, last: revision };
    const [event] = await this.#source.events(range);
    return event;
  }

  /** Links to the session that one was forked from or is a child of. */
  async #links(facts: SessionFacts | undefined): Promise<SpanRecord["links"]> {
    if (facts?.parent === undefined) return [];
    const { sessionId, revision, kind } = facts.parent;
    const attributes = {
      [own.parentSession]: sessionId,
      [own.parentKind]: parentWords[kind],
      ...(revision > 0 && { [own.parentRevision]: revision }),
    };
    return [{ to: await this.#rootOf(facts.parent), attributes }];
  }

  async #rootOf(parent: NonNullable<SessionFacts["parent"]>): Promise<SpanRef> {
    const { uid, firstRevision } = parent;
    const first = await this.#event(parent, firstRevision);
    const { traceId = traceIdOf(uid), tracestate } = recordedSpan(first?.trace) ?? {};
    return { traceId, spanId: spanIdOf(uid, firstRevision), tracestate };
  }
}

function subjectOf(
  name: SessionName,
  first: Event | undefined,
  facts: SessionFacts | undefined,
): Subject {
  // Which the sink may have; what the session says by now stands in only where its log begins otherwise.
  const started = first?.payload.case === "sessionStarted" ? first.payload.value : facts;
  return { ...name, agentId: started?.agentId ?? "", model: started?.model ?? "" };
}
