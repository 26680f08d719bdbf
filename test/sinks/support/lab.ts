import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { ConsumerSource } from "../../../src/sinks/consumer-source.ts";
import { DeadLetters } from "../../../src/sinks/dead-letters.ts";
import { Pace } from "../../../src/sinks/pace.ts";
import { Redaction } from "../../../src/sinks/redaction/redaction.ts";
import { SinkRunner, type SinkRunnerOptions } from "../../../src/sinks/runner.ts";
import { openTestDomain, type TestDomain } from "../../support/domain.ts";
import { CollectingSink } from "./collecting-sink.ts";

/** A folder that is gone after the test. */
export async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "sessiond-sinks-"));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** A domain, until the test is over. */
export async function domain(options: Parameters<typeof openTestDomain>[0] = {}) {
  const opened = await openTestDomain({ hasSinks: true, ...options });
  onTestFinished(() => opened[Symbol.asyncDispose]());
  return opened;
}

/** A log line, as fields and message. */
export type Line = readonly [message: string, fields: Record<string, unknown>];

/** A sink that runs over a domain, with what it logs. */
export async function runSink(
  domain: TestDomain,
  options: Partial<SinkRunnerOptions> & { readonly collector?: CollectingSink } = {},
) {
  const { collector = new CollectingSink() } = options;
  const log: Line[] = [];
  const write = (fields: object, message: string) => {
    log.push([message, fields as Record<string, unknown>]);
  };
  const deadLetters = new DeadLetters({ path: join(await folder(), "dead/letters.jsonl") });
  const runner = new SinkRunner({
    name: "test",
    sink: collector,
    source: new ConsumerSource({ store: domain.store, consumers: domain.serverConsumers }),
    filter: "",
    redaction: new Redaction({ content: true, fields: [], patterns: [] }),
    deadLetters,
    pace: new Pace({ sinks: 1 }),
    log: { info: write, warn: write },
    now: () => domain.now,
    retryMs: 1,
    ...options,
  });
  onTestFinished(() => runner.stop());
  runner.start();
  return { runner, collector, log, deadLetters };
}
