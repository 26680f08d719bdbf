import type { Channel } from "./channel.ts";

/**
 * Waits until the channel is woken, the signal fires or the time is over, and leaves no listener or
 * timer behind.
 */
export function waitForWake(
  channel: Channel,
  { signal, timeoutMs }: { signal: AbortSignal; timeoutMs: number },
): Promise<"woken" | "timeout"> {
  return new Promise((resolve) => {
    const end = (why: "woken" | "timeout") => {
      cancelWake();
      clearTimeout(timer);
      signal.removeEventListener("abort", woken);
      resolve(why);
    };
    const woken = () => end("woken");
    const cancelWake = channel.onWake(woken);
    const timer = setTimeout(end, timeoutMs, "timeout");
    signal.addEventListener("abort", woken);
    if (signal.aborted) woken();
  });
}
