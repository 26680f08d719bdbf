/** What a command needs of the process it runs in, so that tests can be one. */
export interface Host {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly stdout: { write(text: string): void };
  readonly stderr: { readonly isTerminal: boolean; write(text: string): void };
  /** Calls the listener at SIGINT and SIGTERM instead of ending the process. Returns how to stop that. */
  onSignal(listener: (signal: "SIGINT" | "SIGTERM") => void): () => void;
  /** Calls the listener for errors nobody caught. */
  onCrash(listener: (error: unknown) => void): () => void;
  /** Ends the process at once. */
  exit(code: number): void;
}

/** The process itself. */
export function processHost(): Host {
  // A reader of stderr or stdout that goes away is no reason to stop serving.
  process.stderr.on("error", () => {});
  process.stdout.on("error", () => {});
  return {
    env: process.env,
    cwd: process.cwd(),
    stdout: { write: (text) => process.stdout.write(text) },
    stderr: {
      isTerminal: process.stderr.isTTY === true,
      write: (text) => process.stderr.write(text),
    },
    onSignal: (listener) => {
      process.on("SIGINT", listener);
      process.on("SIGTERM", listener);
      return () => {
        process.off("SIGINT", listener);
        process.off("SIGTERM", listener);
      };
    },
    onCrash: (listener) => {
      // Without a listener of its own, a rejection nobody handles arrives here as well.
      process.on("uncaughtException", listener);
      return () => process.off("uncaughtException", listener);
    },
    exit: (code) => process.exit(code),
  };
}
