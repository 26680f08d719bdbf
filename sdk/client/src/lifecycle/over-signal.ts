import type { EndWatch } from "./end-watch.ts";

/**
 * Opens a watch for a piece of work on its session. The signal fires with the end that it watches
 * for, and with ClientClosedError when the client is closed; not when the watch itself is.
 */
export function overSignal(watch: EndWatch): AbortSignal {
  const over = new AbortController();
  watch.open().then(
    () => watch.signal.aborted && over.abort(watch.signal.reason),
    (error: unknown) => over.abort(error),
  );
  return over.signal;
}
