/** One number of a family, told from the others by its labels. */
export interface Sample {
  /** Values from small closed sets only: no ids, no names that callers choose. */
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  /** What a histogram's parts add to the name of the family. Default: nothing. */
  readonly suffix?: "_bucket" | "_sum" | "_count";
}

/** What is measured under one name, by the naming rules of Prometheus: base units, `_total` for counters. */
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  /** Reads the numbers of this moment. */
  samples(): readonly Sample[] | Promise<readonly Sample[]>;
}

/** The values of some labels, in their order. */
export type Values<Labels extends readonly string[]> = { readonly [index in keyof Labels]: string };

/** Numbers that are there anyway, and are read when somebody asks. */
export function reading(
  type: "counter" | "gauge",
  name: string,
  help: string,
  samples: Family["samples"],
): Family {
  return { name, help, type, samples };
}

/** A sample of a family that has only one. */
export function only(value: number): Sample[] {
  return [{ labels: {}, value }];
}

/** One key for the values of labels. */
export function keyOf(values: readonly string[]): string {
  return values.length === 1 ? (values[0] ?? "") : values.join("\n");
}

export function labelled(names: readonly string[], key: string): Record<string, string> {
  if (names.length === 0) return {};
  const values = key.split("\n");
  return Object.fromEntries(names.map((name, index) => [name, values[index] ?? ""]));
}
