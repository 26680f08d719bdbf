import { toJson } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Session } from "@sessiond/client";
import { SessionSchema } from "@sessiond/contract";
import type { Command } from "commander";
import type { CommandLine } from "../command-line.ts";
import type { Output } from "../host.ts";
import { outputFormat, outputOption, writeJson } from "../output-format.ts";
import { addServerOptions, type Server, type ServerFlags, withServer } from "../server.ts";
import { paintFor, stateColours } from "../text/colours.ts";
import { safe, safeLines } from "../text/safe.ts";

interface Flags extends ServerFlags {
  readonly output?: string;
}

const help = `
Examples:
  sessiond show user-42
  sessiond show user-42 -o json | jq .metrics`;

const labelColumns = 14;

export function addShow(program: Command, line: CommandLine): void {
  const command = program
    .command("show")
    .description("show one session")
    .argument("<session>", "id of the session")
    .addOption(outputOption("text"))
    .addHelpText("after", help);
  addServerOptions(command);
  command.action((id: string, flags: Flags) =>
    withServer(line, flags, (server) => show(server, id, flags)),
  );
}

async function show({ host, sessiond, interruption }: Server, id: string, flags: Flags) {
  const { signal } = interruption;
  const session = await sessiond.sessions.get(id, { signal });
  const format = outputFormat(flags.output, "text", host.stdout);
  if (format === "text") host.stdout.write(describe(host.stdout, session));
  else writeJson(host.stdout, format, toJson(SessionSchema, session.message));
  return undefined;
}

/** What there is to say about a session, one fact a line; absent facts are left out. */
function describe(output: Output, session: Session): string {
  const paint = paintFor(output);
  const { message, state } = session;
  const { metrics, end } = message;
  const time = (value: typeof message.createTime) =>
    value === undefined ? "" : timestampDate(value).toISOString();
  const labels = Object.entries(message.labels).map(([key, value]) => `${key}=${value}`);
  const facts = {
    session: message.sessionId,
    namespace: message.namespace,
    state: state ?? "unknown",
    ended: [end?.reason, end?.errorCode, end?.errorMessage].filter(Boolean).join(", "),
    title: message.title,
    agent: message.agentId,
    user: message.userId,
    model: message.model,
    preset: message.preset,
    goal: message.goal,
    labels: labels.join(", "),
    parent: message.parent?.sessionId ?? "",
    fingerprint: message.fingerprint,
    created: time(message.createTime),
    "last activity": time(message.lastActivityTime),
    expires: time(message.expireTime),
    "end time": time(message.endTime),
    events: String(message.headRevision),
    messages: String(metrics?.messages ?? 0),
    turns: String(metrics?.turns ?? 0),
    "tool calls": String(metrics?.toolCalls ?? 0),
    errors: String(metrics?.errors ?? 0),
    tokens: String(metrics?.tokens?.total ?? 0),
    uid: message.uid,
    etag: message.etag,
  };
  const colour = state === undefined ? "gray" : stateColours[state];
  return Object.entries(facts)
    .filter(([, value]) => value !== "")
    .map(([name, value]) => {
      const shown = name === "state" ? paint(colour, value) : safeLines(value, indent);
      return `${paint("bold", name.padEnd(labelColumns))} ${shown}\n`;
    })
    .join("");
}

const indent = " ".repeat(labelColumns + 1);

/** One line about a session, for commands that changed it. */
export function sessionLine({ message, state }: Session): string {
  return `${safe(message.sessionId)}: ${state ?? "unknown"}, ${message.headRevision} events`;
}
