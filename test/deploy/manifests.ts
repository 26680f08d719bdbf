import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Deployment } from "kubernetes-models/apps/v1/Deployment";
import { StatefulSet } from "kubernetes-models/apps/v1/StatefulSet";
import type { IContainer } from "kubernetes-models/v1/Container";
import type { IPodSpec } from "kubernetes-models/v1/PodSpec";
import { Service } from "kubernetes-models/v1/Service";
import { parseAllDocuments } from "yaml";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = join(root, "deploy/kubernetes");

/** A document of a manifest, as the typed model of its kind. */
export type Resource = Deployment | StatefulSet | Service;

/** A workload of a manifest, with what the tests look at. */
export interface Workload {
  readonly file: string;
  /** Of its pods. */
  readonly annotations: Readonly<Record<string, string>>;
  readonly pod: IPodSpec;
  readonly sidecar: IContainer;
  readonly agent: IContainer;
  /** Bytes of the volume that has the data. */
  readonly dataBytes: number;
}

/** Names of the manifests. */
export const files = readdirSync(folder).filter((name) => name.endsWith(".yaml"));

/** The documents of a manifest. They are not validated yet. */
export function resourcesOf(file: string): Resource[] {
  const text = readFileSync(join(folder, file), "utf8");
  return parseAllDocuments(text).map((document) => {
    const content: unknown = document.toJS();
    return toResource(content as { readonly kind: string });
  });
}

/** As a model; its constructor takes any fields, and `validate` tells. */
export function toResource(content: { readonly kind: string }): Resource {
  switch (content.kind) {
    case "Deployment":
      return new Deployment(content as ConstructorParameters<typeof Deployment>[0]);
    case "StatefulSet":
      return new StatefulSet(content as ConstructorParameters<typeof StatefulSet>[0]);
    case "Service":
      return new Service(content as ConstructorParameters<typeof Service>[0]);
    default:
      throw new Error(`no model for ${content.kind}`);
  }
}

/** The workload of a manifest that has one. */
export function workloadOf(file: string): Workload {
  const found = resourcesOf(file).find((resource) => !(resource instanceof Service));
  const pod = found?.spec?.template.spec;
  if (found === undefined || pod === undefined) throw new Error(`${file} has no pod`);
  const annotations = found.spec?.template.metadata?.annotations ?? {};
  const [sidecar] = pod.initContainers ?? [];
  const [agent] = pod.containers;
  if (sidecar === undefined || agent === undefined) throw new Error(`${file} has no containers`);
  const claims = found instanceof StatefulSet ? (found.spec?.volumeClaimTemplates ?? []) : [];
  const claim = claims.find(({ metadata }) => metadata?.name === "data");
  const volume = pod.volumes?.find(({ name }) => name === "data");
  const { storage } = claim?.spec?.resources?.requests ?? {};
  const size = storage ?? volume?.emptyDir?.sizeLimit;
  return { file, annotations, pod, sidecar, agent, dataBytes: bytesOf(String(size)) };
}

/** Values of `ENV` and `USER` in the Dockerfile. */
export function imageDefaults(): { env: Readonly<Record<string, string>>; user: string } {
  const dockerfile = readFileSync(join(root, "Dockerfile"), "utf8");
  const pairs = [...dockerfile.matchAll(/^(?:ENV | {4})(\w+)=(\S+)/gm)];
  const [, user = ""] = /^USER (\S+)$/m.exec(dockerfile) ?? [];
  return { env: Object.fromEntries(pairs.map(([, name, value]) => [name, value])), user };
}

function bytesOf(quantity: string): number {
  const [, count, unit = ""] = /^(\d+)([KMG]i)$/.exec(quantity) ?? [];
  return Number(count) * 1024 ** (["Ki", "Mi", "Gi"].indexOf(unit) + 1);
}
