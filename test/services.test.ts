import { create, createFileRegistry, type DescService } from "@bufbuild/protobuf";
import {
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  file_google_protobuf_wrappers,
  StringValueSchema,
} from "@bufbuild/protobuf/wkt";
import { Code, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { ServerReflection } from "../gen/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ServerReflectionAlpha } from "../gen/grpc/reflection/v1alpha/reflection_pb.js";
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from "../gen/health/v1/health_pb.js";
import { startServer } from "./support/server.ts";

/** `test.Greeter`, as a program that brings its own contract has it. */
function greeter(): DescService {
  const type = ".google.protobuf.StringValue";
  const file = create(FileDescriptorProtoSchema, {
    name: "test/greeter.proto",
    package: "test",
    syntax: "proto3",
    dependency: ["google/protobuf/wrappers.proto"],
    service: [{ name: "Greeter", method: [{ name: "Greet", inputType: type, outputType: type }] }],
  });
  const files = create(FileDescriptorSetSchema, { file: [file_google_protobuf_wrappers.proto, file] });
  const service = createFileRegistry(files).getService("test.Greeter");
  if (service === undefined) throw new Error("the descriptor has the service");
  return service;
}

async function startGreeter() {
  const service = greeter();
  const greet = ({ value }: { value: string }) => {
    if (value === "") throw new Error("internal matters");
    return create(StringValueSchema, { value: `hello ${value}` });
  };
  const implementation = { greet } as object; // the descriptor is made at run time: there is no type to hold it against
  const { url } = await startServer({ services: (router) => router.service(service, implementation) });
  return { transport: createGrpcTransport({ baseUrl: url }), url };
}

async function ask(service: typeof ServerReflection | typeof ServerReflectionAlpha, url: string, question: object) {
  const client = createClient(service as typeof ServerReflection, createGrpcTransport({ baseUrl: url })); // the two are alike
  const requests = (async function* () {
    yield { messageRequest: question as never }; // each row is one case of the oneof
  })();
  for await (const { messageResponse } of client.serverReflectionInfo(requests)) return messageResponse;
  throw new Error("reflection gave no answer");
}

test("another Connect service is served beside the agents", async () => {
  const { url } = await startGreeter();
  const answer = await fetch(`${url}/test.Greeter/Greet`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '"Ana"',
  });
  expect(await answer.json()).toBe("hello Ana");
});

test("an unforeseen throw in it is INTERNAL and tells nothing of the inside", async () => {
  const { url } = await startGreeter();
  const answer = await fetch(`${url}/test.Greeter/Greet`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '""',
  });
  expect(answer.status).toBe(500);
  expect(await answer.json()).toEqual({ code: "internal", message: "the server failed in an unforeseen way" });
});

describe("health", () => {
  test("Check and List tell of every service, the mounted one too", async () => {
    const { transport } = await startGreeter();
    const health = createClient(Health, transport);
    for (const service of ["", "agent.v1.AgentService", "agent.AgentService", "test.Greeter"]) {
      expect((await health.check({ service })).status).toBe(ServingStatus.SERVING);
    }
    expect(Object.keys((await health.list({})).statuses)).toContain("test.Greeter");
  });

  test("an unknown service is NOT_FOUND for Check and SERVICE_UNKNOWN for Watch", async () => {
    const { transport } = await startGreeter();
    const health = createClient(Health, transport);
    await expect(health.check({ service: "nope" })).rejects.toMatchObject({ code: Code.NotFound });
    for await (const { status } of health.watch({ service: "nope" })) {
      expect(status).toBe(ServingStatus.SERVICE_UNKNOWN);
      break;
    }
  });
});

describe.each([
  ["v1", ServerReflection],
  ["v1alpha", ServerReflectionAlpha],
])("reflection %s", (_version, reflection) => {
  test("lists every service", async () => {
    const { url } = await startGreeter();
    const response = await ask(reflection, url, { case: "listServices", value: "" });
    if (response.case !== "listServicesResponse") throw new Error(`got ${response.case}`);
    const names = response.value.service.map((service) => service.name);
    expect(names).toEqual(
      expect.arrayContaining(["agent.v1.AgentService", "agent.AgentService", "test.Greeter", "grpc.health.v1.Health"]),
    );
  });

  test.each([
    ["a file", { case: "fileByFilename", value: "agent/v1/agent.proto" }],
    ["a service", { case: "fileContainingSymbol", value: "agent.v1.AgentService" }],
    ["a method", { case: "fileContainingSymbol", value: "agent.v1.AgentService.Converse" }],
    ["a message", { case: "fileContainingSymbol", value: "agent.v1.StartTurn" }],
    ["a field", { case: "fileContainingSymbol", value: "agent.v1.StartTurn.content" }],
  ])("finds %s, with all that its file imports", async (_what, question) => {
    const { url } = await startServer();
    const response = await ask(reflection, url, question);
    if (response.case !== "fileDescriptorResponse") throw new Error(`got ${response.case}`);
    const names = response.value.fileDescriptorProto.map((bytes) => Buffer.from(bytes).toString("latin1").slice(2, 30));
    expect(names[0]).toMatch(/^agent\/v1\/agent\.proto/);
    expect(names.length).toBeGreaterThanOrEqual(4);
  });

  test.each([
    ["a file", { case: "fileByFilename", value: "nope.proto" }],
    ["a symbol", { case: "fileContainingSymbol", value: "nope.Nope" }],
    ["an extension", { case: "fileContainingExtension", value: { containingType: "agent.v1.Task", extensionNumber: 7 } }],
    ["a type's extensions", { case: "allExtensionNumbersOfType", value: "nope.Nope" }],
  ])("%s that is not there is NOT_FOUND, and the stream goes on", async (_what, question) => {
    const { url } = await startServer();
    expect(await ask(reflection, url, question)).toMatchObject({ case: "errorResponse", value: { errorCode: Code.NotFound } });
  });

  test("an empty question is INVALID_ARGUMENT", async () => {
    const { url } = await startServer();
    const response = await ask(reflection, url, { case: undefined });
    expect(response).toMatchObject({ case: "errorResponse", value: { errorCode: Code.InvalidArgument } });
  });
});
