import { create } from "@bufbuild/protobuf";
import { EventSchema } from "@sessiond/contract";
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
  /** Where sessions will be once all is stored. */
  readonly latest = new Map<string, SessionPlace>();
  looks = 0;

  constructor(inFlight: InFlight) {
    this.#inFlight = inFlight;
  }

  /** Takes a change, or says the name of the error that refuses it. */
  commit(change: Change): string {
    try {
      this.#inFlight.check(change, {
        place: ({ sessionId }) => this.#look(sessionId),
        isTaken: ({ sessionId }: SessionName) => this.#look(sessionId) !== undefined,
      });
    } catch (error) {
      return (error as Error).name;
    }
    this.#inFlight.begin(change);
    this.#underWay.push(change);
    move(this.latest, change);
    return "taken";
  }

  settle(): void {
    const change = this.#underWay.shift();
    if (change === undefined) return;
    move(this.#stored, change);
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
  does: fc.constantFrom("append", "append", "rename", "delete"),
  target: fc.constantFrom(...names),
  /** Who makes the change knows what the session will be, as mostly, or believes something. */
  believed: fc.option(fc.integer({ min: 0, max: 3 }), { freq: 3 }),
  settled: fc.constantFrom(0, 0, 1, 2),
});

test("sessions that were forgotten are judged as those that are remembered", () => {
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 10, maxLength: 40 }),
      fc.integer({ min: 0, max: 2 }),
      (steps, room) => {
        const remembering = new Engine(new InFlight({ remembered: names.length }));
        const forgetting = new Engine(new InFlight({ remembered: room }));
        for (const { settled, name, uid, does, target, believed } of steps) {
          const known = remembering.latest.get(name);
          const change = changeOf({
            name,
            uid: believed === null ? (known?.uid ?? uid) : uid,
            before: believed ?? known?.revision ?? 0,
            ...(does !== "delete" && { after: does === "rename" ? target : name }),
          });
          if (change !== undefined) {
            expect(forgetting.commit(change)).toBe(remembering.commit(change));
          }
          for (let count = 0; count < settled; count++) {
            forgetting.settle();
            remembering.settle();
          }
        }
        expect(remembering.looks).toBeLessThanOrEqual(forgetting.looks);
      },
    ),
    { numRuns: 1_000 },
  );
});

test("appends to a session look once", () => {
  const engine = new Engine(new InFlight());
  for (let before = 0; before < 10; before++) {
    const change = changeOf({ name: "a", uid: "1", before, after: "a" });
    if (change !== undefined) expect(engine.commit(change)).toBe("taken");
    engine.settle();
  }
  expect(engine.looks).toBe(1);
});

/** `after`: the name it has then; absent: it is deleted. Undefined: nothing would be changed. */
function changeOf(wish: {
  readonly name: string;
  readonly uid: string;
  readonly before: number;
  readonly after?: string;
}): Change | undefined {
  const { name, uid, before, after } = wish;
  const key = { namespace: NAMESPACE, sessionId: name, uid };
  const from = before === 0 ? {} : { before: storedSession({ sessionId: name, uid }, before) };
  if (after === undefined) {
    return before === 0 ? undefined : { key, ...from, events: [], deleteTimeMs: 1 };
  }
  const revision = before + 1;
  // What is made has the name it was made under.
  const sessionId = before === 0 ? name : after;
  return {
    key,
    ...from,
    after: storedSession({ sessionId, uid }, revision),
    events: [create(EventSchema, { revision })],
  };
}

function move(places: Map<string, SessionPlace>, { key, after }: Change): void {
  places.delete(key.sessionId);
  if (after === undefined) return;
  const { sessionId, uid } = after.session;
  places.set(sessionId, { uid, revision: after.head.revision });
}
