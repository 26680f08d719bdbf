/** Revisions from first to last as people write them: `7`, `7-12`. */
export function rangeOf(first: number, last: number): string {
  return first === last ? `${first}` : `${first}-${last}`;
}
