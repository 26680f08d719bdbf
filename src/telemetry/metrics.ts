import type { Family } from "./family.ts";

/** An answer to who scrapes. */
export interface Exposition {
  readonly contentType: string;
  readonly text: string;
}

/**
 * What a server tells Prometheus. The library that writes it is loaded at the first scrape, because most
 * servers never get one and all would start later by it.
 */
export class Metrics {
  readonly #families: readonly Family[];

  constructor(families: readonly Family[]) {
    this.#families = families;
  }

  /** Reads all numbers; `accept` is the header in which a scraper says what it understands. */
  async scrape(accept: string | undefined): Promise<Exposition> {
    const { exposition } = await import("./exposition.ts");
    return exposition(this.#families, { openMetrics: wantsOpenMetrics(accept) });
  }
}

/** Prometheus asks for both and prefers this one. */
function wantsOpenMetrics(accept = ""): boolean {
  return accept
    .split(",")
    .some(
      (type) =>
        type.trim().startsWith("application/openmetrics-text") &&
        !/;\s*q=0(\.0*)?\s*(;|$)/.test(type),
    );
}
