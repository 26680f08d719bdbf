import { userInfo } from "node:os";
import { type Command, InvalidArgumentError } from "commander";
import { apiUrl } from "../../config-values.ts";
import type { Answerer } from "../chat/answerer.ts";
import { CommandError } from "../command-error.ts";
import type { CommandLine } from "../command-line.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Host } from "../host.ts";
import { count } from "../options.ts";
import { addServerOptions, type Server, type ServerFlags, withServer } from "../server.ts";
import { quoted } from "../text/shell.ts";
import { durationMs } from "../text/times.ts";

interface Flags extends ServerFlags {
  readonly resume?: string | true;
  readonly reopen?: true;
  readonly title?: string;
  readonly agent?: string;
  readonly user?: string;
  readonly system?: string;
  readonly idle?: number;
  readonly model?: string;
  readonly baseUrl?: string;
  readonly command?: string;
  readonly budget?: number;
  readonly timeout?: number;
}

const defaultUrl = "https://api.openai.com/v1";
/** Models that think say nothing for a while. */
const defaultSilentMs = 300_000;
/**
 * A chat outlives its server. When that is back, the connection waits up to 600 ms before it tries
 * again, and a message is not to fail meanwhile.
 */
const retry = { attempts: 5, minMs: 200 };

const help = `
Every message and answer is kept in a session, which expires 45 minutes after the last one. stdout has
the answers, stderr everything else; in a pipe each line is a message. On a
terminal !help shows the commands of a chat.

With --model an OpenAI-compatible endpoint answers: --base-url or OPENAI_BASE_URL, and the key in
OPENAI_API_KEY. With --command a program does: it is started for every message, reads the context
window from stdin as a JSON array of OpenAI chat messages, and writes the answer to stdout. Without
either the messages are recorded.

Examples:
  sessiond chat                                    record what you type
  sessiond chat --model gpt-5 --title "Japan trip"
  sessiond chat --resume "japan trip"              by id or title; alone: the one used last
  sessiond chat --base-url http://localhost:11434/v1 --model llama3
  sessiond chat --command "jq -r '.[-1].content'"  an echo
  echo "Where to?" | sessiond chat --model gpt-5 > answer.txt`;

export function addChat(program: Command, line: CommandLine): void {
  const command = program
    .command("chat")
    .description("talk in a session, with a model, a program, or for the record")
    .option("--resume [session]", "go on with a session, by id or title (alone: the one used last)")
    .option("--reopen", "with --resume: also with one that has ended")
    .option("--title <text>", "title of a new session (default: the first words)")
    .option("--model <name>", "model that answers; chooses the tokenizer")
    .option(
      "--base-url <url>",
      `endpoint of the model (default ${defaultUrl}; env OPENAI_BASE_URL)`,
    )
    .option("--command <program>", "program that answers, as a shell reads it")
    .option("--system <text>", "system instructions of a new session")
    .option(
      "--budget <tokens>",
      "tokens of the context window (default: the session's policy)",
      count,
    )
    .option("--idle <duration>", "time after which a new session expires (default 45m)", duration)
    .option("--timeout <duration>", "how long what answers may say nothing (default 5m)", duration)
    .option("--agent <id>", 'agent of a new session (default "chat")')
    .option("--user <id>", "user of the sessions (default: your name on this machine)")
    .addHelpText("after", help);
  addServerOptions(command);
  command.action((flags: Flags) => {
    check(flags, line.host);
    return withServer(line, flags, (server) => start(server, flags), retry);
  });
}

/** Errors: CommandError for what does not go together. */
function check({ resume, reopen, model, baseUrl, command }: Flags, { env }: Host): void {
  if (reopen && typeof resume !== "string") {
    throw wrong("--reopen needs --resume with the session it is for");
  }
  if (resume === "")
    throw wrong("--resume names no session; leave the empty word out for the newest");
  if (command !== undefined && baseUrl !== undefined) {
    throw wrong("--command and --base-url exclude each other; one of them answers");
  }
  if (baseUrl !== undefined && model === undefined) {
    throw wrong("--base-url needs --model, the model to ask there");
  }
  if (model === undefined || command !== undefined) return;
  const url = urlOf({ baseUrl, env });
  if (!apiUrl.safeParse(url).success) {
    const name = baseUrl === undefined ? "OPENAI_BASE_URL" : "--base-url";
    throw wrong(
      `${name} must be an http or https URL without name and password, such as ${defaultUrl}`,
    );
  }
  if (url === defaultUrl && keyOf(env) === undefined) {
    throw wrong(`${defaultUrl} needs a key in OPENAI_API_KEY; --base-url names another endpoint`);
  }
}

