/** Gathers the values of an option that can be repeated. For commander. */
export function collect(value: string, before: string[] = []): string[] {
  return [...before, value];
}
