import { toJson } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Session, StateWord } from "@sessiond/client";
import { SessionSchema } from "@sessiond/contract";
import { type Command, Option } from "commander";
import type { CommandLine } from "../command-line.ts";
import type { Output } from "../host.ts";
import { count, keyValue } from "../options.ts";
import { jsonWriter, outputFormat, outputOption } from "../output-format.ts";
import { addServerOptions, type Server, type ServerFlags, withServer } from "../server.ts";
import { paintFor, stateColours } from "../text/colours.ts";
import { safe } from "../text/safe.ts";
import { writeTable } from "../text/table.ts";
import { age } from "../text/times.ts";
import { cut } from "../text/width.ts";

interface Flags extends ServerFlags {
  readonly state?: StateWord;
  readonly agent?: string;
  readonly user?: string;
  readonly parent?: string;
  readonly label?: Readonly<Record<string, string>>;
  readonly filter?: string;
  readonly limit?: number;
  readonly output?: string;
}

/** Rows of a table unless `--limit` says otherwise: a table is made whole, and read by people. */
const tableRows = 100;
const pageSize = 500;

const help = `
Examples:
  sessiond sessions                                  the newest ${tableRows} as a table
  sessiond sessions --state active --agent travel
  sessiond sessions --parent trip-7                  its children, without theirs
  sessiond sessions --label team=support --label tier=gold
  sessiond sessions --filter 'session.error_rate > 0.5 && session.requests >= 10'
  sessiond sessions -o jsonl | jq -r .sessionId      all of them, newest first`;

export function addSessions(program: Command, line: CommandLine): void {
  const command = program
    .command("sessions")
    .description("list sessions, newest first")
    .addOption(new Option("--state <state>", "in this state").choices(Object.keys(stateColours)))
    .option("--agent <id>", "of this agent")
    .option("--user <id>", "of this user")
    .option("--parent <id>", "children of this session")
    .option("--label <key=value>", "with this label; may be repeated", keyValue)
    .option("--filter <expression>", "for which this is true, in CEL over session")
    .option(
      "--limit <number>",
      `at most so many (default ${tableRows} in a table, else all)`,
      count,
    )
    .addOption(outputOption("table"))
    .addHelpText("after", help);
  addServerOptions(command);
  command.action((flags: Flags) => withServer(line, flags, (server) => sessions(server, flags)));
}

async function sessions({ host, sessiond, interruption }: Server, flags: Flags) {
  const format = outputFormat(flags.output, "table", host.stdout);
  const limit = flags.limit ?? (format === "table" ? tableRows : Number.POSITIVE_INFINITY);
  const list = sessiond.sessions.list({
    state: flags.state,
    agentId: flags.agent,
    userId: flags.user,
    parent: flags.parent,
    labels: flags.label,
    filter: flags.filter,
    pageSize: Math.max(1, Math.min(pageSize, limit + 1)),
    signal: interruption.signal,
  });
  const shown = format === "table" ? tableOf(host.stdout) : jsonOf(host.stdout, format);
  let number = 0;
  let isCut = false;
  for await (const session of list) {
    isCut = number >= limit;
    if (isCut || interruption.signal.aborted) break;
    number += 1;
    await shown.add(session);
  }
  await shown.end();
  if (format === "table" && number === 0) host.stderr.write("no sessions\n");
  if (format === "table" && isCut) {
    host.stderr.write(`the newest ${number}; there are more, see --limit\n`);
  }
  return interruption.exitCode();
}

function jsonOf(output: Server["host"]["stdout"], format: "json" | "jsonl") {
  const writer = jsonWriter(output, format);
  return {
    add: (session: Session) => writer.write(toJson(SessionSchema, session.message)),
    end: async () => writer.end(),
  };
}

function tableOf(output: Output) {
  const rows: string[][] = [];
  const now = new Date();
  const paint = paintFor(output);
  const head = ["SESSION", "STATE", "EVENTS", "TOKENS", "ACTIVE", "AGENT", "USER", "TITLE"];
  return {
    add: async ({ message, state, createTime }: Session) => {
      const { lastActivityTime, metrics } = message;
      const active = lastActivityTime === undefined ? createTime : timestampDate(lastActivityTime);
      rows.push([
        paint("cyan", cut(safe(message.sessionId), 40)),
        state === undefined ? "unknown" : paint(stateColours[state], state),
        String(message.headRevision),
        String(metrics?.tokens?.total ?? 0),
        age(active, now),
        cut(safe(message.agentId), 20),
        cut(safe(message.userId), 20),
        cut(safe(message.title), 40),
      ]);
    },
    end: async () => {
      if (rows.length > 0) await writeTable(output, { head, rows });
    },
  };
}
