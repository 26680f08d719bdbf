/** Watches that something is heard from again and again. */
export interface Silence extends Disposable {
  /** Fires when nothing was heard for too long. */
  readonly signal: AbortSignal;
  /** Something was heard: the time begins anew. */
  heard(): void;
}

/** Fires its signal after so many milliseconds without `heard`. Ends with its scope. */
export function watchSilence(silentMs: number): Silence {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), silentMs);
  return {
    signal: controller.signal,
    heard: () => void timer.refresh(),
    [Symbol.dispose]: () => clearTimeout(timer),
  };
}
