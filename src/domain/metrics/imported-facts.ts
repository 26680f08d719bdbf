import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Event, Session } from "@sessiond/contract";
import { limits } from "../../limits.ts";
import type { HourFacts } from "../../store/store.ts";
import { countCreation } from "./contributions.ts";
import { hourMs, LogFacts } from "./log-facts.ts";

/** How far the clock may be behind that of the server a session comes from. */
const aheadMs = 24 * hourMs;

/**
 * What the log of an imported session counts for: everything at its own time. Nothing that is older than
 * rollups are kept, or further ahead than clocks differ: a bundle says what it likes, and each hour is a
 * record.
 */
export class ImportedFacts {
  readonly #facts: LogFacts;
  readonly #firstHour: number;
  readonly #lastHour: number;

  constructor(session: Session, nowMs: number) {
    this.#facts = new LogFacts({ startTime: session.startTime });
    this.#firstHour = Math.floor((nowMs - limits.rollupTtlMs) / hourMs);
    this.#lastHour = Math.floor((nowMs + aheadMs) / hourMs);
    const createMs = session.createTime ? timestampMs(session.createTime) : nowMs;
    if (this.#isKept(createMs)) countCreation(this.#facts, session);
  }

  get hours(): readonly HourFacts[] {
    return this.#facts.hours;
  }

  add(event: Event): void {
    const { createTime } = event;
    if (createTime === undefined || !this.#isKept(timestampMs(createTime))) return;
    this.#facts.add(event);
  }

  #isKept(atMs: number): boolean {
    const hour = Math.floor(atMs / hourMs);
    return hour >= this.#firstHour && hour <= this.#lastHour;
  }
}
