import { setTimeout as rest } from "node:timers/promises";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { OtlpSettings, Signal } from "./settings.ts";

const compressed = promisify(gzip);

/** Bytes of an answer that are read; it says at most how many records were not taken, and why. */
const answerBytes = 64 * 1024;
/** The longest time a receiver can ask to be left alone. */
const maxRestMs = 5 * 60_000;

/** The receiver did not take what it was sent. */
export class SendError extends Error {
  /** It will never take it. */
  readonly isRefused: boolean;
  /** It is too much at once. */
  readonly isTooLarge: boolean;

  constructor(
    message: string,
    options: { isRefused?: boolean; isTooLarge?: boolean; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = "SendError";
    this.isRefused = options.isRefused ?? false;
    this.isTooLarge = options.isTooLarge ?? false;
  }
}

/**
 * Sends encoded requests over HTTP. After an answer with `Retry-After` the next one waits for that long.
 *
 * What the content of one request is to blame for is refused: 400, 413 and 422, and others of the four hundreds
 * that no setting would change. A wrong key or path is not, so nothing is lost until somebody mends it.
 */
export class Sender {
  readonly #settings: OtlpSettings;
  #notBeforeMs = 0;

  constructor(settings: OtlpSettings) {
    this.#settings = settings;
  }

  /** Gives the answer. Errors: SendError; that of the signal. */
  async send(signal: Signal, bytes: Uint8Array, abort: AbortSignal): Promise<Uint8Array> {
    const { urls, headers, compression, timeoutMs } = this.#settings;
    const url = urls[signal] ?? "";
    const waitMs = this.#notBeforeMs - performance.now();
    if (waitMs > 0) await rest(waitMs, undefined, { signal: abort });
    const isPacked = compression === "gzip";
    const body = isPacked ? await compressed(bytes) : bytes;
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
      const response = await fetch(url, {
        method: "POST",
        // They would carry what is sent elsewhere.
        redirect: "manual",
        headers: {
          ...headers,
          "content-type": "application/x-protobuf",
          ...(isPacked && { "content-encoding": "gzip" }),
        },
        body: new Uint8Array(body),
        signal: AbortSignal.any([abort, timeout]),
      });
      if (response.ok) return await readAnswer(response);
      await response.body?.cancel();
      throw this.#failure(signal, response);
    } catch (error) {
      abort.throwIfAborted();
      if (error instanceof SendError) throw error;
      const how = timeout.aborted ? `did not answer within ${timeoutMs} ms` : causeOf(error);
      throw new SendError(`${url} ${how}`, { cause: error });
    }
  }

  #failure(signal: Signal, { status, headers, url }: Response): SendError {
    const retryAfter = headers.get("retry-after");
    if (retryAfter !== null) {
      this.#notBeforeMs = performance.now() + Math.min(restMsOf(retryAfter), maxRestMs);
    }
    return new SendError(
      `${url || this.#settings.urls[signal]} answered with HTTP status ${status}`,
      {
        isRefused: isRefusal(status),
        isTooLarge: status === 413,
      },
    );
  }
}

/** Statuses of the four hundreds that somebody can mend without changing what is sent, or that pass. */
const mendable: ReadonlySet<number> = new Set([401, 403, 404, 405, 407, 408, 421, 425, 429]);

function isRefusal(status: number): boolean {
  return status >= 400 && status < 500 && !mendable.has(status);
}

/** Seconds, or a date. */
function restMsOf(retryAfter: string): number {
  const seconds = Number(retryAfter);
  const ms = Number.isFinite(seconds) ? seconds * 1_000 : Date.parse(retryAfter) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : 0;
}

/** What comes behind the limit is not read. */
async function readAnswer(response: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    // Leaving the loop cancels the rest.
    if (bytes > answerBytes) return new Uint8Array();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function causeOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  const code = cause instanceof Error && "code" in cause ? ` (${String(cause.code)})` : "";
  return `could not be reached${code}`;
}
