import { createInterface } from "node:readline";
import type { Output, Terminal } from "../host.ts";
import { paintFor } from "../text/colours.ts";
import type { ChatInput } from "./input.ts";
import { QuietOutput } from "./quiet-output.ts";

/** Asks the terminal to mark what is pasted, so that its line feeds do not send it. */
const markPastes = "\u001b[?2004h";
const leavePastes = "\u001b[?2004l";

const prompt = "> ";
const continued = "… ";

/**
 * Reads messages that somebody types, with a history of the chat.
 *
 * What is pasted over several lines becomes one message, sent with Enter. Ctrl+C stops an answer,
 * else clears the line, and leaves the chat when it comes twice; Ctrl+D leaves it. What is typed during an
 * answer is shown, or sent, behind it.
 */
export function terminalInput(
  terminal: Terminal,
  { stderr, signal }: { stderr: Output; signal: AbortSignal },
): ChatInput {
  const screen = new QuietOutput(terminal.output);
  const { input } = terminal;
  const paint = paintFor(stderr);
  const editor = createInterface({ input, output: screen, terminal: true, historySize: 1_000 });
  const sent: string[] = [];
  const wake = { up: () => {} };
  let pasted: string[] = [];
  let isPasting = false;
  let isLeaving = false;
  let isOver = false;
  let work: AbortController | undefined;

  const ask = (text: string) => {
    editor.setPrompt(paint("bold", text));
    editor.prompt(true);
  };
  const leave = () => {
    isOver = true;
    wake.up();
  };
  editor.on("line", (line) => {
    isLeaving = false;
    if (isPasting) {
      pasted.push(line);
      ask(continued);
      return;
    }
    sent.push([...pasted, line].join("\n").trimEnd());
    pasted = [];
    wake.up();
  });
  editor.on("SIGINT", () => {
    if (work !== undefined) {
      work.abort();
      return;
    }
    const isEmpty = editor.line === "" && pasted.length === 0;
    if (isEmpty && isLeaving) {
      screen.write("\n");
      leave();
      return;
    }
    isLeaving = isEmpty;
    pasted = [];
    // To the end of the line, then everything before that.
    editor.write(null, { ctrl: true, name: "e" });
    editor.write(null, { ctrl: true, name: "u" });
    screen.write(isEmpty ? "\nCtrl+C again, or Ctrl+D, leaves\n" : "\n");
    ask(prompt);
  });
  editor.on("close", leave);
  const noteKey = (_: string | undefined, key: { name?: string | undefined }) => {
    if (key.name === "paste-start") isPasting = true;
    if (key.name === "paste-end") isPasting = false;
  };
  input.on("keypress", noteKey);
  signal.addEventListener("abort", leave, { once: true });
  screen.write(markPastes);
  screen.isQuiet = true;

  return {
    async next() {
      screen.isQuiet = false;
      // The editor would draw over as many rows as what was typed ahead has taken, unseen.
      Reflect.set(editor, "prevRows", 0);
      const ahead = sent.shift();
      if (ahead !== undefined) {
        screen.write(`${paint("bold", prompt)}${ahead.replaceAll("\n", `\n${continued}`)}\n`);
        screen.isQuiet = true;
        return ahead;
      }
      if (!isOver) {
        ask(prompt);
        await new Promise<void>((resolve) => {
          wake.up = resolve;
        });
      }
      const message = sent.shift();
      if (message === undefined) screen.write("\r\u001b[K");
      screen.isQuiet = true;
      return message;
    },
    async during(run) {
      work = new AbortController();
      try {
        return await run(AbortSignal.any([work.signal, signal]));
      } finally {
        work = undefined;
      }
    },
    [Symbol.dispose]() {
      screen.isQuiet = false;
      screen.write(leavePastes);
      signal.removeEventListener("abort", leave);
      input.off("keypress", noteKey);
      editor.close();
      screen.destroy();
    },
  };
}
