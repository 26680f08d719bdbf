import { onTestFinished } from "vitest";
import { limits } from "../../../src/limits.ts";
import { OtlpSink } from "../../../src/sinks/otlp/otlp-sink.ts";
import { type OtlpConfig, settingsOf } from "../../../src/sinks/otlp/settings.ts";
import { storeSource } from "../../../src/sinks/otlp/store-source.ts";
import type { SinkMessage } from "../../../src/sinks/sink.ts";
import { openTestDomain, type TestDomain } from "../../support/domain.ts";
import { type OtlpReceiver, startOtlpReceiver } from "../../support/otlp-receiver.ts";

export interface Harness {
  readonly domain: TestDomain;
  readonly receiver: OtlpReceiver;
  /** Warnings of the sink. */
  readonly warnings: object[];
  /** Everything that happened in the namespace since the last time. */
  news(): Promise<SinkMessage[]>;
  /** Delivers messages, at most so many at once. */
  deliver(messages: readonly SinkMessage[], atOnce?: number): Promise<void>;
  /** Delivers what is new. */
  flush(atOnce?: number): Promise<void>;
  /** A sink that remembers nothing, as after a restart. */
  restart(): Promise<void>;
}

/** Real sessions, a sink with its thread, and a receiver; they end with the test. */
export async function openHarness(
  options: { config?: OtlpConfig; memoryBytes?: number; url?: string } = {},
): Promise<Harness> {
  const { config = {}, memoryBytes = 1_000_000 } = options;
  const receiver = await startOtlpReceiver();
  const domain = await openTestDomain({ progressIntervalMs: 1 });
  const warnings: object[] = [];
  const open = () =>
    new OtlpSink({
      settings: settingsOf(
        { endpoint: options.url ?? receiver.url, ...config },
        { env: {}, version: "1.2.3", memoryBytes },
      ),
      source: storeSource(domain.store, async (_sessionId, events) => events),
      log: { warn: (fields, message) => warnings.push({ ...fields, message }) },
    });
  let sink = open();
  onTestFinished(async () => {
    await sink.close();
    await domain[Symbol.asyncDispose]();
    await receiver[Symbol.asyncDispose]();
  });

  let cursor = "";
  const news = async () => {
    const messages: SinkMessage[] = [];
    for await (const answer of domain.watch({ cursor })) {
      cursor = answer.cursor;
      const { message } = answer;
      if (message.case === "progress") break;
      if (message.case === "events") {
        const { sessionId, sessionUid, events } = message.value;
        for (const event of events) {
          messages.push({ kind: "event", sessionId, sessionUid, event });
        }
      }
      if (message.case === "sessionDeleted") {
        const { sessionId, sessionUid, firstRevision, lastRevision } = message.value;
        messages.push({
          kind: "session_deleted",
          sessionId,
          sessionUid,
          firstRevision,
          lastRevision,
        });
      }
    }
    return messages;
  };
  const deliver = async (messages: readonly SinkMessage[], atOnce: number = limits.pageSize) => {
    for (let at = 0; at < messages.length; at += atOnce) {
      const batch = { namespace: "default", messages: messages.slice(at, at + atOnce) };
      await sink.deliver(batch, new AbortController().signal);
    }
  };
  return {
    domain,
    receiver,
    warnings,
    news,
    deliver,
    flush: async (atOnce) => deliver(await news(), atOnce),
    restart: async () => {
      await sink.close();
      sink = open();
    },
  };
}
