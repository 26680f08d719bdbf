import type { ProtectionRule, Session } from "@sessiond/contract";
import type { ReasonOf } from "../context/state.ts";
import type { RuleCache } from "./rule-cache.ts";
import type { RuleFailure } from "./rules.ts";

const none: ReasonOf = () => undefined;
const field = "session.context_policy.protection_rules";

/**
 * The protection rules that hold for the events of a session: its namespace's, then its own.
 *
 * What evaluates them is loaded with the first rule, because it takes tens of milliseconds and most
 * servers never meet one.
 */
export class Protection {
  readonly #namespaceRules: (namespace: string) => readonly ProtectionRule[];
  readonly #onFailure: ((failure: RuleFailure) => void) | undefined;
  #cache: RuleCache | undefined;

  constructor(args: {
    /** Rules of the configuration. Default: none. */
    namespaceRules?: (namespace: string) => readonly ProtectionRule[];
    /** Hears of rules that failed on an event, which is then protected. */
    onRuleFailure?: (failure: RuleFailure) => void;
  }) {
    this.#namespaceRules = args.namespaceRules ?? (() => []);
    this.#onFailure = args.onRuleFailure;
  }

  /** Errors: InvalidFieldError for a rule of the session that does not compile, with its place. */
  async check({ contextPolicy }: Session): Promise<void> {
    await this.compile(contextPolicy?.protectionRules ?? [], field);
  }

  /** Says why a rule protects an event of the session; `prepare` must have been called for it. */
  reasonOf(session: Session): ReasonOf {
    const rules = this.#rulesOf(session);
    if (rules.length === 0) return none;
    if (this.#cache === undefined) throw new Error("rules are asked before they are loaded");
    return this.#reasonOf(this.#cache, rules, field);
  }

  /** Loads what the rules of a session need. */
  async prepare(session: Session): Promise<void> {
    if (this.#cache === undefined && this.#rulesOf(session).length > 0) await this.#load();
  }

  /** Errors: InvalidFieldError under the name of the field for a rule that does not compile. */
  async compile(rules: readonly ProtectionRule[], name: string): Promise<ReasonOf> {
    if (rules.length === 0) return none;
    return this.#reasonOf(this.#cache ?? (await this.#load()), rules, name);
  }

  #reasonOf(cache: RuleCache, rules: readonly ProtectionRule[], name: string): ReasonOf {
    const compiled = cache.compile(rules, name);
    return (event) => compiled.reasonOf(event, this.#onFailure);
  }

  #rulesOf({ namespace, contextPolicy }: Session): readonly ProtectionRule[] {
    const own = contextPolicy?.protectionRules ?? [];
    const common = this.#namespaceRules(namespace);
    return common.length === 0 ? own : [...common, ...own];
  }

  async #load(): Promise<RuleCache> {
    const { RuleCache } = await import("./rule-cache.ts");
    this.#cache ??= new RuleCache();
    return this.#cache;
  }
}
