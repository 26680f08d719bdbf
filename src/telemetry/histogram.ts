import { type Family, keyOf, labelled, type Sample, type Values } from "./family.ts";

/** What was observed under one combination of labels. */
interface Series {
  /** Observations up to each bound and above the one before; the last are those above all. */
  readonly counts: number[];
  sum: number;
}

/** How observations are spread, for each combination of labels that came up. */
export class Histogram<const Labels extends readonly string[] = []> implements Family {
  readonly type = "histogram";
  readonly name: string;
  readonly help: string;
  readonly #labels: Labels;
  readonly #bounds: readonly number[];
  readonly #series = new Map<string, Series>();

  constructor(args: {
    name: string;
    help: string;
    labels: Labels;
    /** Ascending. */
    bounds: readonly number[];
  }) {
    this.name = args.name;
    this.help = args.help;
    this.#labels = args.labels;
    this.#bounds = args.bounds;
    if (args.labels.length === 0) this.#open("");
  }

  observe(value: number, ...values: Values<Labels>): void {
    const key = keyOf(values);
    const series = this.#series.get(key) ?? this.#open(key);
    const bounds = this.#bounds;
    let at = 0;
    while (at < bounds.length && value > (bounds[at] ?? 0)) at++;
    series.counts[at] = (series.counts[at] ?? 0) + 1;
    series.sum += value;
  }

  samples(): Sample[] {
    return [...this.#series].flatMap(([key, series]) =>
      samplesOf(series, this.#bounds, labelled(this.#labels, key)),
    );
  }

  #open(key: string): Series {
    const series = { counts: this.#bounds.map(() => 0), sum: 0 };
    series.counts.push(0);
    this.#series.set(key, series);
    return series;
  }
}

function samplesOf(
  { counts, sum }: Series,
  bounds: readonly number[],
  labels: Record<string, string>,
): Sample[] {
  let count = 0;
  const buckets = counts.map((more, at): Sample => {
    count += more;
    const le = String(bounds[at] ?? "+Inf");
    return { suffix: "_bucket", labels: { ...labels, le }, value: count };
  });
  return [
    ...buckets,
    { suffix: "_sum", labels, value: sum },
    { suffix: "_count", labels, value: count },
  ];
}
