import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

/** Folder of the repository, where the commands are run. */
export const root = fileURLToPath(new URL("../..", import.meta.url));

/**
 * The commands of a section of `sdk/examples/README.md`, as they stand there: they make the stubs and
 * run the program. Only the folder in /tmp is another, so that runs do not meet.
 */
export async function commandsOf(section: string, folder: string): Promise<string> {
  const readme = await readFile(`${root}/sdk/examples/README.md`, "utf8");
  const text = readme.split(/^## /m).find((each) => each.startsWith(`${section}\n`));
  const [, commands] = /^```sh\n(.*?)^```$/ms.exec(text ?? "") ?? [];
  if (commands === undefined) throw new Error(`the README has no commands for ${section}`);
  return commands.replaceAll("/tmp/", `${folder}/`);
}
