import { setImmediate } from "node:timers/promises";
import { type RetryOptions, Sessiond } from "@sessiond/client";

/** Makes a client whose retries wait a turn of the event loop and for nothing else. */
export function quickClient(
  address: string,
  options: {
    readonly retry?: RetryOptions;
    readonly timeoutMs?: number;
    /** Stands for the wait; gets the time that would have been waited. */
    readonly sleep?: (ms: number) => void | Promise<void>;
    readonly random?: () => number;
  } = {},
): Sessiond {
  const { retry, timeoutMs, sleep, random } = options;
  return new Sessiond({
    address,
    retry,
    timeoutMs,
    environment: {
      sleep: async (ms) => {
        await sleep?.(ms);
        await setImmediate();
      },
      ...(random === undefined ? {} : { random }),
    },
  });
}
