import { type Family, keyOf, labelled, type Sample, type Values } from "./family.ts";

/** A number that only grows, for each combination of labels that came up. Without labels it begins at 0. */
export class Counter<const Labels extends readonly string[] = []> implements Family {
  readonly type = "counter";
  readonly name: string;
  readonly help: string;
  readonly #labels: Labels;
  readonly #values = new Map<string, number>();

  constructor(args: { name: string; help: string; labels: Labels }) {
    this.name = args.name;
    this.help = args.help;
    this.#labels = args.labels;
    if (args.labels.length === 0) this.#values.set("", 0);
  }

  add(amount: number, ...values: Values<Labels>): void {
    const key = keyOf(values);
    this.#values.set(key, (this.#values.get(key) ?? 0) + amount);
  }

  samples(): Sample[] {
    return Array.from(this.#values, ([key, value]) => ({
      labels: labelled(this.#labels, key),
      value,
    }));
  }
}
