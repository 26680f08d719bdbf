import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { toFailure } from "../../completions/failure.ts";
import { isRefusal } from "../http-status.ts";
import { retryAfterMs } from "../retry-after.ts";
import type { OtlpSettings, Signal } from "./settings.ts";

const compressed = promisify(gzip);

/** Bytes of an answer that are read; it says at most how many records were not taken, and why. */
const answerBytes = 64 * 1024;

/** The receiver did not take what it was sent. The message says how, without anything it sent. */
export class SendError extends Error {
  /** It will never take it. */
  readonly isRefused: boolean;
  /** It is too much at once. */
  readonly isTooLarge: boolean;
  /** When the receiver wants to be tried again. Absent: it did not say. */
  readonly retryAfterMs: number | undefined;

  constructor(
    message: string,
    options: Partial<Pick<SendError, "isRefused" | "isTooLarge" | "retryAfterMs">> = {},
  ) {
    super(message);
    this.name = "SendError";
    this.isRefused = options.isRefused ?? false;
    this.isTooLarge = options.isTooLarge ?? false;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/**
 * Sends encoded requests over HTTP.
 *
 * What the content of one request is to blame for is refused: 400, 413, 422, and others of the four hundreds
 * that no setting would change. A wrong key or path is not, so nothing is lost until somebody mends it.
 */
export class Sender {
  readonly #settings: OtlpSettings;

  constructor(settings: OtlpSettings) {
    this.#settings = settings;
  }

  /** Gives the answer. Errors: SendError; that of the signal. */
  async send(signal: Signal, bytes: Uint8Array, abort: AbortSignal): Promise<Uint8Array> {
    const { urls, headers, compression, timeoutMs } = this.#settings;
    const isPacked = compression === "gzip";
    const body = isPacked ? await compressed(bytes) : bytes;
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
      const response = await fetch(urls[signal] ?? "", {
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
      throw failureOf(signal, response);
    } catch (error) {
      abort.throwIfAborted();
      if (error instanceof SendError) throw error;
      const how = timeout.aborted
        ? `did not answer within ${timeoutMs} ms`
        : `cannot be reached: ${toFailure(error).message}`;
      throw new SendError(`the receiver of ${signal} ${how}`);
    }
  }
}

function failureOf(signal: Signal, { status, headers }: Response): SendError {
  return new SendError(`the receiver of ${signal} answered with HTTP status ${status}`, {
    isRefused: isRefusal(status),
    isTooLarge: status === 413,
    retryAfterMs: retryAfterMs(headers.get("retry-after"), Date.now()),
  });
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