async function start(server: Server, flags: Flags): Promise<number | undefined> {
  // Loaded only now, with the client.
  const [{ chat }, { fingerprintOf }] = await Promise.all([
    import("../chat/chat.ts"),
    import("../chat/fingerprint.ts"),
  ]);
  const { host } = server;
  const { resume, reopen, title, model, system, idle, budget, agent = "chat" } = flags;
  const userId = flags.user ?? userName(host);
  const fingerprint = await fingerprintOf(host.cwd);
  const view = { model, budget };
  return chat(server, {
    fields: {
      preset: "terminal",
      agentId: agent,
      userId,
      ...(title !== undefined && { title }),
      ...(model !== undefined && { model }),
      ...(system !== undefined && { systemInstructions: system }),
      ...(idle !== undefined && { expiry: { idleTtlMs: idle } }),
      ...(fingerprint !== undefined && { fingerprint }),
    },
    userId,
    view,
    answerer: await answererOf(server, flags),
    resume:
      resume === undefined
        ? undefined
        : { name: resume === true ? undefined : resume, reopen: reopen === true },
    resumeCommand: (sessionId) => resumeCommand(flags, sessionId),
  });
}

async function answererOf(server: Server, flags: Flags): Promise<Answerer | undefined> {
  const { host, sessiond } = server;
  const { model, command, budget, baseUrl, timeout: silentMs = defaultSilentMs } = flags;
  const view = { model, budget, silentMs };
  if (command !== undefined) {
    const { programAnswerer } = await import("../chat/program.ts");
    const env = { SESSIOND_ADDRESS: sessiond.address, SESSIOND_NAMESPACE: sessiond.namespace };
    return programAnswerer(host, { ...view, command, env });
  }
  if (model === undefined) return undefined;
  const { modelAnswerer } = await import("../chat/model.ts");
  const { fixedKey } = await import("../../completions/key.ts");
  const key = fixedKey(keyOf(host.env));
  return modelAnswerer({ url: urlOf({ baseUrl, env: host.env }), model, key }, view);
}

function urlOf({ baseUrl, env }: { baseUrl: string | undefined; env: Host["env"] }): string {
  const { OPENAI_BASE_URL } = env;
  return baseUrl ?? (OPENAI_BASE_URL || defaultUrl);
}

function keyOf({ OPENAI_API_KEY }: Host["env"]): string | undefined {
  return OPENAI_API_KEY || undefined;
}

/** Name of whoever runs this; empty where the machine knows none, as in some containers. */
function userName({ env: { USER } }: Host): string {
  try {
    return userInfo().username;
  } catch {
    return USER ?? "";
  }
}

function resumeCommand(flags: Flags, sessionId: string): string {
  const words = ["sessiond", "chat", "--resume", sessionId];
  const kept = {
    "--model": flags.model,
    "--base-url": flags.baseUrl,
    "--command": flags.command,
    "--budget": flags.budget?.toString(),
    "--timeout": flags.timeout === undefined ? undefined : `${flags.timeout / 1_000}s`,
    "--user": flags.user,
    "--address": flags.address,
    "--namespace": flags.namespace,
  };
  for (const [name, value] of Object.entries(kept)) {
    if (value !== undefined) words.push(name, value);
  }
  return words.map(quoted).join(" ");
}

function duration(text: string): number {
  const ms = durationMs(text);
  if (ms === undefined || ms < 1) {
    throw new InvalidArgumentError("It must be a duration such as 30s, 45m or 2h.");
  }
  return ms;
}

function wrong(message: string): CommandError {
  return new CommandError(exitCodes.cannotStart, message);
}
