import { UsageError } from "../errors/client-errors.ts";

/** What of a user a session is for. One of them, or none. */
export type SessionPart =
  | { readonly device?: never; readonly app?: never; readonly type?: never }
  | { readonly device: string }
  | { readonly app: string }
  | { readonly type: string };

/**
 * Makes the id of a user's session, the same every time: `user-U`, `user-U-device-D`,
 * `user-U-app-A`, or `U:TYPE` for several kinds of conversation with one user.
 *
 * Errors: UsageError for an empty name.
 *
 * ```ts
 * const session = await sessiond.sessions.getOrCreate(userSession("42"));
 * const phone = await sessiond.sessions.getOrCreate(userSession("42", { device: "phone" }));
 * const support = await sessiond.sessions.getOrCreate(userSession("42", { type: "support" }));
 * ```
 */
export function userSession(userId: string, part: SessionPart = {}): string {
  const [[kind, name] = ["", undefined]] = Object.entries(part);
  if (userId === "" || name === "") {
    throw new UsageError("a session id is made of names, and one of them is empty");
  }
  if (name === undefined) return `user-${userId}`;
  return kind === "type" ? `${userId}:${name}` : `user-${userId}-${kind}-${name}`;
}

/**
 * Makes an id that no other session has, `temp-<uuid>`, for something asked once.
 *
 * ```ts
 * const session = await sessiond.sessions.create({ sessionId: temporarySession() });
 * ```
 */
export function temporarySession(): string {
  return `temp-${crypto.randomUUID()}`;
}
