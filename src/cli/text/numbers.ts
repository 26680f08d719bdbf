/** A whole number as people read it: `12,345`. */
export function numberText(value: number): string {
  return value.toLocaleString("en-US");
}

/** So many sessions: `1 session`, `12,345 sessions`. */
export function sessionsText(count: number): string {
  return `${numberText(count)} ${count === 1 ? "session" : "sessions"}`;
}

/** So many children: `1 child`, `12,345 children`. */
export function childrenText(count: number): string {
  return `${numberText(count)} ${count === 1 ? "child" : "children"}`;
}
