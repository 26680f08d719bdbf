import type { ServiceImpl } from "@connectrpc/connect";
import type { ConsumerService } from "@sessiond/contract";
import type { Domain } from "../domain/domain.ts";

export function consumerService({
  consumers,
}: Pick<Domain, "consumers">): ServiceImpl<typeof ConsumerService> {
  return {
    createConsumer: (request) => consumers.create(request),
    getConsumer: async (request) => ({ consumer: await consumers.get(request) }),
    listConsumers: (request) => consumers.list(request),
    deleteConsumer: (request) => consumers.delete(request),
    commitCursor: (request) => consumers.commit(request),
  };
}
