import { createHash } from "node:crypto";
import { type FSWatcher, watch } from "node:fs";
import { open, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { identityBounds } from "../core/index.ts";
import { type Policy, parsePolicy } from "./policy.ts";

/** What some files hold, kept up to date. */
export interface WatchedFiles<T> {
  /** What they held when they were last in order. */
  readonly current: T;
  /** Calls the listener with each new content, until what it returns is called. */
  onChange(listener: (current: T) => void): () => void;
  /**
   * Calls the listener when a new content is not in order, or cannot be read, once for each content, until what it returns is called.
   * The old content stays.
   */
  onProblem(listener: (problem: Error) => void): () => void;
  /** Stops watching. {@link WatchedFiles.current} stays. */
  close(): void;
}

export interface WatchOptions {
  /** Milliseconds between looks at the files, for file systems that tell of no changes. Default 10 s. */
  readonly pollMs?: number;
}

/** Watches a policy; see {@link parsePolicy}. @throws Error when it cannot be read, or is not in order. */
export function watchPolicy(file: string, options: WatchOptions = {}): Promise<WatchedFiles<Policy>> {
  const read = ([content]: readonly Buffer[]) => {
    try {
      return parsePolicy((content ?? Buffer.alloc(0)).toString("utf8"));
    } catch (cause) {
      throw new Error(`${file} is no policy: ${cause instanceof Error ? cause.message : cause}`, { cause });
    }
  };
  return watchFiles([file], read, options);
}

/**
 * Watches any files whose contents make one thing. `read` gets them in the order of the paths, and throws when they are not in order.
 * Watching keeps no process alive.
 *
 * @throws Error when the first contents cannot be had, or whatever `read` throws of them.
 */
export async function watchFiles<T>(
  paths: readonly string[],
  read: (contents: readonly Buffer[]) => T,
  options: WatchOptions = {},
): Promise<WatchedFiles<T>> {
  const contents = await readAll(paths);
  return new Watched({ paths, read, ...options }, { contents, value: read(contents) });
}

interface Plan<T> extends WatchOptions {
  readonly paths: readonly string[];
  readonly read: (contents: readonly Buffer[]) => T;
}

class Watched<T> implements WatchedFiles<T> {
  current: T;
  readonly #plan: Plan<T>;
  readonly #listeners = new Set<(current: T) => void>();
  readonly #problemListeners = new Set<(problem: Error) => void>();
  readonly #watchers: FSWatcher[] = [];
  readonly #poll: NodeJS.Timeout;
  /** Of the contents that were last looked at, in order or not. */
  #hash: string;
  #problem: string | undefined;
  #stamp: string | undefined;
  #quiet: NodeJS.Timeout | undefined;
  /** Since when the folders have not been left alone. */
  #restlessMs: number | undefined;
  #looking: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(plan: Plan<T>, first: { contents: readonly Buffer[]; value: T }) {
    this.#plan = plan;
    this.#hash = hashOf(first.contents);
    this.current = first.value;
    for (const folder of new Set(plan.paths.map((path) => dirname(path)))) this.#watch(folder);
    this.#poll = setInterval(() => this.#lookByStamp(), plan.pollMs ?? identityBounds.filePollMs).unref();
    this.#soon(); // for what changed since the first reading
  }

  onChange(listener: (current: T) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  onProblem(listener: (problem: Error) => void): () => void {
    this.#problemListeners.add(listener);
    return () => void this.#problemListeners.delete(listener);
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#poll);
    clearTimeout(this.#quiet);
    for (const watcher of this.#watchers) watcher.close();
    this.#listeners.clear();
    this.#problemListeners.clear();
  }

  /** The folder, not the file: files are replaced, and Kubernetes changes a link beside them. Without it the poll goes on alone. */
  #watch(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, () => this.#soon());
      watcher.on("error", () => watcher.close());
      this.#watchers.push(watcher);
    } catch {
      // No watching here.
    }
  }

  #soon(): void {
    if (this.#closed) return;
    const now = performance.now();
    this.#restlessMs ??= now;
    const left = Math.min(identityBounds.fileQuietMs, this.#restlessMs + identityBounds.fileRestlessMs - now);
    clearTimeout(this.#quiet);
    this.#quiet = setTimeout(() => this.#look(), Math.max(0, left)).unref();
  }

  #lookByStamp(): void {
    void stampOf(this.#plan.paths).then((stamp) => {
      if (stamp === this.#stamp) return;
      this.#stamp = stamp;
      this.#soon();
    });
  }

  /** One look after another, so that the last content wins. */
  #look(): void {
    this.#restlessMs = undefined;
    this.#looking = this.#looking.then(() => this.#reload());
  }

  async #reload(): Promise<void> {
    try {
      const contents = await readAll(this.#plan.paths);
      const hash = hashOf(contents);
      this.#problem = undefined; // of reading; what is wrong with a content is told when the content is new
      if (this.#closed || hash === this.#hash) return;
      this.#hash = hash;
      this.current = this.#plan.read(contents);
    } catch (thrown) {
      this.#tell(thrown);
      return;
    }
    for (const listener of [...this.#listeners]) this.#call(listener);
  }

  /** A listener that fails is a problem of its own, not of the others. */
  #call(listener: (current: T) => void): void {
    try {
      listener(this.current);
    } catch (thrown) {
      this.#tell(thrown);
    }
  }

  #tell(thrown: unknown): void {
    const problem = thrown instanceof Error ? thrown : new Error(String(thrown), { cause: thrown });
    if (this.#closed || problem.message === this.#problem) return;
    this.#problem = problem.message;
    for (const listener of [...this.#problemListeners]) listener(problem);
  }
}

async function readAll(paths: readonly string[]): Promise<Buffer[]> {
  return Promise.all(paths.map(readBounded));
}

async function readBounded(path: string): Promise<Buffer> {
  const handle = await open(path).catch((cause: Error) => {
    throw new Error(`${path} cannot be read (${cause.message})`, { cause });
  });
  try {
    const { size } = await handle.stat();
    if (size > identityBounds.maxFileBytes) throw new RangeError(`${path} is longer than ${identityBounds.maxFileBytes} bytes`);
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

function hashOf(contents: readonly Buffer[]): string {
  const hash = createHash("sha256");
  for (const content of contents) hash.update(`${content.length}:`).update(content);
  return hash.digest("hex");
}

/** What changes with a file's content, in nearly all cases, without reading it. */
async function stampOf(paths: readonly string[]): Promise<string> {
  const stamps = paths.map(async (path) => {
    const { mtimeMs, size, ino } = await stat(path);
    return `${mtimeMs} ${size} ${ino}`;
  });
  return (await Promise.allSettled(stamps)).map((each) => (each.status === "fulfilled" ? each.value : "gone")).join(", ");
}
