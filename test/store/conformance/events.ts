import { create, toBinary } from "@bufbuild/protobuf";
import { type Event, EventSchema } from "@sessiond/contract";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { addition, allEvents, creation, textEvents } from "../support.ts";
import type { Engine } from "./index.ts";

const EVERYTHING = { first: 1, last: 0xffff_ffff, maxEvents: 1_000, maxBytes: 1e9 };

// Lone surrogates have no UTF-8 form, so no protobuf text can hold them.
const text = fc.string({ unit: "binary" }).filter((value) => value.isWellFormed());
const bytes = fc.uint8Array({ maxLength: 5_000 });

const arbitraryEvent: fc.Arbitrary<Event> = fc
  .record({
    eventId: text,
    author: text,
    kind: text,
    turn: fc.nat(),
    format: text,
    raw: text,
    payload: fc.oneof(
      text.map((value) => ({ case: "message" as const, value: { text: value } })),
      fc.record({ callId: text, name: text, arguments: text }).map((value) => ({
        case: "toolCall" as const,
        value,
      })),
      // Long enough to be compressed, and not.
      fc.tuple(text, fc.nat(400)).map(([content, times]) => ({
        case: "toolResult" as const,
        value: { callId: "c", content: content.repeat(times) },
      })),
    ),
    unknown: bytes,
  })
  .map(({ unknown, raw, format, ...fields }) =>
    create(EventSchema, {
      ...fields,
      raw: { format, json: raw },
      // A field of a later version of the contract: 1000, length-delimited.
      $unknown: [{ no: 1_000, wireType: 2, data: lengthDelimited(unknown) }],
    }),
  );

function lengthDelimited(content: Uint8Array): Uint8Array {
  const length = [];
  let left = content.length;
  for (; left > 0x7f; left >>>= 7) length.push((left & 0x7f) | 0x80);
  return Uint8Array.from([...length, left, ...content]);
}

export function describeEvents({ open }: Engine): void {
  describe("events", () => {
    it("come back as they were, whatever is in them", async () => {
      const store = await open();
      let n = 0;
      await fc.assert(
        fc.asyncProperty(
          fc.array(arbitraryEvent, { minLength: 1, maxLength: 5 }),
          text.filter((value) => value !== "" && value.length <= 100),
          async (events, name) => {
            events.forEach((event, i) => {
              event.revision = i + 1;
            });
            n += 1;
            const created = creation({ sessionId: `${name} ${n}` }, 0);
            await store.commit(created);
            await store.commit(addition(created, events));
            const found = await allEvents(store, created.key.uid);
            expect(found.map((event) => toBinary(EventSchema, event))).toEqual(
              events.map((event) => toBinary(EventSchema, event)),
            );
            expect((await store.getSession(created.key))?.session.sessionId).toBe(
              created.key.sessionId,
            );
          },
        ),
        { numRuns: 60 },
      );
      await store.close();
    });

    it("are read by range, oldest or newest first", async () => {
      const store = await open();
      const created = creation({}, 10);
      const { uid } = created.key;
      await store.commit(creation({ sessionId: "before" }, 5));
      await store.commit(created);
      await store.commit(creation({ sessionId: "behind" }, 5));
      const revisions = async (range: object) =>
        (await store.readEvents({ uid, ...EVERYTHING, ...range })).map((e) => e.revision);
      expect(await revisions({ first: 3, last: 6 })).toEqual([3, 4, 5, 6]);
      expect(await revisions({ first: 3, last: 6, reverse: true })).toEqual([6, 5, 4, 3]);
      expect(await revisions({ reverse: true, maxEvents: 2 })).toEqual([10, 9]);
      expect(await revisions({ first: 9, last: 99 })).toEqual([9, 10]);
      expect(await revisions({ first: 11 })).toEqual([]);
      expect(await revisions({ first: 6, last: 5 })).toEqual([]);
      expect(await revisions({ maxEvents: 0 })).toEqual([]);
      await store.close();
    });

    it("stop before a limit of bytes, but never before the first", async () => {
      const store = await open();
      const created = creation({}, 0);
      const { uid } = created.key;
      const events = textEvents(1, 5, "x".repeat(500));
      await store.commit(created);
      await store.commit(addition(created, events));
      const size = events
        .slice(0, 3)
        .reduce((sum, event) => sum + toBinary(EventSchema, event).length, 0);
      const count = async (maxBytes: number) =>
        (await store.readEvents({ uid, ...EVERYTHING, maxBytes })).length;
      expect(await count(size)).toBe(3);
      expect(await count(size - 1)).toBe(2);
      expect(await count(1)).toBe(1);
      await store.close();
    });

    it("of an unknown session are none", async () => {
      const store = await open();
      expect(await allEvents(store, creation().key.uid)).toEqual([]);
      await store.close();
    });

    it("are not cut inside a batch when whole batches are asked for", async () => {
      const store = await open();
      const created = creation({}, 1);
      const four = addition(created, 4);
      const two = addition(four, 2);
      for (const change of [created, four, two]) await store.commit(change);
      const { uid } = created.key;
      const read = async (first: number, maxEvents: number, maxBytes = 1e9) => {
        const range = { uid, first, last: 7, maxEvents, maxBytes, wholeBatches: true };
        return (await store.readEvents(range)).map(({ revision }) => revision);
      };
      expect(await read(1, 1)).toEqual([1]);
      expect(await read(1, 2)).toEqual([1, 2, 3, 4, 5]);
      expect(await read(2, 1)).toEqual([2, 3, 4, 5]);
      expect(await read(2, 9, 1)).toEqual([2, 3, 4, 5]);
      expect(await read(2, 5)).toEqual([2, 3, 4, 5, 6, 7]);
      expect(await read(6, 9)).toEqual([6, 7]);
      await store.close();
    });

    it("may be as large as a request", async () => {
      const store = await open();
      const created = creation({}, 0);
      const random = Buffer.from(
        Uint32Array.from({ length: 200_000 }, (_, i) => Math.imul(i, 2_654_435_761)).buffer,
      ).toString("base64");
      const events = textEvents(1, 3, random);
      await store.commit(created);
      await store.commit(addition(created, events));
      expect(await allEvents(store, created.key.uid)).toEqual(events);
      await store.close();
    });
  });
}
