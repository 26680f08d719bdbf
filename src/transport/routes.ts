import type { DescService } from "@bufbuild/protobuf";
import {
  type ConnectRouter,
  createServiceImplSpec,
  type ServiceImpl,
  type ServiceImplSpec,
} from "@connectrpc/connect";

/** A service with its implementation, ready for both front doors. */
export interface Route {
  readonly spec: ServiceImplSpec;
  register(router: ConnectRouter): void;
}

/** Ties an implementation to its service. Calls it leaves out answer UNIMPLEMENTED. */
export function route<Service extends DescService>(
  service: Service,
  impl: Partial<ServiceImpl<Service>>,
): Route {
  return {
    spec: createServiceImplSpec(service, impl),
    register: (router) => {
      router.service(service, impl);
    },
  };
}
