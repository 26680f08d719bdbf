import type { parse } from "@bufbuild/cel";
import { functionNames } from "./costs.ts";
import { rangeFunction } from "./machine.ts";
import type { Subject } from "./subject.ts";

type Parsed = ReturnType<typeof parse>;
type Expr = NonNullable<Parsed["expr"]>;
type Kind<Case> = Extract<Expr["exprKind"], { case: Case }>["value"];

/** What is wrong with an expression, and where: an offset into its text. */
export class ExpressionSyntaxError extends Error {
  readonly offset: number;
  constructor(message: string, offset: number) {
    super(message);
    this.name = "ExpressionSyntaxError";
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

/** The parts of a subject that an expression is checked against. */
type Words = Omit<Subject<unknown>, "sample" | "view">;

/**
 * Checks that an expression uses only what it may use, and makes its comprehensions pay for their
 * rounds (it changes `parsed` for that). Says what fields of the subject it looks at.
 *
 * What CEL allows and this does not: comprehensions inside one another, `map` and `filter`, messages
 * of Protobuf, functions without a cost. What CEL would find out only when it runs: names, fields
 * of the subject and functions that do not exist.
 *
 * Errors: ExpressionSyntaxError.
 */
export function checkSyntax(
  parsed: Parsed,
  subject: Words,
): { readonly usedFields: ReadonlySet<string> } {
  const checker = new Checker(parsed.sourceInfo?.positions ?? {}, subject);
  if (parsed.expr !== undefined) checker.check(parsed.expr, undefined);
  return checker;
}

class Checker {
  /** Fields of the subject that the expression names, or all when it takes the subject as a whole. */
  readonly usedFields = new Set<string>();
  readonly #positions: Readonly<Record<string, number>>;
  readonly #subject: Words;

  constructor(positions: Readonly<Record<string, number>>, subject: Words) {
    this.#positions = positions;
    this.#subject = subject;
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
        if (loop !== undefined) this.#fail(expr, oneLevel(this.#subject));
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
    const { variable, word } = this.#subject;
    if (name !== variable) {
      this.#fail(expr, `there is no "${name}"; a ${word} is about "${variable}"`);
    }
    for (const field of this.#subject.fields) this.usedFields.add(field);
  }

  #select(
    expr: Expr,
    { operand, field }: Kind<"selectExpr">,
    loop: Kind<"comprehensionExpr"> | undefined,
  ): number {
    const { variable, article, fields } = this.#subject;
    if (operand?.exprKind.case !== "identExpr" || operand.exprKind.value.name !== variable) {
      return 1 + this.#all([operand], loop);
    }
    if (!fields.includes(field)) {
      this.#fail(expr, `${article} ${variable} has no "${field}"; it has ${fields.join(", ")}`);
    }
    this.usedFields.add(field);
    return 2;
  }

  #function(expr: Expr, call: Kind<"callExpr">): void {
    const { function: name } = call;
    if (allowedFunctions.has(name) || internalFunctions.has(name)) return;
    this.#fail(expr, `${this.#subject.word}s have no function "${name}"; ${insteadOf(name)}`);
  }

  #struct(
    expr: Expr,
    { messageName, entries }: Kind<"structExpr">,
    loop: Kind<"comprehensionExpr"> | undefined,
  ): number {
    if (messageName !== "") {
      this.#fail(expr, `${this.#subject.word}s make no messages such as "${messageName}"`);
    }
    const parts = entries.flatMap(({ keyKind, value }) =>
      keyKind.case === "mapKey" ? [keyKind.value, value] : [value],
    );
    return 1 + this.#all(parts, loop);
  }

  #comprehension(expr: Expr, loop: Kind<"comprehensionExpr">): number {
    const { iterRange: range, accuInit, iterVar } = loop;
    const { variable, word } = this.#subject;
    if (range === undefined) return 1;
    if (accuInit?.exprKind.case === "listExpr") {
      this.#fail(expr, `${word}s have no map and filter; use exists, exists_one or all`);
    }
    if (iterVar === variable) this.#fail(expr, `"${variable}" cannot be the name of an element`);
    // As if inside: what a comprehension goes through is no comprehension either.
    const outside = this.check(range, { ...loop, iterVar: variable, accuVar: variable });
    const inside = this.#all([accuInit, loop.loopCondition, loop.loopStep, loop.result], loop);
    loop.iterRange = rangeWithSteps(range, inside + roundSteps);
    return 1 + outside + inside;
  }

  #fail(expr: Expr, message: string): never {
    throw new ExpressionSyntaxError(message, this.#positions[expr.id.toString()] ?? 0);
  }
}

function oneLevel({ word }: Words): string {
  const instead = word === "rule" ? ", use two rules" : "";
  return `a comprehension stands inside another; ${word}s have one level${instead}`;
}

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

/** `line:column` of an offset, both from 1. */
export function placeOf(text: string, offset: number): string {
  const before = text.slice(0, offset).split("\n");
  return `${before.length}:${(before.at(-1)?.length ?? 0) + 1}`;
}
