import type { Registry } from "@bufbuild/protobuf";
import {
  type ConnectRouter,
  createMethodImplSpec,
  createServiceImplSpec,
  type Interceptor,
  type MethodImplSpec,
} from "@connectrpc/connect";
import { type Limits, wireBounds } from "../../core/index.ts";
import { createJsonOptions } from "../json.ts";
import { type CallHooks, createServerMethod, type MethodInit, type RequestGate, type ServerMethod } from "./method.ts";

/** What holds for every method that does not say otherwise. */
export interface RouterOptions {
  readonly limits: Limits;
  readonly interceptors?: readonly Interceptor[];
  readonly requestGate?: RequestGate;
  readonly types?: Registry;
  readonly hooks: CallHooks;
}

type ServiceOptions = NonNullable<Parameters<ConnectRouter["rpc"]>[2]>;

/** Options of Connect's router that mean the same here. */
const known = new Set<keyof ServiceOptions>([
  "interceptors",
  "requestGate",
  "readMaxBytes",
  "writeMaxBytes",
  "compressMinBytes",
  "maxTimeoutMs",
  "jsonOptions",
  "binaryOptions",
]);

/** A Connect router that only collects what is registered. */
export function collectMethods(options: RouterOptions, routes: (router: ConnectRouter) => void): ServerMethod[] {
  const methods: ServerMethod[] = [];
  const add = (spec: MethodImplSpec, more: ServiceOptions = {}) => {
    methods.push(createServerMethod(spec, initOf(options, more)));
  };
  const router: ConnectRouter = {
    handlers: [],
    service(service, implementation, more) {
      for (const spec of Object.values(createServiceImplSpec(service, implementation).methods)) add(spec, more);
      return router;
    },
    rpc(method, implementation, more) {
      add(createMethodImplSpec(method, implementation), more);
      return router;
    },
  };
  routes(router);
  return methods;
}

/** @throws TypeError for an option that would be ignored. */
function initOf({ limits, types, ...base }: RouterOptions, more: ServiceOptions): MethodInit {
  for (const name of Object.keys(more)) {
    if (known.has(name as keyof ServiceOptions)) continue; // any string may be looked up
    throw new TypeError(`the option "${name}" of a service is not served here; there are ${[...known].join(", ")}`);
  }
  return {
    interceptors: more.interceptors ?? base.interceptors ?? [],
    gate: more.requestGate ?? base.requestGate,
    hooks: base.hooks,
    json: { ...createJsonOptions(types), ...more.jsonOptions },
    binary: more.binaryOptions,
    bounds: {
      readMaxBytes: more.readMaxBytes ?? limits.maxMessageBytes,
      writeMaxBytes: more.writeMaxBytes ?? wireBounds.maxEnvelopeBytes,
      compressMinBytes: more.compressMinBytes ?? wireBounds.compressMinBytes,
      maxTimeoutMs: more.maxTimeoutMs ?? Number.POSITIVE_INFINITY,
    },
  };
}
