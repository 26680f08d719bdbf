import { toJson } from "@bufbuild/protobuf";
import type { DialectWord } from "@sessiond/client";
import {
  GetContextWindowResponseSchema,
  GroupExplanationSchema,
  WindowItemSchema,
} from "@sessiond/contract";
import { type Command, Option } from "commander";
import { CommandError } from "../command-error.ts";
import type { CommandLine } from "../command-line.ts";
import { exitCodes } from "../exit-codes.ts";
import type { DataOutput, Output } from "../host.ts";
import { collect, count } from "../options.ts";
import { jsonWriter, writeJson } from "../output-format.ts";
import { addServerOptions, type Server, type ServerFlags, withServer } from "../server.ts";
import { type ShownWindow, writeWindow } from "../window/write-window.ts";

type Format = "text" | "json" | "jsonl" | "request";

interface Flags extends ServerFlags {
  readonly budget?: number;
  readonly reservedOutput?: number;
  readonly model?: string;
  readonly encoding?: string;
  readonly query?: string;
  readonly retrieve?: true;
  readonly author?: readonly string[];
  readonly agent?: string;
  readonly dialect?: DialectWord;
  readonly explain?: true;
  readonly output?: Format;
}

/** A record over all words, so that none is forgotten. */
const dialects = Object.keys({
  "openai-chat": true,
  "openai-responses": true,
  anthropic: true,
  gemini: true,
} satisfies Record<DialectWord, true>);

const help = `
Shows what a model would see of the session now. Reading a window changes nothing.

-o text     what the tokens go to, and the items; with --explain what became of every group
-o jsonl    an item a line; with --explain a group a line
-o json     the whole answer
-o request  the part of the provider's request alone; needs --dialect

Examples:
  sessiond window user-42
  sessiond window user-42 --budget 2000 --query "the hotel in Kyoto"
  sessiond window user-42 --budget 2000 --explain
  sessiond window user-42 --dialect openai-chat | jq     what an agent sends`;

export function addWindow(program: Command, line: CommandLine): void {
  const command = program
    .command("window")
    .description("show the context window of a session")
    .argument("<session>", "id of the session")
    .option("--budget <tokens>", "tokens it may have (default: the session's policy)", count)
    .option("--reserved-output <tokens>", "of these, kept free for the model's answer", count)
    .option("--model <name>", "model it is for; chooses the encoding")
    .option("--encoding <name>", "encoding to count in, for example o200k_base")
    .option("--query <words>", "choose older events by these words")
    .option("--retrieve", "choose older events by the newest user message")
    .option("--author <name>", "only events of this author; may be repeated", collect)
    .option("--agent <name>", "agent it is for; what others said is labelled")
    .addOption(
      new Option("--dialect <dialect>", "count and render it for this provider").choices(dialects),
    )
    .option("--explain", "say for every group what became of it and why")
    .addOption(
      new Option(
        "-o, --output <format>",
        "what to print (default text on a terminal, request elsewhere with --dialect, else jsonl)",
      ).choices(["text", "json", "jsonl", "request"] satisfies Format[]),
    )
    .addHelpText("after", help);
  addServerOptions(command);
  command.action((id: string, flags: Flags) => {
    const format = formatOf(flags, line.host.stdout);
    return withServer(line, flags, (server) => window(server, { id, flags, format }));
  });
}

/** Errors: CommandError for a request part of no provider. */
function formatOf({ output, dialect, explain }: Flags, stdout: Output): Format {
  if (output === "request" && dialect === undefined) {
    throw new CommandError(
      exitCodes.cannotStart,
      `-o request needs --dialect, one of ${dialects.join(", ")}`,
    );
  }
  if (output !== undefined) return output;
  if (stdout.isTerminal) return "text";
  return dialect === undefined || explain ? "jsonl" : "request";
}

async function window(
  { host, sessiond, interruption }: Server,
  { id, flags, format }: { id: string; flags: Flags; format: Format },
) {
  const { signal } = interruption;
  const session = await sessiond.sessions.get(id, { signal });
  const shown = await session.contextWindow({
    budget: flags.budget,
    reservedOutput: flags.reservedOutput,
    model: flags.model,
    encoding: flags.encoding,
    query: flags.query,
    retrieve: flags.retrieve,
    authors: flags.author,
    agent: flags.agent,
    explain: flags.explain,
    ...(flags.dialect === undefined ? {} : { dialect: flags.dialect }),
    signal,
  });
  const { stdout, stderr } = host;
  switch (format) {
    case "text":
      await writeWindow(host, shown, { id, explain: flags.explain === true });
      break;
    case "json":
      writeJson(stdout, format, toJson(GetContextWindowResponseSchema, shown.message));
      break;
    case "jsonl":
      await writeLines(stdout, shown, flags.explain === true);
      break;
    case "request":
      stdout.write(`${JSON.stringify(shown.rendered)}\n`);
      break;
  }
  if (shown.indexPartial) {
    stderr.write("the index for the query is not complete yet; run the command again\n");
  }
  return undefined;
}

async function writeLines(stdout: DataOutput, { message }: ShownWindow, explain: boolean) {
  const values = explain
    ? message.groups.map((group) => toJson(GroupExplanationSchema, group))
    : message.items.map((item) => toJson(WindowItemSchema, item));
  const writer = jsonWriter(stdout, "jsonl");
  for (const value of values) await writer.write(value);
  writer.end();
}
