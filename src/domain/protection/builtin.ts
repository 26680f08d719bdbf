import type { Event } from "@sessiond/contract";

/** Kinds of events that are protected without any rule, and the reasons shown for them. */
const reasonByKind: ReadonlyMap<string, string> = new Map([
  ["constraint", "explicit_constraint"],
  ["goal", "goal"],
  ["auth_checkpoint", "auth_checkpoint"],
]);

/**
 * Why an event is protected without any rule; undefined when it is not.
 *
 * The event's own kind is the better word, so it goes before `initial_objective`.
 */
export function builtinReason(
  event: Event,
  { isFirstUserMessage }: { readonly isFirstUserMessage: boolean },
): string | undefined {
  return reasonByKind.get(event.kind) ?? (isFirstUserMessage ? "initial_objective" : undefined);
}
