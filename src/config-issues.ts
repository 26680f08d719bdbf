import * as z from "zod";

/** Kinds of values as zod calls them, in our words. */
const kinds: Readonly<Record<string, string>> = {
  string: "a text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "a table",
  record: "a table",
};

/** What is wrong with a value of a table, to stand behind its place. What a schema says itself wins. */
export function wordsOf(issue: z.core.$ZodRawIssue): string {
  switch (issue.code) {
    case "invalid_type":
      if (issue.input === undefined) return "is required; set it";
      return `must be ${kinds[issue.expected] ?? issue.expected}`;
    case "too_small":
      if (issue.minimum === 1 && units[issue.origin]) return "must not be empty";
      return `must ${measure(issue.origin, "least", issue.minimum)}`;
    case "too_big":
      return `must ${measure(issue.origin, "most", issue.maximum)}`;
    case "invalid_value":
      return `must be ${issue.values.map((value) => JSON.stringify(value)).join(" or ")}`;
    case "unrecognized_keys":
      return `has the unknown key "${issue.keys[0]}"${known(issue.inst)}`;
    case "invalid_key":
      return `its name ${issue.issues[0]?.message ?? "cannot be used"}`;
    case "invalid_union":
      return "must be a value that JSON has";
    default:
      return "cannot be used here";
  }
}

/** What texts and lists are measured in. */
const units: Readonly<Record<string, string>> = { string: "characters", array: "elements" };

function measure(origin: string, bound: "least" | "most", value: number | bigint): string {
  const unit = units[origin];
  return unit === undefined ? `be at ${bound} ${value}` : `have at ${bound} ${value} ${unit}`;
}

function known(schema: unknown): string {
  if (!(schema instanceof z.ZodObject)) return "; leave it out";
  return `; known are ${Object.keys(schema.shape).join(", ")}`;
}
