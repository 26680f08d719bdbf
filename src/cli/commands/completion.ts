import type { Session } from "@sessiond/client";
import { Argument, type Command } from "commander";
import { candidatesFor, optionValue } from "../candidates.ts";
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
  const found =
    candidates.kind === "sessions"
      ? await sessionIds(host, words, candidates.are)
      : candidates.kind === "words"
        ? candidates.words
        : [];
  for (const word of found) {
    if (`${before}${word}`.startsWith(typed)) host.stdout.write(`${before}${word}\n`);
  }
}

/** Ids of the newest sessions; none when the server does not answer in time. */
async function sessionIds(
  host: Host,
  words: readonly string[],
  are?: "active" | "ended",
): Promise<readonly string[]> {
  const { SESSIOND_ADDRESS } = host.env;
  try {
    const { Sessiond } = await import("@sessiond/client");
    await using sessiond = new Sessiond({
      address: optionValue(words, "--address") ?? (SESSIOND_ADDRESS || undefined),
      namespace: optionValue(words, "--namespace"),
      timeoutMs: deadlineMs,
      retry: { attempts: 1 },
    });
    const state = are === "active" ? are : undefined;
    const { items } = await sessiond.sessions.list({ state, pageSize: offered });
    const hasEnded = ({ message }: Session) => message.endTime !== undefined;
    const found = are === "ended" ? items.filter(hasEnded) : items;
    return found.map(({ sessionId }) => sessionId);
  } catch {
    return [];
  }
}
