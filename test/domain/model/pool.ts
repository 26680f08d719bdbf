import { durationFromMs } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import type { Fields } from "./session.ts";

/** Names that calls are made with; `~` ones appear when ended sessions are kept. */
export const names = ["a", "b", "c", "a~1", "b~1"] as const;
/** Few, so that much happens to each. */
export const someName = fc.constantFrom("a", "a", "a", "a", "b", "b", "c", "a~1");
/** For what is made of another session. */
export const otherName = fc.constantFrom("b", "c", "a~1", "b~1");
/** For what makes logs long. */
export const busyName = fc.constantFrom(..."aaaaaaaa", "b", "c", "a~1");

/** Mostly nothing: a session that ends by everything at once ends soon, and by one thing. */
const seldom = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.oneof(
    { weight: 2, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: arbitrary as fc.Arbitrary<T | undefined> },
  );
/** Times that clock jumps now and then just reach. */
const span = seldom(fc.constantFrom(1, 50, 1_000, 30_000, 3_600_000, 90_000_000));

/** Most sessions have no limit. */
const none = Array<undefined>(4).fill(undefined);

/** What callers may ask of the life of a session, all of it and a part of it. */
export const bounds = fc.record({
  maxSteps: fc.constantFrom(...none, 1, 3, 8),
  maxTokens: fc.constantFrom(...none, 5, 60),
  timeoutMs: span,
  ttlMs: span,
  idleTtlMs: span,
  retentionMs: seldom(fc.constantFrom(0, 1_000, 3_600_000)),
});

export const plainFields: Fields = {
  ...{ title: "", agentId: "", userId: "", storesThinking: true },
};

type Bounds = typeof bounds extends fc.Arbitrary<infer T> ? T : never;

/** The same as a request says it. */
export function limitsOf({ maxSteps, maxTokens, timeoutMs }: Partial<Bounds>) {
  return {
    ...(maxSteps !== undefined && { maxSteps }),
    ...(maxTokens !== undefined && { maxTokens }),
    ...(timeoutMs !== undefined && { timeout: durationFromMs(timeoutMs) }),
  };
}

export function expiryOf({ ttlMs, idleTtlMs, retentionMs }: Partial<Bounds>) {
  return {
    ...(ttlMs !== undefined && { ttl: durationFromMs(ttlMs) }),
    ...(idleTtlMs !== undefined && { idleTtl: durationFromMs(idleTtlMs) }),
    ...(retentionMs !== undefined && { retention: durationFromMs(retentionMs) }),
  };
}

export type { Bounds };
