/** What a scrape of a probe port gave. */
export interface Scrape {
  readonly contentType: string | null;
  readonly text: string;
  /** Names of all families. */
  readonly families: readonly string[];
  /** The value of a series, as it is written: `sessiond_sessions{state="active"}`. */
  value(series: string): number | undefined;
}

/** Scrapes as Prometheus does. Errors: an answer that is none. */
export async function scrape(
  probe: string | undefined,
  headers: Readonly<Record<string, string>> = {},
): Promise<Scrape> {
  const response = await fetch(`http://${probe}/metrics`, { headers });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`the scrape gave ${response.status}: ${text}`);
  const lines = text.split("\n");
  const values = new Map(
    lines
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map((line) => [
        line.slice(0, line.lastIndexOf(" ")),
        Number(line.slice(line.lastIndexOf(" "))),
      ]),
  );
  return {
    contentType: response.headers.get("content-type"),
    text,
    families: lines.flatMap((line) => /^# TYPE (\S+)/.exec(line)?.[1] ?? []),
    value: (series) => values.get(series),
  };
}
