import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type CreateSessionRequest,
  CreateSessionRequestSchema,
  CreateSessionResponseSchema,
} from "@sessiond/contract";
import { describe, expect, test } from "vitest";
import { type Remember, Requests } from "../../src/domain/requests.ts";
import { RequestIdReusedError } from "../../src/errors.ts";
import { limits } from "../../src/limits.ts";
import { MemoryStore } from "../../src/store/memory/memory-store.ts";
import { creation, maintainAll } from "../store/support.ts";

type Init = MessageInitShape<typeof CreateSessionRequestSchema>;

async function setUp() {
  const store = await MemoryStore.open();
  let nowMs = 1_000_000;
  const requests = new Requests({ store, clock: () => nowMs });
  let effects = 0;

  /** An effect that stores a session of its own, with the record of the request. */
  const effect = async (remember: Remember<typeof CreateSessionResponseSchema>) => {
    effects++;
    const response = create(CreateSessionResponseSchema, { session: { title: `${effects}` } });
    const request = remember(response);
    const change = creation({ sessionId: `effect-${effects}` });
    await store.commit(request === undefined ? change : { ...change, request });
    return response;
  };
  return {
    store,
    requests,
    effect,
    get effects() {
      return effects;
    },
    pass: (ms: number) => {
      nowMs += ms;
      return nowMs;
    },
    once: (init: Init, run = effect, name = { namespace: "default", sessionId: "demo" }) =>
      requests.once(
        {
          ...name,
          schema: CreateSessionRequestSchema,
          message: create(CreateSessionRequestSchema, init) as CreateSessionRequest,
          responseSchema: CreateSessionResponseSchema,
        },
        run,
      ),
  };
}

describe("Idempotent", () => {
  test("a repeated request gets the first answer and has no second effect", async () => {
    const world = await setUp();
    const first = await world.once({ requestId: "r" });
    expect(await world.once({ requestId: "r" })).toEqual(first);
    expect(world.effects).toBe(1);
  });

  test("twins under way share one effect and one answer", async () => {
    const world = await setUp();
    const answers = await Promise.all([1, 2, 3].map(() => world.once({ requestId: "r" })));
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[2]).toEqual(answers[0]);
    expect(world.effects).toBe(1);
  });

  test("an id used with other content is refused, under way and afterwards", async () => {
    const world = await setUp();
    const first = world.once({ requestId: "r", session: { title: "a" } });
    const other = { requestId: "r", session: { title: "b" } };
    await expect(world.once(other)).rejects.toThrow(RequestIdReusedError);
    await first;
    await expect(world.once(other)).rejects.toThrow(RequestIdReusedError);
    expect(world.effects).toBe(1);
  });

  test("requests that say the same in another order are the same", async () => {
    const world = await setUp();
    const session = (keys: readonly string[]) => ({
      labels: Object.fromEntries(keys.map((key) => [key, "x"])),
      metadata: { in: Object.fromEntries(keys.map((key) => [key, [{ a: 1 }]])) },
      context: {
        kind: {
          case: "structValue" as const,
          value: { fields: Object.fromEntries(keys.map((key) => [key, {}])) },
        },
      },
      tools: [{ name: "t", inputSchema: Object.fromEntries(keys.map((key) => [key, 1])) }],
    });
    const first = await world.once({ requestId: "r", session: session(["a", "b", "__proto__"]) });
    const again = { requestId: "r", session: session(["__proto__", "b", "a"]) };
    expect(await world.once(again)).toEqual(first);
    const { tools, ...less } = session(["a", "b", "__proto__"]);
    expect(tools).toHaveLength(1);
    await expect(world.once({ requestId: "r", session: less })).rejects.toThrow("other content");
  });

  test("lists in another order are other content", async () => {
    const world = await setUp();
    await world.once({ requestId: "r", session: { metadata: { k: [1, 2] } } });
    const other = { requestId: "r", session: { metadata: { k: [2, 1] } } };
    await expect(world.once(other)).rejects.toThrow(RequestIdReusedError);
  });

  test("a failed request has no effect that counts and may be repeated", async () => {
    const world = await setUp();
    const failing = () => Promise.reject(new Error("broken"));
    const twins = [world.once({ requestId: "r" }, failing), world.once({ requestId: "r" })];
    for (const outcome of await Promise.allSettled(twins)) {
      expect(outcome).toMatchObject({ status: "rejected", reason: { message: "broken" } });
    }
    expect(world.effects).toBe(0);
    await world.once({ requestId: "r" });
    expect(world.effects).toBe(1);
  });

  test("an id belongs to the name of one session", async () => {
    const world = await setUp();
    const names = [
      { namespace: "default", sessionId: "demo" },
      { namespace: "default", sessionId: "other" },
      { namespace: "other", sessionId: "demo" },
    ];
    for (const name of names) await world.once({ requestId: "r" }, world.effect, name);
    expect(world.effects).toBe(3);
  });

  test("requests without an id are not remembered", async () => {
    const world = await setUp();
    await Promise.all([world.once({}), world.once({})]);
    expect(world.effects).toBe(2);
  });

  test("an id is known for a day, and forgotten after it", async () => {
    const world = await setUp();
    await world.once({ requestId: "r" });
    await maintainAll(world.store, world.pass(limits.requestIdTtlMs - 1));
    await world.once({ requestId: "r" });
    expect(world.effects).toBe(1);
    await maintainAll(world.store, world.pass(2));
    await world.once({ requestId: "r" });
    expect(world.effects).toBe(2);
  });
});
