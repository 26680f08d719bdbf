import { type CelValue, isCelList, isCelMap } from "@bufbuild/cel";

type Cost = (args: readonly CelValue[]) => number;

/*
 * What a call of a function costs, in steps, from its arguments (a method's target first). Chosen
 * by measurement, so that a step is about 0.1 µs at worst.
 *
 * Functions that are not here cannot be called: `replace`, `join` and `format` make texts of any
 * size from small ones, and for `matches` there are patterns of 14 characters that take 30 ms for
 * 16 KiB, although the engine takes time linear in the text.
 */
const costs: Readonly<Record<string, Cost>> = {
  "_==_": sum,
  "_!=_": sum,
  "_<_": sum,
  "_<=_": sum,
  "_>_": sum,
  "_>=_": sum,
  "_+_": sum,
  "_-_": sum,
  "_*_": sum,
  "_/_": sum,
  "_%_": sum,
  "-_": sum,
  "!_": sum,
  "@in": sum,
  bool: sum,
  double: scan,
  dyn: sum,
  int: scan,
  string: sum,
  type: sum,
  uint: scan,
  size: ([value]) => (typeof value === "string" ? scan([value]) : 1),
  charAt: sum,
  contains: search,
  endsWith: sum,
  indexOf: search,
  lastIndexOf: (args) => 2 * search(args),
  lowerAscii: scan,
  split: (args) => 8 * scan(args),
  startsWith: sum,
  substring: sum,
  trim: scan,
  upperAscii: scan,
};

/** Functions an expression may call; operators are functions too. */
export const functionNames: readonly string[] = Object.keys(costs);

/** Steps a call takes; undefined for a function that cannot be called. */
export function costOf(name: string): Cost | undefined {
  return costs[name];
}

/** Every value once: what comparing, copying or adding them takes. */
function sum(args: readonly CelValue[]): number {
  return args.reduce<number>((total, value) => total + weigh(value), 0);
}

function weigh(value: CelValue): number {
  if (typeof value === "string") return 1 + value.length / 64;
  if (isCelList(value)) return 1 + sum([...value]);
  if (isCelMap(value)) return 1 + sum([...value.keys()]) + sum([...value.values()]);
  return 1;
}

/** Every character of the first argument once. */
function scan([text]: readonly CelValue[]): number {
  return typeof text === "string" ? 1 + text.length / 32 : 1;
}

/** Looking for the second argument in the first; at worst the lengths multiply. */
function search([text, word]: readonly CelValue[]): number {
  if (typeof text !== "string" || typeof word !== "string") return 1;
  return 1 + (text.length / 32) * (1 + word.length / 16);
}
