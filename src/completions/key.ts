import { readFile } from "node:fs/promises";
import { EndpointFailure } from "./failure.ts";

/** Gives the key for the next request; undefined when the endpoint needs none. */
export type KeySource = () => Promise<string | undefined>;

/** A key from a file. It is read for every request, so a new key works at once. */
export function keyFromFile(path: string): KeySource {
  return async () => {
    try {
      return checked(await readFile(path, "utf8"));
    } catch (error) {
      if (error instanceof EndpointFailure) throw error;
      const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
      throw new EndpointFailure(`the file with its key cannot be read (${code})`);
    }
  };
}

/** A key that is known from the start. Undefined: the endpoint needs none. */
export function fixedKey(key: string | undefined): KeySource {
  return async () => (key === undefined ? undefined : checked(key));
}

/** A bad header's value would stand in the error of the one who sends it, so it is found here. */
function checked(text: string): string {
  const key = text.trim();
  if (/^[\x21-\x7e]{1,4096}$/.test(key)) return key;
  throw new EndpointFailure(
    "its key is empty, too long, or holds white space or signs beyond ASCII",
  );
}
