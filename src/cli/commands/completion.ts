import type { Session, Sessiond } from "@sessiond/client";
import { Argument, type Command } from "commander";
import { type Candidates, candidatesFor, optionValue } from "../candidates.ts";
import type { CommandLine } from "../command-line.ts";
import { completionScripts, type Shell, shells } from "../completion-scripts.ts";
import type { Host } from "../host.ts";

/** A key press is not to wait for a server that does not answer. */
const deadlineMs = 500;
/** Newest sessions that are offered. */
const offered = 1_000;

const help = `
Examples:
  source <(sessiond completion bash)       in ~/.bashrc
  source <(sessiond completion zsh)        in ~/.zshrc, after compinit
  sessiond completion fish | source        in ~/.config/fish/config.fish`;

export function addCompletion(program: Command, { host }: CommandLine): void {
  program
    .command("completion")
    .description("print the script that completes commands, options and session ids")
    .addArgument(new Argument("<shell>", "which shell").choices(shells))
    .addHelpText("after", help)
    .action((shell: Shell) => host.stdout.write(completionScripts[shell]));
  program
    .command("__complete", { hidden: true })
    .argument("[words...]")
    .allowUnknownOption()
    .helpOption(false)
    .action((words: string[]) => complete(program, host, words));
}

async function complete(program: Command, host: Host, words: readonly string[]): Promise<void> {
  const candidates = candidatesFor(program, words);
  const { before = "" } = candidates;
  const typed = words.at(-1) ?? "";
  const found = await wordsOf(host, words, candidates);
  for (const word of found) {
    if (`${before}${word}`.startsWith(typed)) host.stdout.write(`${before}${word}\n`);
  }
}

async function wordsOf(
  host: Host,
  words: readonly string[],
  candidates: Candidates,
): Promise<readonly string[]> {
  switch (candidates.kind) {
    case "words":
      return candidates.words;
    case "sessions":
      return fromServer(host, words, (sessiond) => sessionIds(sessiond, candidates.are));
    case "consumers":
      return fromServer(host, words, async ({ consumers }) => {
        const { items } = await consumers.list({ pageSize: offered });
        return items.map(({ name }) => name);
      });
    case "none":
      return [];
  }
}

/** Ids of the newest sessions. */
async function sessionIds({ sessions }: Sessiond, are?: "active" | "ended") {
  const state = are === "active" ? are : undefined;
  const { items } = await sessions.list({ state, pageSize: offered });
  const hasEnded = ({ message }: Session) => message.endTime !== undefined;
  const found = are === "ended" ? items.filter(hasEnded) : items;
  return found.map(({ sessionId }) => sessionId);
}

/** What the server says; nothing when it does not answer in time. */
async function fromServer(
  host: Host,
  words: readonly string[],
  ask: (sessiond: Sessiond) => Promise<readonly string[]>,
): Promise<readonly string[]> {
  const { SESSIOND_ADDRESS } = host.env;
  try {
    const sdk = await import("@sessiond/client");
    await using sessiond = new sdk.Sessiond({
      address: optionValue(words, "--address") ?? (SESSIOND_ADDRESS || undefined),
      namespace: optionValue(words, "--namespace"),
      timeoutMs: deadlineMs,
      retry: { attempts: 1 },
    });
    return await ask(sessiond);
  } catch {
    return [];
  }
}
