import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findTool, runTool, type Tool } from "../support/tools.ts";
import { packageRoot } from "./contract.ts";

const contract = fileURLToPath(new URL("../../proto/agent", import.meta.url));

/** A Python that has grpcio and its generator; without a path where there is none. */
export async function findPythonWithGrpc(): Promise<Tool> {
  const python = findTool("python", "PYTHON");
  const modules = ["-c", "import grpc, grpc_tools.protoc"];
  if (python.path !== undefined && (await runTool(python.path, modules)).exitCode === 0) return python;
  return { name: "a python with grpcio-tools", path: undefined };
}

/** Generates Python's modules of the contract as first published and of google.rpc, into a folder that is the caller's to remove. */
export async function generateStubs(python: string): Promise<string> {
  const stubs = await mkdtemp(join(tmpdir(), "convoke-python-"));
  const out = ["--python_out", stubs, "--grpc_python_out", stubs];
  const includes = ["-I", contract, "-I", packageRoot("google-proto-files")];
  const files = ["agent.proto", "google/rpc/status.proto", "google/rpc/error_details.proto"];
  const { exitCode, stderr } = await runTool(python, ["-m", "grpc_tools.protoc", ...includes, ...out, ...files]);
  if (exitCode !== 0) throw new Error(`grpc_tools.protoc ended with ${exitCode}: ${stderr}`);
  return stubs;
}
