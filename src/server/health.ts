import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type HealthCheckResponse,
  HealthCheckResponseSchema,
  type Health as HealthService,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../../gen/health/v1/health_pb.js";
import { notFound } from "../core/index.ts";
import { drainingError } from "../task/index.ts";

/** The state behind `grpc.health.v1.Health` (gRPC health checking protocol). */
export interface Health {
  readonly service: ServiceImpl<typeof HealthService>;
  /** False from {@link Health.drain} on. */
  readonly serving: boolean;
  /** Turns every service NOT_SERVING and ends the watches, so that they do not hold up a drain. */
  drain(): void;
}

/** @param services names that can be asked for, read when they are; the empty name stands for the server as a whole. */
export function createHealth(services: () => readonly string[]): Health {
  const isKnown = (service: string) => service === "" || services().includes(service);
  const draining = new AbortController();
  const statusOf = (service: string): ServingStatus => {
    if (!isKnown(service)) return ServingStatus.SERVICE_UNKNOWN;
    return draining.signal.aborted ? ServingStatus.NOT_SERVING : ServingStatus.SERVING;
  };
  return {
    get serving() {
      return !draining.signal.aborted;
    },
    drain: () => draining.abort(),
    service: {
      check({ service }) {
        if (!isKnown(service)) throw notFound({ type: "service", name: service });
        return response(statusOf(service));
      },
      async *watch({ service }, { signal }) {
        yield response(statusOf(service));
        await aborted([draining.signal, signal]);
        signal.throwIfAborted();
        if (isKnown(service)) yield response(statusOf(service));
        throw drainingError();
      },
      list: () => ({
        statuses: Object.fromEntries(["", ...services()].map((service) => [service, response(statusOf(service))])),
      }),
    },
  };
}

function response(status: ServingStatus): HealthCheckResponse {
  return create(HealthCheckResponseSchema, { status });
}

function aborted(signals: AbortSignal[]): Promise<void> {
  const any = AbortSignal.any(signals);
  if (any.aborted) return Promise.resolve();
  return new Promise((resolve) => any.addEventListener("abort", () => resolve(), { once: true }));
}
