/** About how many bytes a value of the contract takes: its texts, and a little for everything else. */
export function weightOf(value: unknown): number {
  if (typeof value === "string") return value.length + 8;
  if (typeof value !== "object" || value === null) return 8;
  let weight = 16;
  for (const member of Object.values(value)) weight += weightOf(member);
  return weight;
}
