import { buildClient } from "./client.ts";
import { publishManifest, restoreManifest } from "./manifest.ts";
import { buildServer } from "./server.ts";

/** What the scripts of the packages ask for by name. */
const steps: Readonly<Record<string, () => Promise<void>>> = {
  server: buildServer,
  client: buildClient,
  "publish-manifest": publishManifest,
  "restore-manifest": restoreManifest,
};

for (const name of process.argv.slice(2)) {
  const step = steps[name];
  if (step === undefined) {
    throw new Error(`no step "${name}"; give some of ${Object.keys(steps).join(", ")}`);
  }
  await step();
}
