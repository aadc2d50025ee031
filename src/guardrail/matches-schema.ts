import { Status } from "../contract/index.ts";
import { describeIssues, type StandardSchema } from "../core/index.ts";
import { blockFor, type Guardrail } from "./guardrail.ts";

/**
 * Blocks an answer whose text is not JSON that fits a schema, of zod, Valibot, ArkType or whatever else is a Standard Schema
 * (https://standardschema.dev, version 1). The text stays as it is: defaults and conversions of the schema are not put in.
 *
 * A task that waits for tool results and has not begun its answer passes.
 *
 * @throws TypeError for what is no Standard Schema of version 1.
 */
export function matchesSchema(schema: StandardSchema): Guardrail {
  const standard = schema?.["~standard"];
  if (standard?.version !== 1 || typeof standard.validate !== "function") {
    throw new TypeError("matchesSchema needs a Standard Schema of version 1, such as zod's");
  }
  return {
    name: "matchesSchema",
    async check({ content, status }) {
      if (status === Status.REQUIRES_TOOL_CALL && content.trim() === "") return { outcome: "pass" };
      let value: unknown;
      try {
        value = JSON.parse(content);
      } catch {
        return blockFor(["the answer is no JSON"]);
      }
      const { issues = [] } = await standard.validate(value);
      return blockFor(issues.map((issue) => describeIssues([issue])));
    },
  };
}
