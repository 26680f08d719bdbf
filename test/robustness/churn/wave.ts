import { randomBytes } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { type EventSchema, SessionState } from "@sessiond/contract";
import type { Random } from "../random.ts";
import { reasonOf } from "../requests.ts";
import type { Clients } from "./clients.ts";

/** Sessions that are worked on at once. */
const inFlight = 16;
/** How long a session is kept after its end, at most. */
const retentionMs = 500;
/** Longest time to live of those that end by it: enough for their appends, or too short. */
const ttlMs = 2_000;
/** Lengths of what is stored: some share a page, some need pages of their own, none can be compressed. */
const lengths = [20, 200, 900, 3_000, 12_000] as const;
const noise = randomBytes(24_000).toString("base64");

/**
 * Creates sessions, writes to them, and has each go in one of the ways there are: deleted by a call,
 * or ended by a call, by cancellation or by its own time, and removed by its retention.
 *
 * Resolves when the last of them is on its way.
 */
export async function sendWave(
  clients: Clients,
  args: { namespace: string; sessionIds: readonly string[]; random: Random },
): Promise<void> {
  const { namespace, sessionIds, random } = args;
  const waiting = [...sessionIds];
  const worker = async () => {
    for (let sessionId = waiting.pop(); sessionId !== undefined; sessionId = waiting.pop()) {
      await live(clients, { namespace, sessionId }, random);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
}

async function live(
  { events, sessions }: Clients,
  name: { namespace: string; sessionId: string },
  random: Random,
): Promise<void> {
  const way = random.pick(["delete", "end", "cancel", "ttl", "ttl"] as const);
  await sessions.createSession({
    session: {
      ...name,
      agentId: random.pick(["", "planner", "writer"]),
      userId: random.pick(["", "ada", "grace"]),
      metadata: { noise: noiseOf(random) },
      expiry: {
        retention: durationFromMs(random.between(0, retentionMs)),
        ...(way === "ttl" && { ttl: durationFromMs(random.between(1, ttlMs)) }),
      },
    },
  });
  for (let batches = random.between(0, 3); batches > 0; batches--) {
    const batch = Array.from({ length: random.between(1, 8) }, () => eventOf(random));
    const append = events.appendEvents({ ...name, events: batch });
    const reason = await reasonOf(append);
    const isEnded = reason === "SESSION_ENDED" || reason === "SESSION_NOT_FOUND";
    if (reason !== "none" && !(way === "ttl" && isEnded)) throw new Error(`refused with ${reason}`);
  }
  switch (way) {
    case "delete":
      await sessions.deleteSession(name);
      break;
    case "end":
      await sessions.endSession({ ...name, state: SessionState.FAILED });
      break;
    case "cancel":
      await sessions.cancelSession(name);
      break;
    case "ttl":
      break;
  }
}

/** Its bulk is in the metadata: counting the tokens of texts would take longer than storing them. */
function eventOf(random: Random): MessageInitShape<typeof EventSchema> {
  const payload = { case: "custom", value: { type: "churn" } } as const;
  return { payload, metadata: { noise: noiseOf(random) } };
}

function noiseOf(random: Random): string {
  const start = random.between(0, noise.length / 2);
  return noise.slice(start, start + random.pick(lengths));
}
