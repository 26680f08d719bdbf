/** Settles as the work does, or rejects with the signal's reason if that fires first. */
export function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
    const unlink = () => signal.removeEventListener("abort", abort);
    work.then(resolve, reject).finally(unlink);
  });
}
