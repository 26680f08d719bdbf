/**
 * A command cannot do what it was asked; its message is the one line a user sees.
 *
 * The message says what was wrong and what to do. `exitCode` is one of `exitCodes`.
 */
export class CommandError extends Error {
  readonly exitCode: number;

  constructor(exitCode: number, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "CommandError";
    this.exitCode = exitCode;
  }
}
