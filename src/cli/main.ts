#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { Command } from "commander";
import { describeFailure, exitCodesHelp } from "./failure.ts";

/** The commands, each in its own file that is loaded when it is run. */
const commands = {
  serve: { summary: "serve agents from modules on one port", load: async () => (await import("./serve.ts")).command },
  call: { summary: "hand one task to an agent and print its answer", load: async () => (await import("./call.ts")).command },
  tasks: { summary: "list, show, replay and cancel tasks", load: async () => (await import("./tasks.ts")).command },
  agents: { summary: "list, describe and watch registered agents", load: async () => (await import("./agents.ts")).command },
  registry: { summary: "run a registry", load: async () => (await import("./registry.ts")).command },
  chat: { summary: "hold a conversation with an agent", load: async () => (await import("./chat.ts")).command },
  memory: { summary: "append to, read and search shared memory", load: async () => (await import("./memory.ts")).command },
  certs: { summary: "make certificates for agents", load: async () => (await import("./certs.ts")).command },
};

const examples = `
Examples
  convoke serve agent.ts
  convoke call localhost:50051 "what is 17% of 2,350 EUR?"
  convoke chat localhost:50051 --agent schedule
  convoke agents list --registry localhost:50050
  convoke help call`;

let command: Command | undefined;
const args = withoutHelpCommand(process.argv.slice(2));
const name = args.find((arg) => !arg.startsWith("-"));

async function main(): Promise<void> {
  const program = new Command("convoke")
    .description("Agents that call each other over gRPC, gRPC-Web and Connect.")
    .version(versionOf("../../package.json"), "-v, --version", "print the version")
    .helpCommand("help [command]", "explain a command")
    .exitOverride()
    .configureOutput({ outputError: () => {} }) // fail() says it, as every other failure
    .addHelpText("after", `${examples}\n${exitCodesHelp}`);
  for (const [each, { summary, load }] of Object.entries(commands)) {
    if (each !== name) {
      program.command(each).description(summary);
      continue;
    }
    command = await load();
    program.addCommand(command.copyInheritedSettings(program).summary(summary));
    // They were made before there was a program, and this takes away how they had set their help.
    for (const part of command.commands) part.copyInheritedSettings(command).configureHelp({ showGlobalOptions: true });
  }
  await program.parseAsync(args, { from: "user" });
}

/** `help call` is `call --help`: only that loads the command whose help it is. */
function withoutHelpCommand(given: string[]): string[] {
  const [first, topic] = given;
  if (first !== "help" || topic === undefined) return given;
  return Object.hasOwn(commands, topic) ? [topic, "--help"] : [topic];
}

function versionOf(packageFile: string): string {
  const { version }: { version: string } = JSON.parse(readFileSync(new URL(packageFile, import.meta.url), "utf8"));
  return version;
}

/** Ends the program, even where the developer's module or a half-open connection would keep it running. */
function fail(thrown: unknown): void {
  const json = command?.opts()["json"] === true;
  const { exit, text } = describeFailure(thrown, { command: command?.name(), json });
  process.exitCode = exit;
  if (exit === 0) return; // help and version
  process.stderr.write(text, () => process.exit(exit));
}

for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {}); // whoever writes, hears of it in the write
try {
  // A client's connection may fail outside of any call; a server's developer wants Node's own report of such a thing.
  if (name !== "serve" && name !== "registry") process.on("uncaughtException", fail);
  await main();
} catch (thrown) {
  fail(thrown);
}
