import type { Host } from "./host.ts";

/** What commands share: the process they run in, and where they leave their exit code. */
export interface CommandLine {
  readonly host: Host;
  /** Sets what the process ends with. */
  endsWith(exitCode: number): void;
}
