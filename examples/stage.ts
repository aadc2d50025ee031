import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";

/** A process of an example. */
export interface Actor {
  /** Waits until it says that, and gives the group of the pattern. @throws Error when it ends without. */
  said(pattern: RegExp): Promise<string>;
  /** Waits for its end, and gives its exit code; null when a signal ended it. */
  ended(): Promise<number | null>;
  /** kill -9, and waits for its end. */
  kill(): Promise<void>;
}

/** Where the processes of an example play. */
export interface Stage {
  /** Starts a module, and prints what it says under its name. */
  begin(name: string, file: string, ...args: readonly string[]): Actor;
  print(who: string, line: string): void;
  /** Ends those that still run. */
  clear(): Promise<void>;
}

type Child = ChildProcessByStdio<null, Readable, null>;

/** @param nameWidth how many columns the names of the processes take. */
export function createStage(nameWidth = 10): Stage {
  const children: Child[] = [];
  const print = (who: string, line: string) => void process.stdout.write(`${who.padEnd(nameWidth)} ${line}\n`);
  return {
    print,
    begin(name, file, ...args) {
      const child = spawn(process.execPath, [file, ...args], { stdio: ["ignore", "pipe", "inherit"] });
      children.push(child);
      return actor(name, child, print);
    },
    async clear() {
      const running = children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
      const ends = running.map((child) => once(child, "close"));
      for (const child of running) child.kill();
      await Promise.all(ends);
    },
  };
}

function actor(name: string, child: Child, print: Stage["print"]): Actor {
  const lines = createInterface(child.stdout).on("line", (line) => print(name, line));
  const end = once(child, "close").then(([code]: (number | null)[]) => code ?? null);
  return {
    said: (pattern) =>
      new Promise<string>((resolve, reject) => {
        lines.on("line", (line) => {
          const [, found] = pattern.exec(line) ?? [];
          if (found !== undefined) resolve(found);
        });
        lines.on("close", () => reject(new Error(`the ${name} has ended`)));
      }),
    ended: () => end,
    async kill() {
      child.kill("SIGKILL");
      await end;
    },
  };
}
