import type { Event } from "@sessiond/contract";
import { checkFiles, deadLettersOf } from "./app-sink-files.ts";
import type { KeySource } from "./completions/key.ts";
import type { Config } from "./config.ts";
import type { SinkConfig, WebhookSinkConfig } from "./config-sinks.ts";
import { StartError } from "./errors.ts";
import { limits } from "./limits.ts";
import { consumerOf } from "./sinks/consumer-source.ts";
import { DeadLetters } from "./sinks/dead-letters.ts";
import { Pace } from "./sinks/pace.ts";
import { Redaction } from "./sinks/redaction/redaction.ts";
import { SinkRunner } from "./sinks/runner.ts";
import type { Sink } from "./sinks/sink.ts";
import { Sinks } from "./sinks/sinks.ts";
import type { Source } from "./sinks/source.ts";
import type { LineOutput } from "./sinks/stdout.ts";
import type { ConsumerName, Store } from "./store/store.ts";
import type { Logger } from "./telemetry/logger.ts";

interface Parts {
  readonly config: Config;
  readonly log: Logger;
  readonly source: Source;
  /** Where a sink looks up what it is not told again. */
  readonly store: Pick<Store, "getSession" | "readEvents">;
  readonly now: () => number;
  /** Where a sink for stdout writes. */
  readonly stdout?: LineOutput;
}

/** Opens the sinks of a configuration. Each is loaded only where one is configured. Errors: StartError. */
export async function openSinks(parts: Parts): Promise<Sinks> {
  const { config, log, source, now } = parts;
  const runners: SinkRunner[] = [];
  const configs = Object.entries(config.sinks ?? {});
  await checkFiles(config.sinks ?? {}, config.data);
  const pace = new Pace({ sinks: configs.length });
  try {
    for (const [name, sinkConfig] of configs) {
      const { namespaces, filter } = sinkConfig;
      // They name sessions of which the filter may hold back every event.
      const { deletions = filter === "" } = sinkConfig;
      const redaction = new Redaction(sinkConfig.redaction);
      const sink = await openSink(name, sinkConfig, { ...parts, redaction });
      runners.push(
        new SinkRunner({
          name,
          sink,
          source,
          filter,
          deletions,
          lingerMs: lingerMs[sinkConfig.type],
          ...(namespaces && { namespaces }),
          redaction,
          deadLetters: new DeadLetters({ path: deadLettersOf(name, sinkConfig, config.data) }),
          log,
          pace,
          now,
        }),
      );
    }
  } catch (error) {
    await new Sinks(runners, log).stop();
    throw error;
  }
  return new Sinks(runners, log);
}

/** Tells the consumers that sinks of a configuration read under from those of sinks that it had before. */
export function isOfSink({
  sinks = {},
}: Pick<Config, "sinks">): (consumer: ConsumerName) => boolean {
  return ({ namespace, name }) =>
    Object.entries(sinks).some(
      ([sink, { namespaces }]) =>
        consumerOf(sink) === name && (namespaces === undefined || namespaces.includes(namespace)),
    );
}

const lingerMs = {
  stdout: limits.sinkLingerMs,
  file: limits.fileSinkLingerMs,
  webhook: limits.httpSinkLingerMs,
  otlp: limits.httpSinkLingerMs,
} satisfies Record<SinkConfig["type"], number>;

async function openSink(
  name: string,
  config: SinkConfig,
  parts: Parts & { readonly redaction: Redaction },
): Promise<Sink> {
  const { now, stdout } = parts;
  switch (config.type) {
    case "stdout": {
      const { StdoutSink } = await import("./sinks/stdout.ts");
      if (stdout === undefined) throw new StartError(`sinks.${name} has no stdout to write to`);
      return new StdoutSink({ output: stdout });
    }
    case "file": {
      const { FileSink } = await import("./sinks/file/file-sink.ts");
      const { ForeignFileError } = await import("./sinks/file/own-lines.ts");
      const sink = new FileSink({ ...config, now });
      try {
        await sink.open();
      } catch (error) {
        const { message } = error as Error;
        const advice = "; give it a path of its own that can be written";
        const what = error instanceof ForeignFileError ? message : `${message}${advice}`;
        throw new StartError(`sinks.${name}: ${what}`, error);
      }
      return sink;
    }
    case "webhook": {
      const { WebhookSink } = await import("./sinks/webhook/webhook-sink.ts");
      const { url, timeoutMs } = config;
      return new WebhookSink({ url, timeoutMs, now, key: await keyOf(name, config) });
    }
    case "otlp": {
      const { OtlpSink } = await import("./sinks/otlp/otlp-sink.ts");
      const { storeSource } = await import("./sinks/otlp/store-source.ts");
      const { store, redaction, log } = parts;
      const { headers, ...settings } = config.receiver;
      const revealed = Object.entries(headers).map(([key, value]) => [key, value.reveal()]);
      return new OtlpSink({
        settings: { ...settings, headers: Object.fromEntries(revealed) },
        source: storeSource(store, await leavingOf(config.filter, redaction)),
        log,
      });
    }
  }
}

/** What a webhook signs with, which is there and can be used. Errors: StartError. */
async function keyOf(name: string, { keyFile, key }: WebhookSinkConfig): Promise<KeySource> {
  const { fixedKey, keyFromFile } = await import("./completions/key.ts");
  const source = keyFile === undefined ? fixedKey(key?.reveal()) : keyFromFile(keyFile);
  try {
    await source();
  } catch (error) {
    const [field, advice] =
      keyFile === undefined
        ? ["key_env", "set the variable to another"]
        : ["key_file", `write a key into ${keyFile}`];
    throw new StartError(`sinks.${name}.${field}: ${(error as Error).message}; ${advice}`, error);
  }
  return source;
}

/** What of events that are looked up may leave: of those that a filter holds back no content. */
async function leavingOf(text: string, redaction: Redaction) {
  const { eventFilterOf } = await import("./domain/filter/event-filter-of.ts");
  const { withoutContent } = await import("./sinks/redaction/without-content.ts");
  const shows = await eventFilterOf(text);
  return async (sessionId: string, events: readonly Event[]): Promise<readonly Event[]> => {
    const leaving = await redaction.apply(events);
    if (shows === undefined) return leaving;
    return events.map((event, index) => {
      const own = leaving[index] ?? withoutContent(event);
      return shows(sessionId, event) ? own : withoutContent(own);
    });
  };
}
