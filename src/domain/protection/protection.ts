import type { ProtectionRule, Session } from "@sessiond/contract";
import type { ReasonOf } from "../context/state.ts";
import { RuleCache } from "./rule-cache.ts";
import type { RuleFailure } from "./rules.ts";

const none: ReasonOf = () => undefined;

/** The protection rules that hold for the events of a session: its namespace's, then its own. */
export class Protection {
  readonly #namespaceRules: (namespace: string) => readonly ProtectionRule[];
  readonly #onFailure: ((failure: RuleFailure) => void) | undefined;
  readonly #cache = new RuleCache();

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
  check({ contextPolicy }: Session): void {
    const rules = contextPolicy?.protectionRules ?? [];
    if (rules.length > 0) this.#cache.compile(rules, "session.context_policy.protection_rules");
  }

  /** Says why a rule protects an event of the session. */
  reasonOf({ namespace, contextPolicy }: Session): ReasonOf {
    return this.compile(
      [...this.#namespaceRules(namespace), ...(contextPolicy?.protectionRules ?? [])],
      "session.context_policy.protection_rules",
    );
  }

  /** Errors: InvalidFieldError under the name of the field for a rule that does not compile. */
  compile(rules: readonly ProtectionRule[], field: string): ReasonOf {
    if (rules.length === 0) return none;
    const compiled = this.#cache.compile(rules, field);
    return (event) => compiled.reasonOf(event, this.#onFailure);
  }
}
