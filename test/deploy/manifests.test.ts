import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { defaultLimits } from "../../src/index.ts";
import { root, runConvoke } from "../support/process.ts";

/** What stands at a path in a document: names and numbers with points between. Undefined when there is no such thing. */
function at(value: unknown, path: string): unknown {
  const step = (node: unknown, key: string) =>
    typeof node === "object" && node !== null ? (Reflect.get(node, key) as unknown) : undefined; // a document's values are anything
  return path.split(".").reduce(step, value);
}

/** The same for what has to be a list. */
function listAt(value: unknown, path: string): unknown[] {
  const found = at(value, path);
  if (!Array.isArray(found)) throw new TypeError(`${path} is no list`);
  return found;
}

const folder = join(root, "deploy");

function read(file: string): unknown[] {
  const documents = parseAllDocuments(readFileSync(join(folder, file), "utf8"));
  for (const { errors } of documents) expect(errors).toEqual([]);
  return documents.map((document) => document.toJS() as unknown); // whatever the file says
}

function manifests(file: string, kind: string): unknown[] {
  return read(file).filter((each) => at(each, "kind") === kind);
}

const documents = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".yaml"));

test.each(documents)("%s parses", (file) => {
  expect(read(file).length).toBeGreaterThan(0);
});

describe.each(["kubernetes/agents.yaml", "kubernetes/registry.yaml"])("%s", (file) => {
  const [deployment] = manifests(file, "Deployment");
  const pod = at(deployment, "spec.template");
  const container = at(pod, "spec.containers.0");
  const args = listAt(container, "args").map(String);
  const argument = (name: string) => args.find((each) => each.startsWith(`--${name}=`))?.split("=")[1];
  const portNamed = (name: unknown) =>
    at(
      listAt(container, "ports").find((port) => at(port, "name") === name),
      "containerPort",
    );

  test("selects its own pods", () => {
    const labels = at(pod, "metadata.labels");
    expect(labels).toEqual(at(deployment, "spec.selector.matchLabels"));
    for (const service of manifests(file, "Service")) expect(labels).toEqual(at(service, "spec.selector"));
    for (const budget of manifests(file, "PodDisruptionBudget")) {
      expect(labels).toEqual(at(budget, "spec.selector.matchLabels"));
    }
  });

  test("has its ports, probes and files where its arguments say", () => {
    expect(String(portNamed("grpc"))).toBe(argument("port"));
    expect(String(portNamed("probes"))).toBe(argument("probe-port"));
    for (const port of manifests(file, "Service").flatMap((service) => listAt(service, "spec.ports"))) {
      expect(portNamed(at(port, "targetPort"))).toBe(at(port, "port"));
    }
    expect(at(container, "readinessProbe.grpc.port")).toBe(portNamed("probes"));
    expect(at(container, "livenessProbe.httpGet")).toEqual({ path: "/livez", port: "probes" });
    const volumes = listAt(pod, "spec.volumes").map((volume) => at(volume, "name"));
    const mounts = listAt(container, "volumeMounts");
    for (const mount of mounts) expect(volumes).toContain(at(mount, "name"));
    for (const name of ["tls-cert", "tls-key", "client-ca"]) {
      expect(mounts.some((mount) => argument(name)?.startsWith(`${at(mount, "mountPath")}/`))).toBe(true);
    }
  });

  test("has time to drain before it is killed", () => {
    const waitSeconds = Number(at(container, "lifecycle.preStop.sleep.seconds") ?? 0);
    const graceSeconds = defaultLimits.drainGraceMs / 1_000;
    expect(Number(at(pod, "spec.terminationGracePeriodSeconds"))).toBeGreaterThan(waitSeconds + graceSeconds);
  });

  test("has arguments that the command line understands", async () => {
    const { code, stderr } = await runConvoke(args);
    expect(code).toBe(2);
    expect(stderr).toMatch(/\/tls\/\w+\.(?:crt|key)/); // which are not here, and read at once
    expect(stderr).not.toMatch(/unknown option|argument/);
  });
});

test.each(["istio/agents.yaml", "linkerd/agents.yaml"])("%s routes to ports that its Service has", (file) => {
  const services = manifests(file, "Service").map((each) => [at(each, "metadata.name"), at(each, "spec.ports.0.port")]);
  const routes = manifests(file, "VirtualService")
    .flatMap((each) => listAt(each, "spec.http"))
    .flatMap((rule) => listAt(rule, "route"))
    .map((route) => [at(route, "destination.host"), at(route, "destination.port.number")]);
  const grpcRoutes = manifests(file, "GRPCRoute");
  const backends = grpcRoutes.flatMap((each) => listAt(each, "spec.rules")).flatMap((rule) => listAt(rule, "backendRefs"));
  const named = [...grpcRoutes.flatMap((each) => listAt(each, "spec.parentRefs")), ...backends];
  const used = [...routes, ...named.map((each) => [at(each, "name"), at(each, "port")])];
  expect(used.length).toBeGreaterThan(0);
  for (const each of used) expect(services).toContainEqual(each);
  for (const rule of manifests(file, "DestinationRule"))
    expect(services.map(([name]) => name)).toContain(at(rule, "spec.host"));
});

test("envoy/envoy.yaml routes to clusters that it has", () => {
  const [bootstrap] = read("envoy/envoy.yaml");
  const clusters = listAt(bootstrap, "static_resources.clusters").map((cluster) => at(cluster, "name"));
  const host = "static_resources.listeners.0.filter_chains.0.filters.0.typed_config.route_config.virtual_hosts.0";
  const routes = listAt(bootstrap, `${host}.routes`);
  expect(routes.length).toBeGreaterThan(0);
  for (const route of routes) expect(clusters).toContain(at(route, "route.cluster"));
});
