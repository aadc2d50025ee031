import { Code, ConnectError } from "@connectrpc/connect";
import { defineTool, type Tool, type ToolInit } from "../agent/index.ts";
import { invalidArgument, mcpBounds, resourceExhausted, type StandardSchema } from "../core/index.ts";
import { McpConnection, type McpServer } from "./connection.ts";
import { mcpFailure } from "./failure.ts";

export interface McpToolsOptions extends Pick<ToolInit<object, unknown>, "maxResultBytes"> {
  /** What the names of its tools begin with here, so that those of several servers differ. Default: nothing. */
  readonly prefix?: string;
  /** How long the server may take to start, or be reached, and to name its tools, in milliseconds. Default 30,000. */
  readonly connectTimeoutMs?: number;
  /** How long one call may take. Default 60,000; at most an hour. */
  readonly timeoutMs?: number;
  /** Somebody has to allow each call of the tools for which this is true; by the server's own names. Default: of none. */
  readonly approve?: (tool: string) => boolean;
}

/** The tools of an MCP server, as they were when it was asked. */
export interface McpTools extends AsyncDisposable {
  readonly tools: readonly Tool[];
  /** Ends the server's program, or the session with it. Calls fail from then on. */
  close(): Promise<void>;
}

/**
 * Connects to an MCP server and makes tools of its tools, for `ctx.tool` and `modelAgent`.
 *
 * A server that has died is started, or connected to, anew with the next call; the call at which it died fails with UNAVAILABLE. What a tool reports as its own
 * failure is FAILED_PRECONDITION, so that a model reads it. The server can ask nothing of the agent: requests for sampling or input are refused.
 *
 * @throws ConnectError UNAVAILABLE for a server that is not there, DEADLINE_EXCEEDED for one that does not answer in time, RESOURCE_EXHAUSTED for one with more than
 *   128 tools.
 * @throws TypeError for two tools whose names become the same here.
 */
export async function mcpTools(server: McpServer, options: McpToolsOptions = {}): Promise<McpTools> {
  const { connectTimeoutMs = mcpBounds.connectTimeoutMs, prefix = "" } = options;
  const connection = new McpConnection(server, connectTimeoutMs);
  const name = "url" in server ? "the MCP server" : `the MCP server "${server.command.split(/[\\/]/).at(-1)}"`;
  try {
    const tools = new Map<string, Tool>();
    for (const each of await listTools(connection, connectTimeoutMs)) {
      const tool = toolOf(each, { connection, options, server: name, name: fitting(prefix + each.name) });
      if (tools.has(tool.name)) throw new TypeError(`the MCP server has two tools that would be called "${tool.name}" here`);
      tools.set(tool.name, tool);
    }
    const close = () => connection.close();
    return { tools: [...tools.values()], close, [Symbol.asyncDispose]: close };
  } catch (thrown) {
    await connection.close();
    throw thrown instanceof TypeError && thrown.cause === undefined ? thrown : mcpFailure(thrown, name);
  }
}

interface McpTool {
  readonly name: string;
  readonly description?: string | undefined;
  readonly inputSchema: object;
}

async function listTools(connection: McpConnection, timeout: number): Promise<McpTool[]> {
  const tools: McpTool[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < mcpBounds.maxPages; page++) {
    const listed = await connection.use((client) => client.listTools(cursor === undefined ? {} : { cursor }, { timeout }));
    tools.push(...listed.tools);
    cursor = listed.nextCursor;
    if (cursor === undefined && tools.length <= mcpBounds.maxTools) return tools;
  }
  const description = `the MCP server has more than ${mcpBounds.maxTools} tools, or names them in more than ${mcpBounds.maxPages} pages`;
  throw resourceExhausted({ subject: "MCP tools", description });
}

/** Names of MCP may have other characters, and more of them, than providers of models take. */
function fitting(name: string): string {
  return name.replace(/[^A-Za-z0-9_-]/g, "_").slice(0, 64);
}

interface ToolPlace {
  readonly connection: McpConnection;
  readonly options: McpToolsOptions;
  /** For errors. */
  readonly server: string;
  readonly name: string;
}

function toolOf({ name: remote, description = "", inputSchema }: McpTool, place: ToolPlace): Tool {
  const { connection, server, name } = place;
  const { timeoutMs, maxResultBytes, approve } = place.options;
  return defineTool({
    name,
    description,
    input: argumentsOf(inputSchema),
    approve: approve?.(remote) ?? false,
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(maxResultBytes !== undefined && { maxResultBytes }),
    async run(input, { signal }) {
      try {
        return contentOf(await connection.call({ name: remote, arguments: { ...input } }, signal));
      } catch (thrown) {
        throw mcpFailure(thrown, server);
      }
    },
  });
}

/** The server checks what is in them. */
function argumentsOf(schema: object): StandardSchema<unknown, object> {
  return {
    "~standard": {
      version: 1,
      vendor: "convoke",
      validate: (value) =>
        typeof value === "object" && value !== null && !Array.isArray(value)
          ? { value }
          : { issues: [{ message: "must be an object" }] },
      jsonSchema: { input: () => ({ ...schema }) },
    },
  };
}

type Called = Awaited<ReturnType<McpConnection["call"]>>;

/** What a tool gave: its structured content where it has one, else its text. Of anything else its kind; bytes are nothing that a model reads here. */
function contentOf({ content, structuredContent, isError }: Called): unknown {
  const blocks = (Array.isArray(content) ? content : []) as readonly Block[]; // as MCP says; what is looked at is checked
  const text = blocks.map((block) => (block.type === "text" ? (block.text ?? "") : JSON.stringify(briefly(block)))).join("\n");
  if (isError === true) {
    const said = text.slice(0, mcpBounds.maxFailureChars) || "the tool failed and does not say why";
    if (isInvalid(said)) throw invalidArgument([{ field: "arguments", description: said }]);
    throw new ConnectError(said, Code.FailedPrecondition);
  }
  return structuredContent ?? text;
}

interface Block {
  readonly type: string;
  readonly text?: string;
  readonly mimeType?: string;
  readonly uri?: string;
  readonly resource?: { readonly uri?: string; readonly mimeType?: string; readonly text?: string };
}

function briefly({ type, mimeType, uri, resource }: Block): object {
  if (resource?.text !== undefined) return { type, uri: resource.uri, text: resource.text };
  return { type, mimeType: mimeType ?? resource?.mimeType, uri: uri ?? resource?.uri };
}

/** Servers of the MCP SDK say so of arguments that do not fit. */
function isInvalid(said: string): boolean {
  return said.startsWith("MCP error -32602");
}
