import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import type { BuiltImage } from "./image-builder.ts";

/** How a process in a container is run. */
export interface RunOptions {
  /** Folders by the place where the process sees them. All others are read-only for it. */
  readonly volumes?: Readonly<Record<string, string>>;
  /** Variables beside the image's. */
  readonly env?: Readonly<Record<string, string>>;
}

/** How a process ended, and what it wrote. */
export interface Ended {
  readonly exitCode: number | null;
  readonly stderr: string;
}

/** A running process of an image. Disposing kills it. */
export interface Container extends AsyncDisposable {
  kill(signal: NodeJS.Signals): Promise<Ended>;
  /** Resolves with what a line on stderr has that matches; rejects when it ends without. */
  until(pattern: RegExp): Promise<string>;
  readonly exited: Promise<Ended>;
}

/**
 * Mounts, in a mount namespace of its own, and then becomes the process; so signals and the exit
 * code are the process's own. `$1` is the root, `$2` the user, `$3` a line for each volume.
 */
const enter = `set -eu
root=$1 user=$2 volumes=$3
shift 3
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
printf '%s' "$volumes" | while read -r inside outside; do
  mount --bind "$outside" "$root$inside"
done
mount -o remount,bind,ro "$root"
exec chroot --userspec "$user" "$root" /usr/bin/env -i "$@"`;

/**
 * Starts the image's process as a container engine would: its user, folder, variables and command,
 * a read-only root, volumes. The network is the machine's.
 */
export function startContainer(image: BuiltImage, options: RunOptions = {}): Container {
  const { Entrypoint, Cmd } = image.config;
  return start(image, [...Entrypoint, ...Cmd], options);
}

/** Runs the image's health check once, and tells how it ended. */
export function checkHealth(image: BuiltImage, options: RunOptions = {}): Promise<Ended> {
  const [kind, ...command] = image.config.Healthcheck.Test;
  if (kind !== "CMD") throw new Error(`the health check is run by ${kind}, not by itself`);
  return start(image, command, options).exited;
}

function start(image: BuiltImage, command: readonly string[], options: RunOptions): Container {
  const { config, files } = image;
  const volumes = Object.entries(options.volumes ?? {}).map(([at, folder]) => `${at} ${folder}\n`);
  const env = Object.entries(options.env ?? {}).map(([name, value]) => `${name}=${value}`);
  const child = spawn(
    "unshare",
    [
      ...["--mount", "--propagation", "private", "sh", "-c", enter, "sh"],
      ...[files, config.User, volumes.join(""), "-C", config.WorkingDir],
      ...[...config.Env, ...env, ...command],
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  let stderr = "";
  const waiting = new Set<() => void>();
  (child.stderr as Readable).setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
    for (const look of waiting) look();
  });
  const exited = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (exitCode) => resolve({ exitCode, stderr }));
  });
  return {
    exited,
    kill: (signal) => kill(child, signal, exited),
    until: async (pattern) => {
      const seen = new Promise<string>((resolve) => {
        const look = () => {
          const found = pattern.exec(stderr)?.[1];
          if (found !== undefined) resolve(found);
        };
        waiting.add(look);
        look();
      });
      const early = exited.then((end) => {
        throw new Error(`it ended early (${end.exitCode}):\n${end.stderr}`);
      });
      const found = await Promise.race([seen, early]);
      early.catch(() => {});
      return found;
    },
    async [Symbol.asyncDispose]() {
      await kill(child, "SIGKILL", exited);
    },
  };
}

function kill(child: ChildProcess, signal: NodeJS.Signals, exited: Promise<Ended>): Promise<Ended> {
  child.kill(signal);
  return exited;
}
