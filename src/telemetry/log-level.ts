import type { Logger, LogLevel } from "./logger.ts";

/** The level of a log while the server runs: that of the configuration, or another for a time. */
export class RunningLogLevel {
  readonly #log: Logger;
  readonly #configured: LogLevel;
  #revert: NodeJS.Timeout | undefined;

  constructor({ log, configured }: { log: Logger; configured: LogLevel }) {
    this.#log = log;
    this.#configured = configured;
  }

  get current(): LogLevel {
    return this.#log.level as LogLevel;
  }

  /**
   * Changes the level, without one to that of the configuration. After `forMs`, at most 2^31 - 1, that one
   * is back. Returns the level before.
   */
  set(level: LogLevel = this.#configured, forMs?: number): LogLevel {
    const previous = this.current;
    clearTimeout(this.#revert);
    this.#change(level);
    if (forMs !== undefined) {
      this.#revert = setTimeout(() => this.#change(this.#configured), forMs).unref();
    }
    return previous;
  }

  /** Leaves the level as it is. */
  close(): void {
    clearTimeout(this.#revert);
  }

  #change(to: LogLevel): void {
    const from = this.current;
    if (from === to) return;
    const tell = () => this.#log.info({ from, to }, "the log level changed");
    const isTold = this.#log.isLevelEnabled("info");
    if (isTold) tell();
    this.#log.level = to;
    if (!isTold) tell();
  }
}
