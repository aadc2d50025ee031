import { ConnectError } from "@connectrpc/connect";
import { Command } from "commander";
import type { Chat } from "../client/index.ts";
import { exitCodesHelp } from "./failure.ts";
import { watchInterrupts } from "./interrupts.ts";
import { answerLater } from "./question.ts";
import { Screen } from "./screen.ts";
import { connectTo, resetsSent, type TargetOptions, withTarget } from "./target.ts";

interface ChatCommandOptions extends TargetOptions {
  readonly conversation?: string;
}

// gRPC-Web is no choice: it carries no client streams.
export const command = withTarget(new Command("chat"), ["grpc", "connect"])
  .description(
    "Hold a conversation with an agent: a line is a turn. Ctrl-C stops the running turn, Ctrl-D ends the conversation. " +
      "An agent that needs leave to call a tool, or an answer, asks for it; the next line is the answer. " +
      "Lines from a pipe are turns and answers too; the exit code is then that of the first turn that failed. " +
      "--timeout is for the whole conversation.",
  )
  .option("--conversation <id>", "a conversation to go on with (default: a new one)")
  .addHelpText(
    "after",
    `
Examples
  convoke chat localhost:50051
  convoke chat localhost:50051 --agent schedule
  printf '2 + 2\\nand 3 + 3?\\n' | convoke chat localhost:50051 --json
  printf 'pay the invoice\\nyes, it is due\\n' | convoke chat localhost:50051
${exitCodesHelp}`,
  )
  .action(async (target: string, options: ChatCommandOptions) => {
    const agents = await connectTo(target, options);
    const screen = new Screen(options.json === true);
    using interrupts = watchInterrupts((signal) => signal === "SIGINT" && screen.interrupt());
    screen.lines.on("SIGINT", () => interrupts.take("SIGINT")); // in raw mode Ctrl-C is a key
    const { conversation } = options;
    const chat = agents.converse({
      signal: interrupts.signal,
      ...(conversation !== undefined && { conversationId: conversation }),
    });
    try {
      await hold(chat, screen);
    } catch (thrown) {
      await screen.endLine();
      if (!(thrown instanceof ConnectError) || interrupts.signal.aborted) await resetsSent();
      throw interrupts.reason ?? thrown;
    } finally {
      screen.close();
      if (screen.waiting !== undefined && options.json !== true)
        process.stderr.write(answerLater(screen.waiting, target, options));
      agents.close();
    }
  });

/** Sends the lines as turns, one after another, until there are no more or the conversation ends. */
async function hold(chat: Chat, screen: Screen): Promise<void> {
  const listening = (async () => {
    for await (const response of chat) await screen.show(response);
  })();
  const close = () => screen.close();
  listening.then(close, close); // also while the next line is awaited
  for await (const line of screen.turns()) {
    const taskId = chat.send(line);
    const end = () => Promise.race([screen.turnEnd(() => chat.cancelTurn(taskId)), listening]);
    for (let asked = await end(); asked?.length; asked = await end()) {
      const replies = await screen.ask(asked);
      if (replies === undefined) break;
      for (const reply of replies) chat.input(reply);
    }
  }
  chat.end();
  await listening;
}
