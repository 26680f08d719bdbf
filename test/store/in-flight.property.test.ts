import fc from "fast-check";
import { expect, test } from "vitest";
import { InFlight, type SessionPlace } from "../../src/store/in-flight.ts";
import type { SessionName } from "../../src/store/keys.ts";
import type { Change } from "../../src/store/store.ts";
import { NAMESPACE, storedSession } from "./support.ts";

const names = ["a", "b", "c", "d"];

/** What an engine would have stored, and the commits that are on their way there. */
class Engine {
  readonly #inFlight: InFlight;
  readonly #stored = new Map<string, SessionPlace>();
  readonly #underWay: Change[] = [];
  looks = 0;

  constructor(inFlight: InFlight) {
    this.#inFlight = inFlight;
  }

  /** Takes a change or refuses it; the answer says which. */
  commit(change: Change): string {
    try {
      this.#inFlight.check(change, {
        place: ({ sessionId }) => this.#look(sessionId),
        isTaken: ({ sessionId }: SessionName) => this.#look(sessionId) !== undefined,
      });
    } catch (error) {
      return String(error);
    }
    this.#inFlight.begin(change);
    this.#underWay.push(change);
    return "taken";
  }

  settle(): void {
    const change = this.#underWay.shift();
    if (change === undefined) return;
    this.#stored.delete(change.key.sessionId);
    if (change.after !== undefined) {
      const { sessionId, uid } = change.after.session;
      this.#stored.set(sessionId, { uid, revision: change.after.head.revision });
    }
    this.#inFlight.end(change);
  }

  #look(sessionId: string): SessionPlace | undefined {
    this.looks++;
    return this.#stored.get(sessionId);
  }
}

const step = fc.record({
  name: fc.constantFrom(...names),
  uid: fc.constantFrom("1", "2"),
  // What the caller believes to be there, and what it leads to; 0: nothing.
  before: fc.integer({ min: 0, max: 3 }),
  after: fc.integer({ min: 0, max: 3 }),
  rename: fc.option(fc.constantFrom(...names), { freq: 4, nil: undefined }),
  settled: fc.integer({ min: 0, max: 2 }),
});

test("sessions that are remembered are judged as by a look into the store", () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60 }),
      fc.integer({ max: 3, min: 1 }),
      (steps, room) => {
        const looking = new Engine(new InFlight({ remembered: 0 }));
        const remembering = new Engine(new InFlight({ remembered: room }));
        for (const { settled, ...wish } of steps) {
          const change = changeOf(wish);
          if (change !== undefined) expect(remembering.commit(change)).toBe(looking.commit(change));
          for (let count = 0; count < settled; count++) {
            looking.settle();
            remembering.settle();
          }
        }
        expect(remembering.looks).toBeLessThanOrEqual(looking.looks);
      },
    ),
  );
});

test("appends to a session look once", () => {
  const engine = new Engine(new InFlight());
  for (let revision = 1; revision <= 10; revision++) {
    const change = changeOf({ name: "a", uid: "1", before: revision - 1, after: revision });
    if (change !== undefined) expect(engine.commit(change)).toBe("taken");
    engine.settle();
  }
  expect(engine.looks).toBe(1);
});

/** Undefined: it would contradict itself. */
function changeOf(wish: {
  name: string;
  uid: string;
  before: number;
  after: number;
  rename?: string | undefined;
}): Change | undefined {
  const { name, uid, before, after, rename = name } = wish;
  if (before === 0 && after === 0) return undefined;
  const sessionAt = (sessionId: string, revision: number) =>
    revision === 0 ? undefined : storedSession({ sessionId, uid }, revision);
  const from = sessionAt(name, before);
  // The revisions of a change follow from its events; here it only matters where it leads.
  const to = sessionAt(before === 0 ? name : rename, after === 0 ? 0 : before + 1);
  const event = { revision: before + 1 } as Change["events"][number];
  return {
    key: { namespace: NAMESPACE, sessionId: name, uid },
    ...(from && { before: from }),
    ...(to && { after: to }),
    ...(to === undefined && { deleteTimeMs: 1 }),
    events: to === undefined ? [] : [event],
  };
}
