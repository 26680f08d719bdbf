import type {
  Server,
  ServerInterceptingCall,
  ServerInterceptingCallInterface,
  ServerInterceptor,
  UntypedHandleCall,
} from "@grpc/grpc-js";
import { type Defect, toConnectError } from "./errors.ts";
import { toGrpcStatus } from "./grpc-status.ts";

/** All that a library does with a server. */
export type ServiceAdder = Pick<Server, "addService">;

/** How grpc-js names the kinds of calls. */
export type GrpcKind = "unary" | "serverStream" | "bidi";

export interface LateServiceOptions {
  /** The calls that the library serves, by their paths. */
  readonly calls: Readonly<Record<string, GrpcKind>>;
  /** Loads the library and lets it add its services. Tried again by the next call if it rejects. */
  readonly load: (adder: ServiceAdder) => Promise<void>;
}

interface Method {
  readonly handle: UntypedHandleCall;
  readonly serialize: (value: unknown) => Buffer;
  readonly deserialize: (bytes: Buffer) => unknown;
}

/**
 * A service of a library that is loaded at the first call: most servers never get one, and all
 * would start later by it.
 *
 * Its calls are known to the server from the start. `holdBack` has to be among the interceptors of
 * the server; it keeps calls waiting until the library is there.
 */
export class LateService {
  readonly #options: LateServiceOptions;
  #methods: ReadonlyMap<string, Method> = new Map();
  #loading: Promise<void> | undefined;

  constructor(options: LateServiceOptions) {
    this.#options = options;
  }

  get paths(): readonly string[] {
    return Object.keys(this.#options.calls);
  }

  get loaded(): boolean {
    return this.#methods.size > 0;
  }

  addTo(server: Server): void {
    for (const [path, kind] of Object.entries(this.#options.calls)) {
      server.register<unknown, unknown>(
        path,
        (...args: readonly unknown[]) => Reflect.apply(this.#method(path).handle, undefined, args),
        (value) => this.#method(path).serialize(value),
        (bytes) => this.#method(path).deserialize(bytes),
        kind,
      );
    }
  }

  /** Resolves when calls can be served. Errors: what loading the library failed with. */
  load(): Promise<void> {
    this.#loading ??= this.#load().catch((error: unknown) => {
      this.#loading = undefined;
      throw error;
    });
    return this.#loading;
  }

  async #load(): Promise<void> {
    const methods = new Map<string, Method>();
    await this.#options.load({
      addService: (definition, implementation) => {
        for (const [name, method] of Object.entries(definition)) {
          const handle = implementation[name] ?? implementation[method.originalName ?? name];
          if (handle !== undefined) {
            const { responseSerialize: serialize, requestDeserialize: deserialize } = method;
            methods.set(method.path, { handle, serialize, deserialize });
          }
        }
      },
    });
    const served = [...methods.keys()].sort().join(", ");
    const expected = this.paths.toSorted().join(", ");
    if (served !== expected) {
      throw new Error(`the library serves ${served}; expected ${expected}`);
    }
    this.#methods = methods;
  }

  #method(path: string): Method {
    const method = this.#methods.get(path);
    if (method === undefined) {
      throw new Error(`${path} was called before its library was loaded`);
    }
    return method;
  }
}

/**
 * Keeps calls to late services from being read until their libraries are loaded. A call whose
 * library cannot be loaded ends with INTERNAL; the cause goes to `onDefect`.
 */
export function holdBack(
  services: readonly LateService[],
  onDefect: (defect: Defect) => void,
): ServerInterceptor {
  const late = new Map(services.flatMap((service) => service.paths.map((path) => [path, service])));
  return ({ path }, call: ServerInterceptingCallInterface) => {
    const service = late.get(path);
    if (service !== undefined && !service.loaded) {
      const start = call.start;
      call.start = (listener) => {
        service.load().then(
          () => start.call(call, listener),
          (error: unknown) => call.sendStatus(toGrpcStatus(toConnectError(error, onDefect))),
        );
      };
    }
    // grpc-js calls nothing on the result that the call does not have.
    return call as ServerInterceptingCall;
  };
}
