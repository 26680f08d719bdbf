/** A stream a command writes to. */
export interface Output {
  readonly isTerminal: boolean;
  /** Escape sequences for colours are understood and wanted (`NO_COLOR` is not set). */
  readonly hasColours: boolean;
  /** Width of the terminal in characters; 80 when there is none. */
  columns(): number;
  write(text: string): void;
}

/** Where the data of a command goes. */
export interface DataOutput extends Output {
  /** Aborts when the reader has gone away, as `head` does: nothing more needs to be written. */
  readonly closed: AbortSignal;
  /** Resolves when the reader has taken so much that there is room, or has gone away. */
  drained(): Promise<void>;
  /** Writes, and resolves when it has left the process. Rejects when the reader has gone away. */
  deliver(text: string): Promise<void>;
  /** Gives up what the reader has not taken: the end of the process does not wait for it. */
  abandon(): void;
}

/** Where a command reads what is piped into it. */
export interface Input {
  /** Somebody would have to type it. */
  readonly isTerminal: boolean;
  bytes(): AsyncIterable<Uint8Array>;
}

/** The two directions of a terminal. What is shown there for the one who types is no data: it is stderr. */
export interface Terminal {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WriteStream;
}

/** What a command needs of the process it runs in, so that tests can be one. */
export interface Host {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly stdin: Input;
  readonly stdout: DataOutput;
  readonly stderr: Output;
  /** Where somebody types, and sees what they type; undefined in a pipe. */
  readonly terminal: Terminal | undefined;
  /** Calls the listener at SIGINT and SIGTERM instead of ending the process. Returns how to stop that. */
  onSignal(listener: (signal: "SIGINT" | "SIGTERM") => void): () => void;
  /** Calls the listener at SIGHUP instead of ending the process. Returns how to stop that. */
  onHangup(listener: () => void): () => void;
  /** Calls the listener for errors nobody caught. */
  onCrash(listener: (error: unknown) => void): () => void;
  /** Resolves when what was written has left the process, or nobody takes it. */
  flushed(): Promise<void>;
  /** Ends the process at once. */
  exit(code: number): void;
}

/** The process itself. */
export function processHost(): Host {
  const closed = new AbortController();
  const abandoned = new AbortController();
  // A reader of stderr or stdout that goes away is no reason to stop serving.
  process.stderr.on("error", () => {});
  process.stdout.on("error", () => closed.abort());
  return {
    env: process.env,
    cwd: process.cwd(),
    stdin: { isTerminal: process.stdin.isTTY === true, bytes: () => process.stdin },
    stdout: {
      ...outputTo(process.stdout),
      closed: closed.signal,
      drained: () => drained(closed.signal),
      deliver: (text) =>
        new Promise((resolve, reject) => {
          process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
        }),
      abandon: () => abandoned.abort(),
    },
    stderr: outputTo(process.stderr),
    terminal:
      process.stdin.isTTY && process.stderr.isTTY
        ? { input: process.stdin, output: process.stderr }
        : undefined,
    onSignal: (listener) => {
      process.on("SIGINT", listener);
      process.on("SIGTERM", listener);
      return () => {
        process.off("SIGINT", listener);
        process.off("SIGTERM", listener);
      };
    },
    onHangup: (listener) => {
      process.on("SIGHUP", listener);
      return () => process.off("SIGHUP", listener);
    },
    onCrash: (listener) => {
      // Without a listener of its own, a rejection nobody handles arrives here as well.
      process.on("uncaughtException", listener);
      return () => process.off("uncaughtException", listener);
    },
    flushed: async () => {
      await flushed(process.stdout, AbortSignal.any([closed.signal, abandoned.signal]));
      await flushed(process.stderr, AbortSignal.timeout(stderrFlushMs));
    },
    exit: (code) => process.exit(code),
  };
}

/** A process ends even if nobody reads its last words. */
const stderrFlushMs = 1_000;

/** Writes to a pipe are not done when the call returns, and the end of the process drops them. */
function flushed(stream: NodeJS.WriteStream, givenUp: AbortSignal): Promise<void> {
  if (stream.writableLength === 0 || givenUp.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    givenUp.addEventListener("abort", () => resolve(), { once: true });
    stream.write("", () => resolve());
  });
}

function outputTo(stream: NodeJS.WriteStream): Output {
  return {
    isTerminal: stream.isTTY === true,
    hasColours: stream.isTTY === true && stream.hasColors(),
    columns: () => stream.columns ?? 80,
    write: (text) => void stream.write(text),
  };
}

function drained(closed: AbortSignal): Promise<void> {
  const { stdout } = process;
  if (!stdout.writableNeedDrain || closed.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      stdout.off("drain", done);
      closed.removeEventListener("abort", done);
      resolve();
    };
    stdout.once("drain", done);
    closed.addEventListener("abort", done, { once: true });
  });
}
