import { cp, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Plugin } from "esbuild";
import { root } from "./tools.ts";

/** Libraries that read `.proto` files when they start, and the folder of their package with them. */
const folders: Readonly<Record<string, string>> = {
  "grpc-health-check": "proto",
  "@grpc/reflection": "build/proto",
};

/**
 * Lets libraries inside a bundle find their `.proto` files: they are copied beside it, into one
 * folder a library, and `__dirname` in the library names the place where it would have stood.
 */
export function protoFiles(dist: string): Plugin {
  return {
    name: "proto-files",
    setup(build) {
      build.onLoad({ filter: /\/node_modules\/.*\.js$/ }, async ({ path }) => {
        const name = Object.keys(folders).find((reader) =>
          path.includes(`/node_modules/${reader}/`),
        );
        if (name === undefined) return undefined;
        const [, inside = ""] = path.split(`/node_modules/${name}/`);
        const folder = JSON.stringify(`/${join(name, inside, "..")}`);
        const contents = await readFile(path, "utf8");
        return { contents: contents.replaceAll("__dirname", `(__dirname + ${folder})`) };
      });
      build.onEnd(async () => {
        for (const [name, folder] of Object.entries(folders)) {
          const from = join(root, "node_modules", name, folder);
          await cp(from, join(dist, name, folder), { recursive: true });
        }
      });
    },
  };
}
