import { EventSchema, type StoreFinding } from "@sessiond/contract";
import type { SessionHead } from "@sessiond/contract/store";
import { parseEventKey } from "../../../store/keys.ts";
import type { StoredRecord } from "../../../store/store.ts";
import { finding } from "./finding.ts";
import { Recount } from "./recount.ts";
import { LogRecount, type RollupRecount } from "./rollups.ts";
import { decoded, parsed } from "./walk.ts";

/**
 * Checks the log of one session against its head, record by record.
 *
 * The head is to be read before the events: what it names was there then, and events are only added. Of a
 * fork, the events it inherits come first, from the logs they are kept in.
 */
export class SessionLogCheck {
  readonly #uid: string;
  readonly #head: SessionHead;
  readonly #recount = new Recount();
  readonly #rollups: RollupRecount;
  readonly #facts: LogRecount;
  readonly #findings: StoreFinding[] = [];
  #next = 1;
  readonly #inherited: number;
  #inheritedBytes = 0;
  #isWhole = true;
  #isOpen = false;
  #goesOn = false;

  /** What a log that is whole counts for is added to `rollups`. */
  constructor(uid: string, head: SessionHead, rollups: RollupRecount) {
    this.#uid = uid;
    this.#head = head;
    this.#inherited = head.inherited.at(-1)?.lastRevision ?? 0;
    this.#rollups = rollups;
    const { firstHour } = rollups;
    this.#facts = new LogRecount({ firstHour, shares: this.#inherited > 0 });
  }

  /** Takes the next record; false when it lies behind the head and nothing more is wanted. */
  add(record: StoredRecord): boolean {
    const revision = parsed(parseEventKey, record.key)?.revision ?? 0;
    if (revision === 0) {
      this.#note("RECORD_DAMAGED", "a key of its log is not what was written");
      return true;
    }
    if (revision > this.#head.revision) {
      this.#goesOn = true;
      return false;
    }
    if (revision < this.#next) {
      const found = `event ${revision} is among its own, and it inherits those up to ${this.#inherited}`;
      this.#note("EVENT_MISPLACED", found);
      return true;
    }
    if (revision !== this.#next) this.#lacks(revision - 1);
    this.#next = revision + 1;
    this.#isOpen = record.continues;
    const event = decoded(EventSchema, record);
    if (event === undefined) {
      this.#isWhole = false;
      this.#note("RECORD_DAMAGED", `event ${revision} is not what was written`);
      return true;
    }
    if (event.revision !== revision) {
      this.#isWhole = false;
      this.#note("EVENT_MISPLACED", `event ${revision} says it is ${event.revision}`);
    }
    const bytes = record.content instanceof Uint8Array ? record.content.length : 0;
    this.#recount.add(event, bytes);
    if (revision <= this.#inherited) this.#inheritedBytes += bytes;
    this.#facts.add(event, bytes);
    return true;
  }

  /** What was found, when there is nothing more to add. */
  end(): { readonly findings: readonly StoreFinding[]; readonly goesOn: boolean } {
    const { revision } = this.#head;
    if (this.#next <= revision) this.#lacks(revision);
    else if (this.#isOpen) this.#note("BATCH_OPEN", `the batch of event ${revision} has no end`);
    if (!this.#isWhole) this.#rollups.noteMissing();
    else {
      this.#rollups.log(this.#facts);
      const { counters, context } = this.#recount.differences(this.#head);
      const { inheritedBytes } = this.#head;
      if (inheritedBytes !== this.#inheritedBytes) {
        counters.push(`inheritedBytes is ${inheritedBytes}, the log has ${this.#inheritedBytes}`);
      }
      if (counters.length > 0) this.#note("COUNTER_WRONG", counters.join("; "));
      if (context.length > 0) this.#note("CONTEXT_WRONG", context.join("; "));
    }
    return { findings: this.#findings, goesOn: this.#goesOn };
  }

  #lacks(last: number): void {
    this.#isWhole = false;
    const which = last === this.#next ? `event ${last}` : `events ${this.#next} to ${last}`;
    const head = `the session is at ${this.#head.revision}`;
    this.#note("EVENT_MISSING", `${which} missing; ${head}`);
  }

  #note(code: Parameters<typeof finding>[0], found: string): void {
    this.#findings.push(finding(code, { uid: this.#uid }, found));
  }
}
