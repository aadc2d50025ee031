import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

/** Builds the page that the server gives for `GET /`. It is served with `Content-Security-Policy: default-src 'self'`. */
export default defineConfig({
  root: fileURLToPath(new URL("src/dashboard", import.meta.url)),
  base: "./", // the server may stand behind a path prefix
  build: {
    outDir: fileURLToPath(new URL("dist/dashboard", import.meta.url)),
    emptyOutDir: true,
    sourcemap: false,
    assetsDir: "assets",
    assetsInlineLimit: 0, // the policy allows no data: URLs
    modulePreload: { polyfill: false },
  },
});
