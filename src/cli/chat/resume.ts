import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Session, type Sessiond, SessionNotFoundError } from "@sessiond/client";
import { CommandError } from "../command-error.ts";
import { exitCodes } from "../exit-codes.ts";
import { safe } from "../text/safe.ts";
import { quoted } from "../text/shell.ts";
import { age } from "../text/times.ts";

/** Which session to go on with. */
export interface ResumeWish {
  readonly sessiond: Sessiond;
  readonly userId: string;
  /** Id or title. Undefined: the user's active one that was used last. */
  readonly name: string | undefined;
  /** Make it active again if it has ended. */
  readonly reopen: boolean;
  readonly signal: AbortSignal;
  /** Shows a line about a session that is meant by several. */
  readonly note: (line: string) => void;
}

/** Newest sessions of a user among which a title is looked for. */
const searched = 5_000;
const pageSize = 500;
/** Sessions that are named when a title fits several. */
const listed = 10;

/**
 * Finds the session a chat goes on with: by its id; else by the title of one of the user's sessions,
 * whole, then without regard to case, then as the beginning of one. Nothing is guessed.
 *
 * Errors: CommandError when there is none, when there are several, and for one that has ended unless
 * it is to be reopened.
 */
export async function findSession(wish: ResumeWish): Promise<Session> {
  const session = wish.name === undefined ? await newest(wish) : await named(wish, wish.name);
  if (session.message.endTime === undefined) return session;
  if (wish.reopen) {
    await session.reopen({ reason: "resumed in a chat", signal: wish.signal });
    return session;
  }
  throw new CommandError(exitCodes.refused, `${endedText(session)}; ${adviceFor(session)}`);
}

async function newest({ sessiond, userId, signal }: ResumeWish): Promise<Session> {
  let found: Session | undefined;
  for await (const session of ofUser({ sessiond, userId, signal, state: "active" })) {
    if (found === undefined || usedMs(session) > usedMs(found)) found = session;
  }
  if (found !== undefined) return found;
  throw new CommandError(
    exitCodes.notFound,
    `user "${userId}" has no active session; "sessiond chat" begins one`,
  );
}

async function named(wish: ResumeWish, name: string): Promise<Session> {
  const { sessiond, userId, signal } = wish;
  try {
    return await sessiond.sessions.get(name, { signal });
  } catch (error) {
    // What is no id may still be a title.
    const isTitle = error instanceof SessionNotFoundError || isRefusedId(error);
    if (!isTitle) throw error;
  }
  const titled: Session[] = [];
  const begins = (title: string) => title.toLowerCase().startsWith(name.toLowerCase());
  for await (const session of ofUser({ sessiond, userId, signal })) {
    if (begins(session.title)) titled.push(session);
  }
  const ways = [
    ({ title }: Session) => title === name,
    ({ title }: Session) => title.toLowerCase() === name.toLowerCase(),
    () => true,
  ];
  const fitting = ways.map((fits) => titled.filter(fits)).find(({ length }) => length > 0) ?? [];
  const active = fitting.filter(({ message }) => message.endTime === undefined);
  const [only, ...others] = active.length > 0 ? active : fitting;
  if (only === undefined) {
    throw new CommandError(
      exitCodes.notFound,
      `no session has the id "${name}", and none of user "${userId}" a title that begins so; "sessiond sessions" lists those there are`,
    );
  }
  if (others.length === 0) return only;
  const all = [only, ...others];
  for (const line of linesOf(all)) wish.note(line);
  throw new CommandError(
    exitCodes.refused,
    `"${name}" fits ${all.length} sessions; name one by its id`,
  );
}

async function* ofUser(query: {
  sessiond: Sessiond;
  userId: string;
  signal: AbortSignal;
  state?: "active";
}): AsyncGenerator<Session, void> {
  const { sessiond, ...rest } = query;
  let number = 0;
  for await (const session of sessiond.sessions.list({ ...rest, pageSize })) {
    yield session;
    number += 1;
    if (number >= searched) return;
  }
}

/** The server says INVALID_FIELD to an id that no session can have. */
function isRefusedId(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "INVALID_ARGUMENT";
}

function linesOf(sessions: readonly Session[]): string[] {
  const now = new Date();
  const lines = sessions.slice(0, listed).map((session) => {
    const { sessionId, title, state = "unknown" } = session;
    const used = age(new Date(usedMs(session)), now);
    return safe(`${sessionId}  ${state}, used ${used} ago  ${title}`);
  });
  return sessions.length > listed ? [...lines, `and ${sessions.length - listed} more`] : lines;
}

function endedText(session: Session): string {
  const { sessionId, title, state } = session;
  const name = title === "" ? `session "${sessionId}"` : `session "${sessionId}" (${title})`;
  return state === "expired" ? `${name} has expired` : `${name} has ended (${state ?? "unknown"})`;
}

function adviceFor({ sessionId }: Session): string {
  const again = `sessiond chat --resume ${quoted(sessionId)} --reopen`;
  return `go on with it by "${again}", or begin another with "sessiond chat"`;
}

function usedMs({ message, createTime }: Session): number {
  const { lastActivityTime } = message;
  return lastActivityTime === undefined ? createTime.getTime() : timestampMs(lastActivityTime);
}
