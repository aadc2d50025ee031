import { natsBounds } from "../../core/index.ts";
import type { NatsLink } from "./link.ts";
import { type Layout, logStreams } from "./subjects.ts";

/**
 * The names of all logs below a prefix, in order. The leaders list the subjects of their streams, 100,000 in an answer, without a look at a
 * message; a name costs some 60 bytes on the way. What ends at a `/` of the prefix narrows it: "task/" lists no threads.
 */
export async function listLogNames(link: NatsLink, layout: Layout, prefix: string): Promise<string[]> {
  const attempt = { what: "the list of logs", untilMs: performance.now() + natsBounds.retryMs };
  const infos = await Promise.all(
    Array.from({ length: logStreams }, (_, shard) =>
      link.attempt(attempt, () =>
        link.manager.streams.info(layout.logStream(shard), { subjects_filter: layout.logFilter(shard, prefix) }),
      ),
    ),
  );
  const subjects = infos.flatMap(({ state }) => Object.keys(state.subjects ?? {}));
  return subjects
    .map((subject) => layout.nameOf(subject))
    .filter((name) => name.startsWith(prefix))
    .sort();
}
