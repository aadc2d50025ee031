/** Each stands after those before it. */
export function expectSteps(output: string, steps: readonly string[]): void {
  let from = 0;
  const missing = steps.filter((step) => {
    const at = output.indexOf(step, from);
    if (at >= 0) from = at + step.length;
    return at < 0;
  });
  expect({ missing, output }).toEqual({ missing: [], output });
}
