import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { type WatchEventsResponse, WatchEventsResponseSchema } from "@sessiond/contract";
import fc from "fast-check";
import { expect, test } from "vitest";
import { retryPolicy } from "../../sdk/client/src/retry/policy.ts";
import { type WatchCall, watchMessages } from "../../sdk/client/src/watch-messages.ts";

/**
 * A server of one log of batches whose streams break: the nth call delivers as many messages as
 * the nth number says and then loses its connection. When no numbers are left it runs to the end.
 */
function breakingServer(batchSizes: readonly number[], breaks: readonly number[]) {
  let calls = 0;
  async function* watchEvents({ cursor = "" }: { cursor?: string }) {
    const deliverable = breaks[calls++] ?? Number.POSITIVE_INFINITY;
    let delivered = 0;
    const messages = [created(cursor || "0"), ...batchesAfter(batchSizes, Number(cursor))];
    for (const message of messages) {
      if (delivered++ >= deliverable) throw new ConnectError("connection lost", Code.Unavailable);
      yield message;
    }
  }
  return { events: { watchEvents } } as unknown as WatchCall["clients"];
}

function created(cursor: string): WatchEventsResponse {
  const message = { case: "created" as const, value: {} };
  return create(WatchEventsResponseSchema, { cursor, message });
}

function batchesAfter(batchSizes: readonly number[], from: number): WatchEventsResponse[] {
  let revision = 0;
  const all = batchSizes.map((size, index) => {
    const events = Array.from({ length: size }, () => ({ revision: ++revision }));
    const message = { case: "events" as const, value: { events } };
    return create(WatchEventsResponseSchema, { cursor: String(index + 1), message });
  });
  return all.slice(from);
}

test("Resumable: wherever the connection breaks, every event comes once and in order", async () => {
  const batchSizes = fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 20 });
  const breaks = fc.array(fc.nat({ max: 6 }), { maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(batchSizes, breaks, async (sizes, schedule) => {
      const messages = watchMessages({
        clients: breakingServer(sizes, schedule),
        request: { untilEnded: true },
        retry: retryPolicy(
          { attempts: Number.POSITIVE_INFINITY },
          { sleep: () => Promise.resolve() },
        ),
        signal: new AbortController().signal,
      });
      const revisions: number[] = [];
      for await (const { message } of messages) {
        if (message.case === "events")
          revisions.push(...message.value.events.map((e) => e.revision));
      }
      const total = sizes.reduce((sum, size) => sum + size, 0);
      expect(revisions).toEqual(Array.from({ length: total }, (_, i) => i + 1));
    }),
  );
});
