import { SessiondError, type SessionFields } from "@sessiond/client";
import { exitCodes } from "../exit-codes.ts";
import { type Server, withAdvice } from "../server.ts";
import { safe } from "../text/safe.ts";
import type { Answerer, View } from "./answerer.ts";
import { ChatSession } from "./chat-session.ts";
import { runCommand } from "./commands.ts";
import { exchange } from "./exchange.ts";
import { changeOf } from "./fingerprint.ts";
import type { ChatInput } from "./input.ts";
import { pipeInput } from "./pipe-input.ts";
import { findSession } from "./resume.ts";
import { serverInfo } from "./server-info.ts";
import { type Status, statusOn } from "./status.ts";
import { terminalInput } from "./terminal-input.ts";

/** What a chat was asked to be. */
export interface ChatOptions {
  /** Of a new session. */
  readonly fields: SessionFields;
  readonly userId: string;
  readonly view: View;
  /** Absent: messages are recorded, and nothing answers. */
  readonly answerer: Answerer | undefined;
  /** Session to go on with. Absent: a new one. */
  readonly resume: { readonly name: string | undefined; readonly reopen: boolean } | undefined;
  /** Command that goes on with a session, for the last line. */
  readonly resumeCommand: (sessionId: string) => string;
}

/**
 * Talks until there are no more messages. On a terminal what goes wrong is said and the chat goes on;
 * in a pipe a message that could not be stored ends it.
 *
 * Resolves to the exit code; undefined: done. Errors: CommandError, those of the client.
 */
export async function chat(server: Server, options: ChatOptions): Promise<number | undefined> {
  const { host, sessiond, interruption } = server;
  const { signal } = interruption;
  const { answerer, userId, view, fields } = options;
  const status = statusOn(host.stderr);
  const resumed = await resume(server, options, status);
  // What comes through a pipe may be anybody's text: there each line is a message.
  const hasCommands = host.terminal !== undefined;
  const current = new ChatSession({ sessiond, status, fields, resumed, hasCommands });
  const parts = { host, sessiond, chat: current, status, userId, view, answerer };
  status.note(
    answerer === undefined
      ? "Nothing answers here: messages are recorded. --model asks a model, --command a program."
      : `${safe(answerer.name)} answers.`,
  );
  if (hasCommands) status.note("!help shows the commands, Ctrl+D leaves.");

  using input = inputOf(server);
  let isComplete = true;
  for (;;) {
    const line = await input.next();
    if (line === undefined) break;
    if (line.trim() === "") continue;
    try {
      const done = await input.during(async (during) => {
        if (hasCommands && line.startsWith("!")) return runCommand(line, parts, during);
        isComplete = (await exchange(line.trim(), during, parts)) && isComplete;
        return undefined;
      });
      if (done === "quit") break;
    } catch (error) {
      if (signal.aborted || host.terminal === undefined) throw error;
      status.failed(messageOf(withAdvice(error, sessiond)));
    }
  }
  const last = current.current;
  if (host.terminal !== undefined && last !== undefined) {
    status.note(`go on with: ${options.resumeCommand(last.sessionId)}`);
  }
  return interruption.exitCode() ?? (isComplete ? undefined : exitCodes.incomplete);
}

function inputOf({ host, interruption: { signal } }: Server): ChatInput {
  const { terminal, stderr, stdin } = host;
  return terminal === undefined
    ? pipeInput(stdin, signal)
    : terminalInput(terminal, { stderr, signal });
}

/** Finds the session to go on with, and says what there is to know about it. */
async function resume(
  { sessiond, interruption: { signal } }: Server,
  { resume: wish, userId, fields }: ChatOptions,
  status: Status,
) {
  if (wish === undefined) {
    // Somebody who types a message is to know before whether it can be kept.
    await serverInfo(sessiond, signal);
    return undefined;
  }
  const note = (line: string) => status.note(line);
  const session = await findSession({ sessiond, userId, ...wish, signal, note });
  status.resumed(session);
  const change = changeOf(session.message.fingerprint, fields.fingerprint);
  if (change !== undefined) {
    status.warn(`the code changed since this session began: ${change}`);
  }
  return session;
}

/** The line for an error of the client. Others are defects and end the chat. */
function messageOf(error: unknown): string {
  const isKnown =
    error instanceof SessiondError || (error instanceof Error && error.name === "CommandError");
  if (!isKnown) throw error;
  return safe(error.message);
}
