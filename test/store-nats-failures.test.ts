import { JetStreamApiError } from "@nats-io/jetstream";
import { isPassing } from "../src/store/nats/failures.ts";

test.each<[description: string, code: number, errCode: number, passing: boolean]>([
  ["no suitable peers for placement, peer offline", 400, 10_005, true], // as nats-server says while one that is needed is away
  ["no suitable peers for placement, insufficient storage available", 400, 10_005, false],
  ["no suitable peers for placement, tags not matched", 400, 10_005, false],
  ["replicas > 1 not supported in non-clustered mode", 500, 10_074, false],
  ["JetStream system temporarily unavailable", 503, 10_008, true],
  ["insufficient resources", 503, 10_023, true],
  ["account limits exceeded", 400, 10_002, false],
])("JetStream says %j: %s, %s, which passes: %s", (description, code, errCode, passing) => {
  expect(isPassing(new JetStreamApiError({ code, err_code: errCode, description }))).toBe(passing);
});
