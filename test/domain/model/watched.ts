import { expect } from "vitest";
import type { TestDomain } from "../../support/domain.ts";
import { type Numbers, numbered } from "./log.ts";
import type { Model } from "./model.ts";
import { numbersOf } from "./shown.ts";

/** What a reader of the whole namespace sees: from the start, and behind its cursor after each break. */
export class Watched {
  readonly #logs = new Map<string, Numbers[]>();
  readonly #deleted = new Set<string>();
  #cursor = "";

  /** Reads on until the watch says that it is current. */
  async catchUp(domain: TestDomain): Promise<void> {
    for await (const { cursor, message } of domain.watch({ cursor: this.#cursor })) {
      this.#cursor = cursor;
      if (message.case === "progress") return;
      if (message.case === "sessionDeleted") this.#deleted.add(message.value.sessionUid);
      if (message.case !== "events") continue;
      const { sessionUid, events } = message.value;
      expect(this.#deleted).not.toContain(sessionUid);
      const log = this.#logs.get(sessionUid) ?? [];
      for (const event of events) {
        // Ordered, unique, gapless; of a fork, what it does not share.
        const isFork = log.length === 0 && event.payload.case === "forked";
        if (!isFork) expect(event.revision).toBe((log.at(-1)?.revision ?? 0) + 1);
        log.push(numbersOf(event));
      }
      this.#logs.set(sessionUid, log);
    }
  }

  /** Everything of the sessions that are there was seen, and the end of those that are not. */
  check({ sessions }: Model): void {
    const alive = new Set<string>();
    for (const [name, { uid, log, inherited = 0 }] of sessions) {
      alive.add(uid);
      expect(this.#logs.get(uid) ?? [], name).toEqual(numbered(log).slice(inherited));
      expect(this.#deleted).not.toContain(uid);
    }
    for (const uid of this.#logs.keys()) {
      if (!alive.has(uid)) expect(this.#deleted).toContain(uid);
    }
  }
}
