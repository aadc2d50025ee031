import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { root, runConvoke } from "../support/process.ts";

/** As much of a manifest as is looked at. */
interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  // biome-ignore lint/suspicious/noExplicitAny: a manifest of any kind; what is read is held against what it has to be
  readonly spec: any;
}

const folder = join(root, "deploy");

function read(file: string): unknown[] {
  const documents = parseAllDocuments(readFileSync(join(folder, file), "utf8"));
  for (const { errors } of documents) expect(errors).toEqual([]);
  return documents.map((document) => document.toJS() as unknown); // whatever the file says
}

function manifests(file: string, kind: string): Manifest[] {
  return (read(file) as Manifest[]).filter((each) => each.kind === kind); // a test that fails tells otherwise
}

test.each(readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".yaml")))(
  "%s parses",
  (file) => {
    expect(read(file).length).toBeGreaterThan(0);
  },
);

describe.each(["kubernetes/agents.yaml", "kubernetes/registry.yaml"])("%s", (file) => {
  const [deployment] = manifests(file, "Deployment");
  const { template, selector } = deployment?.spec ?? {};
  const [container] = template.spec.containers;
  const args: string[] = container.args;
  const argument = (name: string) => args.find((each) => each.startsWith(`--${name}=`))?.split("=")[1];
  const portNamed = (name: string) => container.ports.find((port: { name: string }) => port.name === name)?.containerPort;

  test("selects its own pods", () => {
    expect(template.metadata.labels).toMatchObject(selector.matchLabels);
    for (const { spec } of [...manifests(file, "Service"), ...manifests(file, "PodDisruptionBudget")]) {
      expect(template.metadata.labels).toMatchObject(spec.selector.matchLabels ?? spec.selector);
    }
  });

  test("has its ports, probes and files where its arguments say", () => {
    expect(String(portNamed("grpc"))).toBe(argument("port"));
    expect(String(portNamed("probes"))).toBe(argument("probe-port"));
    for (const { spec } of manifests(file, "Service")) {
      for (const { port, targetPort } of spec.ports) expect([port, portNamed(targetPort)]).toEqual([port, port]);
    }
    const { readinessProbe, livenessProbe } = container;
    expect(readinessProbe.grpc.port).toBe(portNamed("probes"));
    expect(livenessProbe.httpGet).toEqual({ path: "/livez", port: "probes" });
    const volumes = template.spec.volumes.map(({ name }: { name: string }) => name);
    const paths = container.volumeMounts.map((mount: { name: string; mountPath: string }) => {
      expect(volumes).toContain(mount.name);
      return mount.mountPath;
    });
    for (const name of ["tls-cert", "tls-key", "client-ca"]) {
      expect(paths.some((path: string) => argument(name)?.startsWith(`${path}/`))).toBe(true);
    }
  });

  test("has time to drain before it is killed", () => {
    const waitSeconds = container.lifecycle?.preStop.sleep.seconds ?? 0;
    expect(template.spec.terminationGracePeriodSeconds).toBeGreaterThan(waitSeconds + 30);
  });

  test("has arguments that the command line understands", async () => {
    const { code, stderr } = await runConvoke(args);
    expect(code).toBe(2);
    expect(stderr).toMatch(/\/tls\/\w+\.crt|agents\/agent\.ts/); // which are not here
    expect(stderr).not.toMatch(/unknown option|argument/);
  });
});

test.each(["istio/agents.yaml", "linkerd/agents.yaml"])("%s routes to ports that its Service has", (file) => {
  const services = new Map(manifests(file, "Service").map(({ metadata, spec }) => [metadata.name, spec.ports[0].port]));
  const named: [name: string, port: number][] = [];
  for (const { spec } of manifests(file, "VirtualService")) {
    for (const { destination } of spec.http.flatMap(({ route }: { route: object[] }) => route)) {
      named.push([destination.host, destination.port.number]);
    }
  }
  for (const { spec } of manifests(file, "GRPCRoute")) {
    const backends = spec.rules.flatMap(({ backendRefs }: { backendRefs: object[] }) => backendRefs);
    for (const { name, port } of [...spec.parentRefs, ...backends]) named.push([name, port]);
  }
  for (const { spec } of manifests(file, "DestinationRule")) expect(services.has(spec.host)).toBe(true);
  expect(named.length).toBeGreaterThan(0);
  for (const [name, port] of named) expect(services.get(name)).toBe(port);
});

test("envoy/envoy.yaml routes to clusters that it has", () => {
  const [{ static_resources: resources }] = read("envoy/envoy.yaml") as [{ static_resources: Manifest["spec"] }]; // as Envoy's bootstrap is
  const clusters = resources.clusters.map(({ name }: { name: string }) => name);
  const [filter] = resources.listeners[0].filter_chains[0].filters;
  const { routes } = filter.typed_config.route_config.virtual_hosts[0];
  expect(routes.map(({ route }: { route: { cluster: string } }) => route.cluster)).toEqual(clusters);
});
