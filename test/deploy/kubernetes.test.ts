import { describe, expect, it } from "vitest";
import { settings } from "../../src/config-settings.ts";
import { limits } from "../../src/limits.ts";
import { files, imageDefaults, resourcesOf, toResource, workloadOf } from "./manifests.ts";
import { typeErrors } from "./typed.ts";

const settingsByEnv = new Map(Object.values(settings).map((setting) => [setting.env, setting]));
const image = imageDefaults();

describe.each(files)("the manifest %s", (file) => {
  const { annotations, pod, sidecar, agent, dataBytes } = workloadOf(file);
  const env = new Map(sidecar.env?.map(({ name, value }) => [name, value]));
  const mountOf = (container: typeof sidecar, volume: string) =>
    container.volumeMounts?.find(({ name }) => name === volume)?.mountPath;

  it("is what Kubernetes takes: each field exists and has a value of its kind", async () => {
    const resources = resourcesOf(file);
    for (const resource of resources) expect(() => resource.validate()).not.toThrow();
    expect(await typeErrors(resources)).toBe("");
  });

  it("runs sessiond as a native sidecar: it starts before the agent and stops after it", () => {
    expect(sidecar).toMatchObject({ name: "sessiond", restartPolicy: "Always" });
    expect(agent.name).toBe("agent");
  });

  it("sets only what sessiond knows, to values it takes", () => {
    for (const [name, value] of env) {
      expect([...settingsByEnv.keys()]).toContain(name);
      expect(settingsByEnv.get(name)?.schema.safeParse(value).error, name).toBeUndefined();
    }
  });

  it("probes health by gRPC on the port that the image opens to the outside", () => {
    const { SESSIOND_PROBE_LISTEN } = image.env;
    const [host, port] = SESSIOND_PROBE_LISTEN?.split(":") ?? [];
    expect(host).toBe("0.0.0.0");
    const { startupProbe, livenessProbe, readinessProbe } = sidecar;
    for (const probe of [startupProbe, livenessProbe, readinessProbe]) {
      expect(probe?.grpc).toEqual({ port: Number(port) });
    }
    expect(sidecar.ports?.map(({ containerPort }) => containerPort)).toEqual([Number(port)]);
  });

  it("tells Prometheus where the metrics are", () => {
    const port = sidecar.ports?.[0]?.containerPort;
    expect(annotations).toMatchObject({
      "prometheus.io/scrape": "true",
      "prometheus.io/port": String(port),
    });
  });

  it("keeps the data on a volume at the image's data folder", () => {
    const { SESSIOND_DATA } = image.env;
    expect(SESSIOND_DATA).toBeDefined();
    expect(mountOf(sidecar, "data")).toBe(SESSIOND_DATA);
    expect(mountOf(agent, "data")).toBeUndefined();
  });

  it("bounds the data below the size of its volume", () => {
    const mapBytes = settings.maxMapSize.schema.parse(env.get("SESSIOND_MAX_MAP_SIZE"));
    expect(mapBytes).toBeLessThan(dataBytes);
  });

  it("shares the socket's folder, and nothing else, with the agent", () => {
    const socket = env.get("SESSIOND_UNIX") ?? "";
    const place = mountOf(sidecar, "socket") ?? "";
    expect(socket).toMatch(new RegExp(`^${place}/[^/]+$`));
    expect(mountOf(agent, "socket")).toBe(place);
    expect(agent.volumeMounts).toHaveLength(1);
    expect(agent.env).toContainEqual({ name: "SESSIOND_SOCKET", value: socket });
  });

  it("runs both containers as the image's user, whom the socket belongs to", () => {
    const { runAsUser, runAsGroup, fsGroup, runAsNonRoot, seccompProfile } =
      pod.securityContext ?? {};
    expect(`${runAsUser}:${runAsGroup}`).toBe(image.user);
    expect(fsGroup).toBe(runAsGroup);
    expect(runAsNonRoot).toBe(true);
    expect(seccompProfile).toEqual({ type: "RuntimeDefault" });
  });

  it.each([sidecar, agent])(
    "gives $name no more than it needs",
    ({ securityContext, resources }) => {
      expect(securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      });
      expect(Object.keys(resources?.limits ?? {}).sort()).toEqual(["cpu", "memory"]);
      expect(Object.keys(resources?.requests ?? {}).sort()).toEqual(["cpu", "memory"]);
    },
  );

  it("leaves time to drain after an agent that takes half a minute to stop", () => {
    const graceMs = (pod.terminationGracePeriodSeconds ?? 0) * 1000;
    expect(graceMs).toBeGreaterThanOrEqual(30_000 + limits.drainMs);
  });
});

it("a field that does not exist, and a value of another kind, are noticed", async () => {
  const [file = ""] = files;
  const text = JSON.stringify(resourcesOf(file).at(-1));
  const misspelt = JSON.parse(text.replace('"livenessProbe"', '"aliveProbe"'));
  expect(await typeErrors([misspelt])).toContain("aliveProbe");
  const mistyped = JSON.parse(text.replace('"replicas":1', '"replicas":"one"'));
  expect(() => toResource(mistyped).validate()).toThrow("replicas");
});

it("both variants run the same pod but for the data", () => {
  const comparable = files.map((file) => {
    const { pod, sidecar } = workloadOf(file);
    const volumes = pod.volumes?.filter(({ name }) => name !== "data");
    const env = sidecar.env?.filter(({ name }) => name !== "SESSIOND_MAX_MAP_SIZE");
    return { ...pod, volumes, initContainers: [{ ...sidecar, env }] };
  });
  expect(comparable).toHaveLength(2);
  expect(comparable[1]).toEqual(comparable[0]);
});
