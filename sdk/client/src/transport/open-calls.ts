import type { ConnectError } from "@connectrpc/connect";
import type { StatusObject } from "@grpc/grpc-js";
import { closedError } from "./closable-transport.ts";
import { toConnectError } from "./status.ts";

/** Calls under way on one channel, so that closing it can end them. */
export class OpenCalls {
  readonly #address: string;
  readonly #cancels = new Set<() => void>();
  #closed = false;

  constructor(address: string) {
    this.#address = address;
  }

  /** Throws when the channel is closed, which takes no calls. */
  assertOpen(): void {
    if (this.#closed) throw closedError();
  }

  /**
   * Watches over a call until it is done: `cancel` runs when the signal aborts or the channel is
   * closed. Returns what to call when it is done.
   */
  track(cancel: () => void, signal: AbortSignal): () => void {
    this.#cancels.add(cancel);
    signal.addEventListener("abort", cancel, { once: true });
    if (signal.aborted) cancel();
    return () => {
      this.#cancels.delete(cancel);
      signal.removeEventListener("abort", cancel);
    };
  }

  /** What a status of a failed call means. */
  failure(status: StatusObject): ConnectError {
    return this.#closed ? closedError() : toConnectError(status, this.#address);
  }

  /** Cancels all calls; later ones are refused. */
  close(): void {
    this.#closed = true;
    for (const cancel of this.#cancels) cancel();
  }
}
