import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { watchSilence } from "../../completions/silence.ts";
import type { Host } from "../host.ts";
import { type Answerer, AnswerFailure, type View } from "./answerer.ts";

/** How long a program that is to end may take before it is killed. */
const graceMs = 2_000;
/** How long what a program has left behind may hold its output open. */
const leftBehindMs = 500;

interface ProgramOptions extends View {
  /** As a shell reads it. */
  readonly command: string;
  /** Longest time without output. */
  readonly silentMs: number;
  /** Variables for the program beside those of this process. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Answers with a program, which is started for every message: the context window in the form of
 * OpenAI chat, a JSON array of messages, is its stdin, and what it writes to stdout is the answer.
 * Its stderr passes through.
 *
 * SESSIOND_SESSION_ID in its environment is the session, to which it may append what else it did.
 */
export function programAnswerer(host: Host, options: ProgramOptions): Answerer {
  const { command, silentMs, env, ...view } = options;
  return {
    name: command,
    async *answer(session, signal) {
      const agent = session.message.agentId;
      const messages = await session.messages("openai-chat", { ...view, agent, signal });
      const child = spawn(command, {
        shell: true,
        // A group of its own, so that what the shell starts ends with it.
        detached: true,
        cwd: host.cwd,
        env: { ...host.env, ...env, SESSIOND_SESSION_ID: session.sessionId },
        stdio: ["pipe", "pipe", "pipe"],
      });
      using silence = watchSilence(silentMs);
      const over = AbortSignal.any([signal, silence.signal]);
      const ended = once(child, "close") as Promise<[number | null, NodeJS.Signals | null]>;
      ended.catch(() => {});
      const end = () => endGroup(child);
      over.addEventListener("abort", end, { once: true });
      let leftBehind: NodeJS.Timeout | undefined;
      child.once("exit", () => {
        leftBehind = setTimeout(end, leftBehindMs);
      });
      if (over.aborted) end();
      // A program need not read what it is given.
      child.stdin.on("error", () => {});
      child.stdin.end(`${JSON.stringify(messages)}\n`);
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        silence.heard();
        host.stderr.write(text);
      });
      try {
        yield* written(child.stdout.setEncoding("utf8"), silence.heard);
        const [code, killed] = await ended;
        signal.throwIfAborted();
        if (silence.signal.aborted) {
          throw new AnswerFailure(`the program said nothing for ${silentMs / 1_000} s`, {
            code: "silent",
            retryable: true,
          });
        }
        if (code !== 0) throw endedWith(code, killed);
      } catch (error) {
        if (signal.aborted || error instanceof AnswerFailure) throw error;
        const reason = error instanceof Error ? error.message : String(error);
        throw new AnswerFailure(`the program cannot be run: ${reason}`, {
          code: "program",
          cause: error,
        });
      } finally {
        over.removeEventListener("abort", end);
        clearTimeout(leftBehind);
        end();
      }
    },
  };
}

/** What the program writes, without the line feeds at its end, as shells read it. */
async function* written(stdout: AsyncIterable<string>, heard: () => void) {
  let held = "";
  for await (const chunk of stdout) {
    heard();
    const text = held + chunk;
    const shown = text.replace(/[\r\n]+$/, "");
    held = text.slice(shown.length);
    if (shown !== "") yield { text: shown };
  }
}

function endedWith(code: number | null, signal: NodeJS.Signals | null): AnswerFailure {
  if (code === null) {
    return new AnswerFailure(`the program was ended by ${signal}`, { code: `signal_${signal}` });
  }
  const hint = code === 127 ? ", as shells do for a command they do not find" : "";
  return new AnswerFailure(`the program ended with exit code ${code}${hint}`, {
    code: `exit_${code}`,
  });
}

/**
 * Ends the program with all it started, first politely. That may outlive the program, and hold its
 * output open. Does nothing when the output is closed as well: the group's number may be another's by then.
 */
function endGroup(child: ChildProcess): void {
  const { pid, stdout, stderr } = child;
  const hasExited = child.exitCode !== null || child.signalCode !== null;
  if (pid === undefined || (hasExited && stdout?.closed && stderr?.closed)) return;
  const send = (signal: NodeJS.Signals) => {
    try {
      process.kill(-pid, signal);
    } catch {
      // All of it has ended.
    }
  };
  send("SIGTERM");
  const timer = setTimeout(() => send("SIGKILL"), graceMs);
  child.once("close", () => clearTimeout(timer));
}
