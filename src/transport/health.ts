import type { Server } from "@grpc/grpc-js";
import { HealthImplementation, type ServingStatus } from "grpc-health-check";

/**
 * The standard health service, on both ports: "" stands for the whole server, and each service is
 * known by its name. All have the same status.
 */
export class Health {
  readonly #names: readonly string[];
  readonly #health: HealthImplementation;

  /** Begins as SERVING. */
  constructor(serviceNames: readonly string[]) {
    this.#names = ["", ...serviceNames];
    this.#health = new HealthImplementation(
      Object.fromEntries(this.#names.map((name) => [name, "SERVING" as const])),
    );
  }

  addTo(server: Server): void {
    this.#health.addToServer(server);
  }

  /** Tells callers and those who watch. */
  set(status: ServingStatus): void {
    for (const name of this.#names) {
      this.#health.setStatus(name, status);
    }
  }
}
