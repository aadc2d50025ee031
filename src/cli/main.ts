#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { exitCodes, fail } from "./failure.ts";

/** The commands, each in its own file that is loaded when it is run. */
const commands = {
  serve: async () => (await import("./serve.ts")).command,
  call: async () => (await import("./call.ts")).command,
  chat: async () => (await import("./chat.ts")).command,
} as const;

const summaries: Record<keyof typeof commands, string> = {
  serve: "serve agents from modules on one port",
  call: "hand one task to an agent and print its answer",
  chat: "hold a conversation with an agent",
};

async function main(args: string[]): Promise<void> {
  const program = new Command("convoke")
    .description("Agents that call each other over gRPC, gRPC-Web and Connect.")
    .exitOverride()
    .showHelpAfterError("(convoke --help shows how)");
  const name = args.find((arg) => !arg.startsWith("-"));
  const load = name !== undefined && Object.hasOwn(commands, name) ? commands[name as keyof typeof commands] : undefined; // hasOwn
  if (load !== undefined)
    program.addCommand((await load()).exitOverride().showHelpAfterError(`(convoke ${name} --help shows how)`));
  else for (const [each, summary] of Object.entries(summaries)) program.command(each).description(summary);
  await program.parseAsync(args, { from: "user" });
}

try {
  await main(process.argv.slice(2));
} catch (thrown) {
  // Commander has printed its own message already; what is left is the exit code.
  if (thrown instanceof CommanderError) process.exitCode = thrown.exitCode === 0 ? 0 : exitCodes.usage;
  else fail(thrown);
}
