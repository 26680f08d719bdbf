/** What `doctor` found out about one thing. */
export interface Finding {
  readonly name: string;
  /** `warn`: it works, but not as well as it could; `skip`: it could not be looked at. */
  readonly status: "ok" | "warn" | "fail" | "skip";
  /** What was found, with values. */
  readonly found: string;
  /** What to do about it; there unless it is ok. */
  readonly fix?: string;
}

export function ok(name: string, found: string): Finding {
  return { name, status: "ok", found };
}

export function notOk(
  name: string,
  status: "warn" | "fail" | "skip",
  words: { found: string; fix: string },
): Finding {
  return { name, status, ...words };
}

/** The reason in the words of whoever threw it, on one line. */
export function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\s+/g, " ");
}
