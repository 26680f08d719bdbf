import { limits } from "../../limits.ts";
import { type CompiledRules, compileRules, type RuleText } from "./rules.ts";

/**
 * Compiles lists of rules and keeps those that were used last, by their content: sessions of one
 * kind have the same rules, and each append needs them.
 *
 * Bounded by the length of the texts, to which what is compiled from them is proportional.
 */
export class RuleCache {
  readonly #lists = new Map<string, CompiledRules>();
  readonly #limitLength: number;
  #length = 0;

  constructor({
    limitLength = limits.cachedRuleLength,
  }: {
    readonly limitLength?: number;
  } = {}) {
    this.#limitLength = limitLength;
  }

  /** As `compileRules`. Lists that do not compile are not kept. */
  compile(rules: readonly RuleText[], field: string): CompiledRules {
    const key = JSON.stringify(rules.map(({ expression, reason }) => [expression, reason]));
    const known = this.#lists.get(key);
    const compiled = known ?? compileRules(rules, field);
    // A Map keeps the order of insertion: the first is the one not used for longest.
    this.#lists.delete(key);
    this.#lists.set(key, compiled);
    if (known === undefined) this.#length += key.length;
    for (const oldest of this.#lists.keys()) {
      if (this.#length <= this.#limitLength) break;
      this.#lists.delete(oldest);
      this.#length -= oldest.length;
    }
    return compiled;
  }
}
