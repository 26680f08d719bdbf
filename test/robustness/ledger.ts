import type { AppendEventsRequest, AppendEventsResponse } from "@sessiond/contract";
import type { Answer, Call, Sighting } from "./history.ts";
import { markOf } from "./marks.ts";
import type { Recorder } from "./recorder.ts";

interface SentCall {
  readonly request: AppendEventsRequest;
  readonly call: Call & { readonly answers: Answer[] };
}

/** Keeps every call and every answer: on disk first, and in memory for the validators. */
export class Ledger {
  readonly #recorder: Recorder;
  readonly #records = new Map<string, SentCall>();
  readonly #heads = new Map<string, number>();
  /** What readers saw while others wrote. */
  readonly sightings: Sighting[] = [];
  /** Events acknowledged up to now, each once. */
  acknowledgedEvents = 0;

  constructor(recorder: Recorder) {
    this.#recorder = recorder;
  }

  /** Notes that a request is about to be sent, for the first time or again. */
  async sending(request: AppendEventsRequest): Promise<void> {
    const { requestId, sessionId, expectedRevision } = request;
    const known = this.#records.get(requestId);
    const marks = known?.call.marks ?? request.events.map(markOf);
    const { place, synced } = this.#recorder.note({ call: requestId, sessionId, marks });
    if (known === undefined) {
      const expected = expectedRevision === undefined ? {} : { expectedRevision };
      const call = { requestId, sessionId, marks, ...expected, place, answers: [] };
      this.#records.set(requestId, { request, call });
    }
    await synced;
  }

  async acknowledged(requestId: string, response: AppendEventsResponse): Promise<void> {
    const revisions = response.events.map(({ revision }) => revision);
    const tokens = response.events.map((event) => event.tokens?.count ?? 0);
    const { place, synced } = this.#recorder.note({ acknowledged: requestId, revisions });
    const call = this.#call(requestId);
    if (call.answers.length === 0) this.acknowledgedEvents += revisions.length;
    call.answers.push({ kind: "acknowledged", place, revisions, tokens });
    const head = Math.max(this.headOf(call.sessionId), response.headRevision);
    this.#heads.set(call.sessionId, head);
    await synced;
  }

  async refused(requestId: string, reason: string): Promise<void> {
    const { place, synced } = this.#recorder.note({ refused: requestId, reason });
    this.#call(requestId).answers.push({ kind: "refused", place, reason });
    await synced;
  }

  async unknown(requestId: string, why: string): Promise<void> {
    await this.#recorder.note({ unknown: requestId, why }).synced;
  }

  /** Newest revision that was acknowledged; 0 before the first. */
  headOf(sessionId: string): number {
    return this.#heads.get(sessionId) ?? 0;
  }

  get calls(): Call[] {
    return Array.from(this.#records.values(), ({ call }) => call);
  }

  /** Requests whose outcome nobody knows, in the order they were sent. */
  unanswered(): AppendEventsRequest[] {
    const records = [...this.#records.values()];
    return records.filter(({ call }) => call.answers.length === 0).map(({ request }) => request);
  }

  /** The newest requests that were answered. */
  answered(count: number): AppendEventsRequest[] {
    const records = [...this.#records.values()].filter(({ call }) => call.answers.length > 0);
    return records.slice(-count).map(({ request }) => request);
  }

  /** Forgets a session; the file keeps it. */
  forget(sessionId: string): void {
    for (const [requestId, { call }] of this.#records) {
      if (call.sessionId === sessionId) this.#records.delete(requestId);
    }
    this.#heads.delete(sessionId);
    const others = this.sightings.filter((sighting) => sighting.sessionId !== sessionId);
    this.sightings.splice(0, this.sightings.length, ...others);
  }

  #call(requestId: string): SentCall["call"] {
    const record = this.#records.get(requestId);
    if (record === undefined) throw new Error(`${requestId} was answered, but not sent`);
    return record.call;
  }
}
