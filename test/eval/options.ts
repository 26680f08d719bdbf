import { parseArgs } from "node:util";

export const strategies = ["tail", "protected-tail", "extract", "query"] as const;
export type Strategy = (typeof strategies)[number];

export const usage = `usage:
  npm run eval:context -- FILE [--budgets 1000,2000] [--strategies tail,query] [--compactions 1,3,10]
  npm run eval:context -- --generate SEED > FILE
strategies: ${strategies.join(", ")}; the format of FILE is in test/eval/README.md`;

/** What to do, as the command line says. */
export type Options =
  | { readonly generate: number }
  | {
      readonly file: string;
      readonly budgets: readonly number[];
      readonly strategies: readonly Strategy[];
      /** Numbers of compactions after which extract and query are measured again. */
      readonly compactions: readonly number[];
    };

/** Errors: what is wrong with the command line. */
export function parseOptions(args: readonly string[]): Options {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      generate: { type: "string" },
      budgets: { type: "string", default: "1000,2000,4000,8000" },
      strategies: { type: "string", default: strategies.join(",") },
      compactions: { type: "string", default: "" },
    },
  });
  if (values.generate !== undefined) return { generate: wholeNumber(values.generate) };
  const [file, ...others] = positionals;
  if (file === undefined || others.length > 0) throw new Error("exactly one FILE is needed");
  return {
    file,
    budgets: list(values.budgets).map(wholeNumber),
    strategies: list(values.strategies).map(strategy),
    compactions: list(values.compactions).map(wholeNumber),
  };
}

function list(text: string): string[] {
  return text.split(",").filter((word) => word !== "");
}

function wholeNumber(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new Error(`${JSON.stringify(text)} is not a whole number`);
}

function strategy(text: string): Strategy {
  const known = strategies.find((name) => name === text);
  if (known !== undefined) return known;
  throw new Error(`there is no strategy ${JSON.stringify(text)}`);
}
