import type { HealthImplementation, ServingStatus } from "grpc-health-check";
import { LateService, type ServiceAdder } from "./late-service.ts";

/**
 * The standard health service, on both ports: "" stands for the whole server, and each service is
 * known by its name. All have the same status, which begins as SERVING.
 */
export class Health {
  /** Answers calls. Its library is loaded at the first one, and knows the status of that moment. */
  readonly service = new LateService({
    calls: {
      "/grpc.health.v1.Health/Check": "unary",
      "/grpc.health.v1.Health/List": "unary",
      "/grpc.health.v1.Health/Watch": "serverStream",
    },
    load: (adder) => this.#load(adder),
  });
  readonly #names: readonly string[];
  #status: ServingStatus = "SERVING";
  #implementation: HealthImplementation | undefined;

  constructor(serviceNames: readonly string[]) {
    this.#names = ["", ...serviceNames];
  }

  /** Tells callers and those who watch. */
  set(status: ServingStatus): void {
    this.#status = status;
    for (const name of this.#names) {
      this.#implementation?.setStatus(name, status);
    }
  }

  async #load(adder: ServiceAdder): Promise<void> {
    const { HealthImplementation } = await import("./health-library.ts");
    this.#implementation = new HealthImplementation(
      Object.fromEntries(this.#names.map((name) => [name, this.#status])),
    );
    this.#implementation.addToServer(adder);
  }
}
