import type { Session, Sessiond } from "@sessiond/client";
import type { Host } from "../host.ts";
import { safe } from "../text/safe.ts";
import { writeWindow } from "../window/write-window.ts";
import type { View } from "./answerer.ts";
import type { ChatSession } from "./chat-session.ts";
import { serverInfo } from "./server-info.ts";
import type { Status } from "./status.ts";
import { writeCaches, writeSessions } from "./tables.ts";

/** What the commands of a chat work with. */
export interface CommandParts {
  readonly host: Host;
  readonly sessiond: Sessiond;
  readonly chat: ChatSession;
  readonly status: Status;
  readonly userId: string;
  /** How the model sees the session. */
  readonly view: View;
}

interface ChatCommand {
  /** How it is written, for the help. */
  readonly usage: string;
  readonly help: string;
  /** Gives "quit" to end the chat. Errors: those of the client. */
  run(parts: CommandParts, argument: string, signal: AbortSignal): Promise<"quit" | undefined>;
}

/** Sessions of a table. */
const tableRows = 100;

const commands: Readonly<Record<string, ChatCommand>> = {
  new: {
    usage: "!new [TITLE]",
    help: "leave this session; the next message begins another",
    async run({ chat, status }, title) {
      chat.leave(title);
      status.note("the next message begins a new session");
      return undefined;
    },
  },
  sessions: {
    usage: "!sessions",
    help: "your active sessions, with messages and time left",
    async run({ host, sessiond, chat, status, userId }, _, signal) {
      const sessions: Session[] = [];
      const query = { state: "active", userId, pageSize: tableRows + 1, signal } as const;
      for await (const session of sessiond.sessions.list(query)) {
        sessions.push(session);
        if (sessions.length > tableRows) break;
      }
      if (sessions.length === 0) {
        status.note("you have no active session; a message begins one");
        return undefined;
      }
      const current = chat.current?.sessionId ?? "";
      const shown = sessions.slice(0, tableRows);
      await writeSessions(host.stdout, { sessions: shown, current, nowMs: Date.now() });
      if (sessions.length > tableRows) status.note(`the newest ${tableRows}; there are more`);
      return undefined;
    },
  },
  cache: {
    usage: "!cache",
    help: "hits, misses and size of the server's caches",
    async run({ host, sessiond }, _, signal) {
      const server = await serverInfo(sessiond, signal);
      await writeCaches(host.stdout, server?.caches ?? []);
      return undefined;
    },
  },
  window: {
    usage: "!window",
    help: "what the model sees of this session, and what its tokens go to",
    async run({ host, chat, status, view }, _, signal) {
      const session = chat.current;
      if (session === undefined) {
        status.note("there is no session yet; a message begins one");
        return undefined;
      }
      const agent = session.message.agentId;
      const shown = { ...view, agent, dialect: "openai-chat", signal } as const;
      const id = session.sessionId;
      await writeWindow(host, await session.contextWindow(shown), { id, explain: false });
      return undefined;
    },
  },
  help: {
    usage: "!help",
    help: "these commands",
    async run({ host }) {
      host.stdout.write(`${helpText()}\n`);
      return undefined;
    },
  },
  quit: {
    usage: "!quit",
    help: "leave, as Ctrl+D does; the session stays",
    run: async () => "quit",
  },
};

/**
 * Runs a line that begins with "!", of a terminal. Errors: those of the client.
 */
export async function runCommand(
  line: string,
  parts: CommandParts,
  signal: AbortSignal,
): Promise<"quit" | undefined> {
  const [, name = "", argument = ""] = /^!(\S*)\s*(.*)$/s.exec(line) ?? [];
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command !== undefined) return command.run(parts, argument.trim(), signal);
  const known = Object.keys(commands).map((word) => `!${word}`);
  parts.status.failed(
    `there is no "!${safe(name)}"; there are ${known.join(", ")}. To send a message that begins with "!", put a space in front`,
  );
  return undefined;
}

function helpText(): string {
  const all = Object.values(commands);
  const columns = Math.max(...all.map(({ usage }) => usage.length));
  const lines = all.map(({ usage, help }) => `${usage.padEnd(columns)}  ${help}`);
  return [
    ...lines,
    "",
    "Ctrl+C stops an answer. Lines that are pasted together are one message.",
  ].join("\n");
}
