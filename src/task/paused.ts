/** What ends a run whose task waits for somebody: no failure, and nothing that a caller sees. */
export class Paused extends Error {
  override readonly name = "Paused";

  constructor() {
    super("the task waits for somebody's input; the agent runs again when it is there");
  }
}
