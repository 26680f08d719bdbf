import type { parse } from "@bufbuild/cel";
import { functionNames } from "./costs.ts";
import { eventFields } from "./event-view.ts";
import { rangeFunction } from "./machine.ts";

type Parsed = ReturnType<typeof parse>;
type Expr = NonNullable<Parsed["expr"]>;
type Kind<Case> = Extract<Expr["exprKind"], { case: Case }>["value"];

/** What is wrong with a rule, and where: an offset into its text. */
export class RuleSyntaxError extends Error {
  readonly offset: number;
  constructor(message: string, offset: number) {
    super(message);
    this.name = "RuleSyntaxError";
    this.offset = offset;
  }
}

/**
 * Steps of one round of a comprehension beside those of its nodes: a round may end in an error,
 * and making one takes a while.
 */
const roundSteps = 16;

const typeNames = "bool double int list map null_type string type uint".split(" ");
const allowedFunctions = new Set([...functionNames, "_&&_", "_||_", "_?_:_", "_[_]"]);
const internalFunctions = new Set(["@not_strictly_false"]);

/**
 * Checks that a rule uses only what rules may use, and makes its comprehensions pay for their
 * rounds (it changes `parsed` for that). Says whether the rule looks at the event's metadata.
 *
 * What CEL allows and rules do not: comprehensions inside one another, `map` and `filter`, messages
 * of Protobuf, functions without a cost. What CEL would find out only when it runs: names, fields
 * of `event` and functions that do not exist.
 *
 * Errors: RuleSyntaxError.
 */
export function checkSyntax(parsed: Parsed): { readonly usesMetadata: boolean } {
  const checker = new Checker(parsed.sourceInfo?.positions ?? {});
  if (parsed.expr !== undefined) checker.check(parsed.expr, undefined);
  return checker;
}

class Checker {
  usesMetadata = false;
  readonly #positions: Readonly<Record<string, number>>;

  constructor(positions: Readonly<Record<string, number>>) {
    this.#positions = positions;
  }

  /** Returns the number of nodes. `loop` is the comprehension around `expr`. */
  check(expr: Expr, loop: Kind<"comprehensionExpr"> | undefined): number {
    const { exprKind } = expr;
    switch (exprKind.case) {
      case "identExpr":
        this.#name(expr, exprKind.value.name, loop);
        return 1;
      case "selectExpr":
        return this.#select(expr, exprKind.value, loop);
      case "callExpr":
        this.#function(expr, exprKind.value);
        return 1 + this.#all([exprKind.value.target, ...exprKind.value.args], loop);
      case "listExpr":
        return 1 + this.#all(exprKind.value.elements, loop);
      case "structExpr":
        return this.#struct(expr, exprKind.value, loop);
      case "comprehensionExpr":
        if (loop !== undefined) this.#fail(expr, oneLevel);
        return this.#comprehension(expr, exprKind.value);
      default:
        return 1;
    }
  }

  #all(exprs: readonly (Expr | undefined)[], loop: Kind<"comprehensionExpr"> | undefined): number {
    return exprs.reduce((nodes, expr) => nodes + (expr ? this.check(expr, loop) : 0), 0);
  }

  #name(expr: Expr, name: string, loop: Kind<"comprehensionExpr"> | undefined): void {
    if (name === loop?.iterVar || name === loop?.accuVar || typeNames.includes(name)) return;
    if (name !== "event") this.#fail(expr, `there is no "${name}"; a rule is about "event"`);
    this.usesMetadata = true;
  }

  #select(
    expr: Expr,
    { operand, field }: Kind<"selectExpr">,
    loop: Kind<"comprehensionExpr"> | undefined,
  ): number {
    if (operand?.exprKind.case !== "identExpr" || operand.exprKind.value.name !== "event") {
      return 1 + this.#all([operand], loop);
    }
    if (!eventFields.includes(field)) {
      this.#fail(expr, `an event has no "${field}"; it has ${eventFields.join(", ")}`);
    }
    this.usesMetadata ||= field === "metadata";
    return 2;
  }

  #function(expr: Expr, call: Kind<"callExpr">): void {
    const { function: name } = call;
    if (allowedFunctions.has(name) || internalFunctions.has(name)) return;
    this.#fail(expr, `rules have no function "${name}"; ${insteadOf(name)}`);
  }

  #struct(
    expr: Expr,
    { messageName, entries }: Kind<"structExpr">,
    loop: Kind<"comprehensionExpr"> | undefined,
  ): number {
    if (messageName !== "") this.#fail(expr, `rules make no messages such as "${messageName}"`);
    const parts = entries.flatMap(({ keyKind, value }) =>
      keyKind.case === "mapKey" ? [keyKind.value, value] : [value],
    );
    return 1 + this.#all(parts, loop);
  }

  #comprehension(expr: Expr, loop: Kind<"comprehensionExpr">): number {
    const { iterRange: range, accuInit, iterVar } = loop;
    if (range === undefined) return 1;
    if (accuInit?.exprKind.case === "listExpr") {
      this.#fail(expr, "rules have no map and filter; use exists, exists_one or all");
    }
    if (iterVar === "event") this.#fail(expr, `"event" cannot be the name of an element`);
    // As if inside: what a comprehension goes through is no comprehension either.
    const outside = this.check(range, { ...loop, iterVar: "event", accuVar: "event" });
    const inside = this.#all([accuInit, loop.loopCondition, loop.loopStep, loop.result], loop);
    loop.iterRange = rangeWithSteps(range, inside + roundSteps);
    return 1 + outside + inside;
  }

  #fail(expr: Expr, message: string): never {
    throw new RuleSyntaxError(message, this.#positions[expr.id.toString()] ?? 0);
  }
}

const oneLevel = "a comprehension stands inside another; rules have one level, use two rules";

function insteadOf(name: string): string {
  if (name === "matches") return "use contains, startsWith or endsWith, with lowerAscii()";
  if (["exists", "all", "exists_one", "map", "filter", "has"].includes(name)) {
    return `use it as CEL defines it, for example list.exists(x, x == "a")`;
  }
  return `they have ${functionNames.filter((known) => /^\w/.test(known) && !known.includes("_")).join(", ")}`;
}

function rangeWithSteps(range: Expr, steps: number): Expr {
  const { id } = range;
  const stepsExpr: Expr = {
    $typeName: "cel.expr.Expr",
    id,
    exprKind: {
      case: "constExpr",
      value: {
        $typeName: "cel.expr.Constant",
        constantKind: { case: "int64Value", value: BigInt(steps) },
      },
    },
  };
  return {
    $typeName: "cel.expr.Expr",
    id,
    exprKind: {
      case: "callExpr",
      value: { $typeName: "cel.expr.Expr.Call", function: rangeFunction, args: [range, stepsExpr] },
    },
  };
}
