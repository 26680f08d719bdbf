/** A client under measurement: two calls that every one of them can make, as its users would. */
export interface MeasuredClient {
  getSession(sessionId: string): Promise<unknown>;
  /** Watches a session from its first event until so many have come. */
  watchEvents(args: { readonly sessionId: string; readonly events: number }): Promise<void>;
}

/** Ends a watch at the event it is wanted to. Says of each message whether more have to come. */
export function countdown(events: number): (came: number) => boolean {
  let left = events;
  return (came) => {
    left -= came;
    return left > 0;
  };
}
