import type { SinkLog, SinkRunner, SinkStats } from "./runner.ts";

/** All sinks of a server. */
export class Sinks {
  readonly #runners: readonly SinkRunner[];
  readonly #log: SinkLog;

  constructor(runners: readonly SinkRunner[], log: SinkLog) {
    this.#runners = runners;
    this.#log = log;
  }

  /** How each is doing, by name. */
  stats(): ReadonlyMap<string, SinkStats> {
    return new Map(this.#runners.map((runner) => [runner.name, runner.stats]));
  }

  start(): void {
    for (const runner of this.#runners) runner.start();
  }

  /** Has those with files begin them anew. What fails is logged, and tried again with the next batch. */
  async reopen(): Promise<void> {
    const reopened = this.#runners.map(async (runner) => {
      try {
        await runner.reopen();
      } catch (err) {
        this.#log.warn({ err, sink: runner.name }, "a sink could not begin its output anew");
      }
    });
    await Promise.all(reopened);
  }

  /** Ends all, in bounded time. What was not delivered comes after the next start. */
  async stop(): Promise<void> {
    await Promise.all(this.#runners.map((runner) => runner.stop()));
  }
}
