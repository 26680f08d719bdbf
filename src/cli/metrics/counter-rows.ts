import type { JsonObject } from "@bufbuild/protobuf";
import { safe } from "../text/safe.ts";

/** Counters of counters a line each: `tokens.total`. */
export function counterRows(json: JsonObject, before = ""): string[][] {
  return Object.entries(json).flatMap(([name, value]) => {
    if (Array.isArray(value)) {
      return value.flatMap((entry) => {
        const { name: of = "other", ...rest } = entry as JsonObject;
        return counterRows(rest, `${before}${name}.${safe(String(of))}.`);
      });
    }
    if (typeof value === "object" && value !== null) return counterRows(value, `${before}${name}.`);
    return [[`${before}${name}`, textOf(value)]];
  });
}

/** Whole numbers as they are, shares and averages with as many digits as say something. */
function textOf(value: unknown): string {
  const isFraction = typeof value === "number" && !Number.isInteger(value);
  return String(isFraction ? Number(value.toPrecision(4)) : value);
}
