/** Tests run the TypeScript sources as ES modules; `convoke` in examples and tests is `src/`. */
export default {
  testEnvironment: "node",
  testMatch: ["<rootDir>/test/**/*.test.ts"],
  extensionsToTreatAsEsm: [".ts"],
  transform: {
    "^.+\\.ts$": ["@swc/jest", { jsc: { target: "es2023", parser: { syntax: "typescript" } }, module: { type: "es6" } }],
  },
  moduleNameMapper: {
    "^convoke$": "<rootDir>/src/index.ts",
    "^convoke/(web|wire|contract|guardrail)$": "<rootDir>/src/$1/index.ts",
  },
  testTimeout: 30_000,
};
