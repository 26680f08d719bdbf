import {
  type CelEnv,
  type CelFunc,
  type CelInput,
  CelScalar,
  type CelValue,
  celEnv,
  celError,
  celFunc,
  celMethod,
  isCelError,
  isCelList,
  isCelMap,
} from "@bufbuild/cel";
import { strings } from "@bufbuild/cel/ext";
import { limits } from "../../limits.ts";
import { costOf } from "./costs.ts";
import { textFunctions } from "./text-functions.ts";

/** Stands around what a comprehension goes through; takes it and the steps of one round. */
export const rangeFunction = "@range";

/**
 * Where expressions run: the functions of CEL and its strings extension, each behind a meter, because
 * CEL has no limit of its own.
 *
 * Evaluations are synchronous, so one meter serves all.
 */
export class Machine {
  readonly env: CelEnv;
  #stepsLeft = 0;

  constructor() {
    const known = [...celEnv({ funcs: [...strings, ...textFunctions] }).funcs];
    const metered = known.flatMap((func) => this.#metered(func));
    this.env = celEnv({ funcs: [...metered, this.#range()] });
  }

  /** Gives the next evaluation its steps. */
  reset(): void {
    this.#stepsLeft = limits.ruleSteps;
  }

  #spend(steps: number): void {
    this.#stepsLeft -= steps;
    if (this.#stepsLeft < 0) throw celError(`it takes more than ${limits.ruleSteps} steps`);
  }

  #metered(func: CelFunc): CelFunc[] {
    const cost = costOf(func.name);
    if (cost === undefined) return [];
    const call = (target: CelValue | undefined, args: CelValue[]): CelInput => {
      // A comprehension goes on after an error: weighing maps in each of its rounds took seconds.
      if (this.#stepsLeft < 0) this.#spend(0);
      this.#spend(cost(target === undefined ? args : [target, ...args]));
      const result = func.call(0, target, args);
      if (result === undefined || isCelError(result)) throw result;
      return result;
    };
    if (func.target === undefined) {
      return [celFunc(func.name, func.arguments, func.result, (...args) => call(undefined, args))];
    }
    const method = function (this: CelValue, ...args: CelValue[]) {
      return call(this, args);
    };
    return [celMethod(func.name, func.target, func.arguments, func.result, method)];
  }

  #range(): CelFunc {
    const { DYN, INT } = CelScalar;
    return celFunc(rangeFunction, [DYN, INT], DYN, (range, steps) => {
      if (isCelList(range) || isCelMap(range)) this.#spend(range.size * Number(steps));
      return range;
    });
  }
}
