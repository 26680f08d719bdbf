import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { needs } from "../../support/needs.ts";
import { mainFile, type Sessiond } from "./sessiond.ts";

export const hasTmux = needs("tmux", () => spawnSync("tmux", ["-V"]).status === 0);

/** A shell in a real pseudo-terminal, and what its screen shows. */
export interface Terminal extends Disposable {
  /** Types the text and Enter. */
  type(line: string): void;
  /** Types the text alone. */
  write(text: string): void;
  press(key: string): void;
  /** The screen with what scrolled off it; with escape sequences for colours if asked for. */
  screen(options?: { colours: boolean }): string;
  /** Resolves when the screen matches. The test's own timeout ends the wait. */
  shows(pattern: RegExp): Promise<RegExpExecArray>;
}

/** Opens a terminal in which `sessiond` is the command of this repository and knows the server. */
export function openTerminal(sessiond: Sessiond, shell: readonly string[]): Terminal {
  const socket = join(mkdtempSync(join(sessiond.folder, "terminal-")), "socket");
  const tmux = (...args: readonly string[]) =>
    execFileSync("tmux", ["-S", socket, ...args], { encoding: "utf8" });
  const variables = ["PS1=$ ", `SESSIOND_ADDRESS=${sessiond.server.address}`];
  variables.push(`PATH=${commandFolder(sessiond)}:/usr/bin:/bin`, `HOME=${sessiond.folder}`);
  const command = ["env", "-u", "NO_COLOR", "-u", "FORCE_COLOR", ...variables, ...shell];
  const size = ["-x", "120", "-y", "40"];
  tmux("-f", "/dev/null", "new-session", "-d", ...size, "-c", sessiond.folder, ...command);
  const screen = ({ colours = false } = {}) =>
    tmux("capture-pane", "-p", "-J", "-S", "-2000", ...(colours ? ["-e"] : []));
  return {
    type: (line) => void tmux("send-keys", line, "Enter"),
    write: (text) => void tmux("send-keys", "-l", text),
    press: (key) => void tmux("send-keys", key),
    screen,
    async shows(pattern) {
      for (;;) {
        const match = pattern.exec(screen());
        if (match !== null) return match;
        // tmux has no call that waits for output; each look is a process of its own.
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
    [Symbol.dispose]: () => void tmux("kill-server"),
  };
}

/** A folder for the PATH, with the command in it. */
function commandFolder({ folder }: Sessiond): string {
  const bin = join(folder, "bin");
  mkdirSync(bin, { recursive: true });
  const command = join(bin, "sessiond");
  writeFileSync(command, `#!/bin/sh\nexec "${process.execPath}" "${mainFile}" "$@"\n`);
  chmodSync(command, 0o755);
  return bin;
}
