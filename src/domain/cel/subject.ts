import type { CelInput } from "@bufbuild/cel";

/** Value of a field. */
export type FieldValue = CelInput;

/** What expressions see of one thing; made once for all of them. */
export interface View {
  /** One of the subject's fields but `metadata`. Read at the first look, as few expressions look at many. */
  readonly field: (name: string) => FieldValue;
  /** Undefined: it is too large to be looked at. Made at the first look, as few take one. */
  readonly metadata: () => CelInput | undefined;
}

/** What expressions are about: events, for rules, or sessions, for filters. */
export interface Subject<T> {
  /** The one name that expressions know. */
  readonly variable: string;
  readonly article: "a" | "an";
  /** What such an expression is called, in messages. */
  readonly word: "rule" | "filter";
  /** Names that may follow the variable; `metadata` is one of them. */
  readonly fields: readonly string[];
  /** An empty one, on which every expression is tried. */
  readonly sample: T;
  view(value: T): View;
}

/** Looks at the fields of a thing by a table of how to read them, each at most once. */
export function lookAt<T>(
  fields: Readonly<Record<string, (value: T) => FieldValue>>,
  value: T,
): View["field"] {
  const known = new Map<string, FieldValue>();
  return (name) => {
    let field = known.get(name);
    if (field === undefined) {
      field = fields[name]?.(value) ?? null;
      known.set(name, field);
    }
    return field;
  };
}
