import type { DescField } from "@bufbuild/protobuf";

/** A generated message, by the names of its fields. */
export type Members = Record<string, unknown>;

/** A oneof as it stands in a generated message. */
interface Chosen {
  readonly case: string | undefined;
  readonly value?: unknown;
}

/** Value of a field; undefined when it is not the one of its oneof that is set, or not set. */
export function memberOf(message: object, field: DescField): unknown {
  if (field.oneof === undefined) return (message as Members)[field.localName];
  const chosen = (message as Members)[field.oneof.localName] as Chosen | undefined;
  return chosen?.case === field.localName ? chosen.value : undefined;
}

/** Sets a field. */
export function setMember(message: object, field: DescField, value: unknown): void {
  if (field.oneof === undefined) {
    (message as Members)[field.localName] = value;
    return;
  }
  (message as Members)[field.oneof.localName] = { case: field.localName, value };
}
