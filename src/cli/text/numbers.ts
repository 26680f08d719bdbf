/** A whole number as people read it: `12,345`. */
export function numberText(value: number): string {
  return value.toLocaleString("en-US");
}
