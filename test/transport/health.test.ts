import { type Client, credentials, loadPackageDefinition } from "@grpc/grpc-js";
import { service } from "grpc-health-check";
import { expect, it } from "vitest";
import { APPEND_PATH, createToy, openToy, post, Wire } from "./toy.ts";

interface Answer {
  readonly status: string;
}
interface HealthClient extends Client {
  check(request: { service: string }, done: (error: Error | null, answer?: Answer) => void): void;
  watch(request: { service: string }): AsyncIterable<Answer> & { cancel(): void };
}

function healthClient(port: number): HealthClient & Disposable {
  const { Health } = loadPackageDefinition({ Health: service });
  const Constructor = Health as unknown as new (...args: unknown[]) => HealthClient;
  const client = new Constructor(`127.0.0.1:${port}`, credentials.createInsecure());
  return Object.assign(client, { [Symbol.dispose]: () => client.close() });
}

function check(client: HealthClient, name: string): Promise<Answer | undefined> {
  return new Promise((resolve, reject) => {
    client.check({ service: name }, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
}

it.each(["", "sessiond.v1.EventService", "sessiond.v1.ServerService"])(
  'service "%s" is SERVING on both ports',
  async (name) => {
    await using toy = await openToy(createToy(), { probeListen: { host: "127.0.0.1", port: 0 } });
    for (const port of [toy.port, toy.server.addresses.probeListen?.port ?? 0]) {
      using client = healthClient(port);
      expect(await check(client, name)).toMatchObject({ status: "SERVING" });
    }
  },
);

it("an unknown service is an error", async () => {
  await using toy = await openToy(createToy());
  using client = healthClient(toy.port);
  await expect(check(client, "sessiond.v1.Nothing")).rejects.toThrow("NOT_FOUND");
});

it("during a shutdown probes see NOT_SERVING until the last call has ended", async () => {
  const toy = createToy();
  await using open = await openToy(toy, { probeListen: { host: "127.0.0.1", port: 0 } });
  const probe = open.server.addresses.probeListen?.port ?? 0;
  using running = new Wire(open.port).send(post(APPEND_PATH, '{"sessionId":"slow"}'));
  await toy.appendBegun;
  using client = healthClient(probe);
  const watch = client.watch({ service: "" })[Symbol.asyncIterator]();
  expect((await watch.next()).value).toMatchObject({ status: "SERVING" });

  const drained = open.server.drain(10_000);
  expect((await watch.next()).value).toMatchObject({ status: "NOT_SERVING" });
  expect(await check(client, "")).toMatchObject({ status: "NOT_SERVING" });
  using http = new Wire(probe).send("GET /healthz HTTP/1.1\r\nhost: pod\r\n\r\n");
  expect(await http.until("shutting down")).toContain("503");
  client.close();
  toy.release();
  await running.until("200 OK");
  await drained;
});
