import { execFile, spawnSync } from "node:child_process";
import { mkdtemp, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const execute = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const makeBase = fileURLToPath(new URL("make-base.sh", import.meta.url));

/** What an image says about the way it is run, in Docker's words. */
export interface ImageConfig {
  readonly User: string;
  readonly Env: readonly string[];
  readonly Entrypoint: readonly string[];
  readonly Cmd: readonly string[];
  readonly WorkingDir: string;
  readonly StopSignal: string;
  readonly ExposedPorts: Readonly<Record<string, unknown>>;
  readonly Volumes: Readonly<Record<string, unknown>>;
  readonly Labels: Readonly<Record<string, string>>;
  readonly Healthcheck: { readonly Test: readonly string[] };
}

/** The image of the Dockerfile. Disposing removes it and all that it was made of. */
export interface BuiltImage extends AsyncDisposable {
  readonly config: ImageConfig;
  /** Folder where its file system is. */
  readonly files: string;
}

/** Whether `buildImage` and `startContainer` can work here. */
export function canBuildImages(): boolean {
  if (process.getuid?.() !== 0) return false;
  const commands = "command -v buildah && command -v debootstrap && command -v unshare";
  return spawnSync("sh", ["-c", commands]).status === 0;
}

/** Makes a base from Debian's packages, and builds the Dockerfile on it with buildah. */
export async function buildImage(): Promise<BuiltImage> {
  const folder = await mkdtemp(join(tmpdir(), "sessiond-image-"));
  const storage = join(folder, "storage.conf");
  const quoted = (name: string) => JSON.stringify(join(folder, name));
  await writeFile(
    storage,
    `[storage]\ndriver = "vfs"\ngraphroot = ${quoted("graph")}\nrunroot = ${quoted("run")}\n`,
  );
  const run = async (command: string, ...args: readonly string[]) => {
    const { stdout } = await execute(command, args, {
      cwd: root,
      env: { ...process.env, CONTAINERS_STORAGE_CONF: storage },
      maxBuffer: 64 * 1024 * 1024,
    });
    return stdout.trim();
  };
  try {
    await run(makeBase, process.execPath, await npmFolder(), "localhost/node-base");
    const npmrc = join(folder, "npmrc");
    await writeFile(npmrc, await npmSettings(), { mode: 0o600 });
    await run(
      ...(["buildah", "build", "--isolation", "chroot"] as const),
      // HEALTHCHECK is not in the OCI format.
      ...["--format", "docker", "--build-arg", "BASE=localhost/node-base"],
      ...["--secret", `id=npmrc,src=${npmrc}`, "--tag", "localhost/sessiond", "."],
    );
    const description = await run("buildah", "inspect", "--type", "image", "localhost/sessiond");
    const container = await run("buildah", "from", "localhost/sessiond");
    return {
      config: JSON.parse(description).Docker.config,
      files: await run("buildah", "mount", container),
      async [Symbol.asyncDispose]() {
        await run("buildah", "umount", container);
        await rm(folder, { recursive: true });
      },
    };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** Folder of the npm that is in use. */
async function npmFolder(): Promise<string> {
  const { stdout } = await execute("sh", ["-c", "command -v npm"]);
  return dirname(dirname(await realpath(stdout.trim())));
}

/** What npm needs to reach this machine's registry from inside of the build. */
async function npmSettings(): Promise<string> {
  const get = async (key: string) =>
    (await execute("npm", ["config", "get", key], { cwd: tmpdir() })).stdout.trim();
  const own = await readFile(await get("userconfig"), "utf8").catch(() => "");
  const { NODE_EXTRA_CA_CERTS } = process.env;
  const extra = NODE_EXTRA_CA_CERTS ? await readFile(NODE_EXTRA_CA_CERTS, "utf8") : "";
  const certificates = extra.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  return [
    own,
    `registry=${await get("registry")}`,
    ...(certificates ?? []).map((certificate) => `ca[]=${JSON.stringify(certificate)}`),
    "",
  ].join("\n");
}
