import { toJson } from "@bufbuild/protobuf";
import { durationMs, timestampDate } from "@bufbuild/protobuf/wkt";
import type { Session } from "@sessiond/client";
import { SessionSchema, type ToolMetrics } from "@sessiond/contract";
import type { Command } from "commander";
import { CommandError } from "../command-error.ts";
import type { CommandLine } from "../command-line.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Output } from "../host.ts";
import { outputFormat, outputOption, writeJson } from "../output-format.ts";
import { addServerOptions, type Server, type ServerFlags, withServer } from "../server.ts";
import { defaultMaxPauseMs, maxPause, replay, speed } from "../show/replay.ts";
import { steps } from "../show/steps.ts";
import { tree } from "../show/tree.ts";
import { paintFor, stateColours } from "../text/colours.ts";
import { safeLines } from "../text/safe.ts";
import { durationText } from "../text/times.ts";

interface Flags extends ServerFlags {
  readonly steps?: true;
  readonly tree?: true;
  readonly replay?: true;
  readonly speed?: number;
  readonly maxPause?: number;
  readonly output?: string;
}

const help = `
Examples:
  sessiond show user-42
  sessiond show user-42 -o json | jq .metrics
  sessiond show user-42 --tree               what it came from, its children and forks
  sessiond show run-7 --steps                what an agent did, step by step
  sessiond show run-7 --replay --speed 4     the same as it happened, four times as fast`;

const labelColumns = 14;

export function addShow(program: Command, line: CommandLine): void {
  const command = program
    .command("show")
    .description("show one session")
    .argument("<session>", "id of the session")
    .option("--steps", "its steps as a table; with --replay only the events of its run")
    .option("--tree", "what it is a child or fork of, and its children and forks and theirs")
    .option("--replay", "its events, at the pace at which they were recorded")
    .option("--speed <factor>", "replay so many times as fast, or max: without pauses", speed)
    .option(
      "--max-pause <time>",
      `replay: wait no longer than 500ms, 30s, 2h before an event, or none: as long as it was (default ${durationText(defaultMaxPauseMs)}; text says how long it was)`,
      maxPause,
    )
    .addOption(outputOption("text"))
    .addHelpText("after", help);
  addServerOptions(command);
  command.action((id: string, flags: Flags) => {
    for (const [name, value] of [
      ["--speed", flags.speed],
      ["--max-pause", flags.maxPause],
    ]) {
      if (value === undefined || flags.replay) continue;
      throw new CommandError(exitCodes.cannotStart, `${name} needs --replay`);
    }
    if (flags.tree && (flags.steps || flags.replay)) {
      throw new CommandError(exitCodes.cannotStart, "--tree goes without --steps and --replay");
    }
    return withServer(line, flags, (server) => {
      if (flags.tree) return tree(server, id, flags);
      if (flags.replay) return replay(server, id, flags);
      return flags.steps ? steps(server, id, flags) : show(server, id, flags);
    });
  });
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
    parent: parentText(session),
    fingerprint: message.fingerprint,
    created: time(message.createTime),
    "last activity": time(message.lastActivityTime),
    expires: time(message.expireTime),
    "end time": time(message.endTime),
    duration: metrics?.duration ? durationText(durationMs(metrics.duration)) : "",
    events: String(message.headRevision),
    messages: String(metrics?.messages ?? 0),
    turns: String(metrics?.turns ?? 0),
    "tool calls": String(metrics?.toolCalls ?? 0),
    tools: (metrics?.tools ?? []).map(toolText).join("; "),
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

/** `search 3, 1 failed, 2.5 s each`. */
function toolText({ name, calls, errors, averageDuration }: ToolMetrics): string {
  const facts = [
    `${name || "others"} ${calls}`,
    errors > 0 && `${errors} failed`,
    averageDuration && `${durationText(durationMs(averageDuration))} each`,
  ];
  return facts.filter(Boolean).join(", ");
}

function parentText({ parent }: Session): string {
  if (parent === undefined) return "";
  const { kind, sessionId, revision } = parent;
  return kind === "fork" ? `${sessionId} at ${revision}` : `${sessionId}, whose child it is`;
}

const indent = " ".repeat(labelColumns + 1);
