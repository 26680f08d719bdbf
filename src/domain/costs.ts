/** Price of 1,000 input tokens of a model, in the operator's currency. 0: unknown. */
export type CostPer1000 = (model: string) => number;

/** Looks prices up in a table by the beginnings of model names; the longest that fits decides. */
export function costTable(
  costs: Readonly<Record<string, { readonly inputPer1000: number }>>,
): CostPer1000 {
  const prefixes = Object.entries(costs).sort(([a], [b]) => b.length - a.length);
  return (model) => prefixes.find(([prefix]) => model.startsWith(prefix))?.[1].inputPer1000 ?? 0;
}
