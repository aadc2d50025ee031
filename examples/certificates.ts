import { readFileSync } from "node:fs";
import { join } from "node:path";

const [folder = ""] = process.argv.slice(2);
const read = (file: string) => readFileSync(join(folder, file), "utf8");

/** What this process proves who it is with, and whom it trusts; from the folder that `convoke certs` filled. */
export function certificatesOf(name: string) {
  const own = { cert: read(`${name}.crt`), key: read(`${name}.key`) };
  const authority = read("ca.crt");
  return { server: { ...own, clientCa: authority }, client: { ...own, ca: authority } };
}
