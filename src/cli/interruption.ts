import { exitCodes } from "./exit-codes.ts";
import type { Host } from "./host.ts";

/** Whether a command is to stop early: a signal came, or nobody reads its output any more. */
export interface Interruption {
  /** Aborts when the command is to stop. */
  readonly signal: AbortSignal;
  /** What it then ends with; undefined while it may go on. */
  exitCode(): number | undefined;
  /** Ends listening. */
  [Symbol.dispose](): void;
}

/** Listens for signals and for the end of stdout. A second signal ends the process at once. */
export function listenForInterruption(host: Host): Interruption {
  const controller = new AbortController();
  let exitCode: number | undefined;
  const interrupt = (code: number) => {
    exitCode = code;
    controller.abort();
  };
  const stopListening = host.onSignal((signal) => {
    if (exitCode === undefined) interrupt(exitCodes[signal]);
    else host.exit(exitCodes[signal]);
  });
  // `sessiond tail | head` got what it wanted.
  const outputClosed = () => {
    if (exitCode === undefined) interrupt(exitCodes.done);
  };
  host.stdout.closed.addEventListener("abort", outputClosed, { once: true });
  if (host.stdout.closed.aborted) outputClosed();
  return {
    signal: controller.signal,
    exitCode: () => exitCode,
    [Symbol.dispose]() {
      stopListening();
      host.stdout.closed.removeEventListener("abort", outputClosed);
    },
  };
}

/** Waits for the promise, or until the signal aborts; that gives undefined. Leaves no listener. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const abort = () => resolve(undefined);
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

/** The value if the promise has it by the end of this turn of the event loop, else undefined. */
export function ifAtOnce<T>(promise: Promise<T>): Promise<T | undefined> {
  const turn = new Promise<undefined>((resolve) => setImmediate(resolve, undefined));
  return Promise.race([promise, turn]);
}
