import { UsageError } from "../errors/client-errors.ts";

/** A line of a bundle is not what has to be there. The session it belongs to was not imported. */
export class BundleError extends UsageError {
  /** From 1, counted from where reading began. */
  readonly line: number;

  constructor(line: number, problem: string) {
    super(`line ${line}: ${problem}`);
    this.line = line;
  }
}
