/** Tools of MCP servers (Model Context Protocol, https://modelcontextprotocol.io), for agents. */
export type { McpServer } from "./connection.ts";
export { type McpTools, type McpToolsOptions, mcpTools } from "./mcp-tools.ts";
