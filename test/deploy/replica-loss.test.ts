import { mkdtempSync, rmSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Agents, Code, ConnectError, type ConnectOptions, connect } from "../../src/index.ts";
import { kindsOf, startLoad, until } from "../fault/load.ts";
import { convoke, type Process } from "../support/process.ts";
import { envelope, outcomeOf, type RawAnswer, requestOn } from "../support/raw.ts";
import { describeWith } from "../support/tools.ts";
import { type Addresses, balancers, type RunningBalancer } from "./balancer.ts";

interface Replica extends Process {
  readonly address: string;
}

/** As a process of its own, by the command line. */
async function startReplica(name: string, ...options: string[]): Promise<Replica> {
  const args = ["serve", "test/fixtures/deploy/where.ts", "--port", "0", "--log-level", "silent", ...options];
  const process = convoke(args, { env: { REPLICA: name } });
  const { groups } = await process.seen(/ on http:\/\/(?<address>\S+)\n/);
  return { ...process, address: groups?.["address"] ?? "" };
}

/** Nobody listens there. */
const nobody = "127.0.0.1:1";

/** What a gRPC client gets on the wire when the replica of its call is killed before the answer began. */
const unanswered: Record<string, string> = {
  nginx: "grpc 14", // UNAVAILABLE
  haproxy: "reset 7", // REFUSED_STREAM: that the server did not begin, which HAProxy cannot know (its issue 3414)
};

for (const { tool, start } of balancers) {
  describeWith(tool, `${tool.name} with its configuration of deploy/, when replicas go`, (path) => {
    const running: RunningBalancer[] = [];
    const clients: Agents[] = [];

    afterEach(async () => {
      for (const client of clients.splice(0)) client.close();
      await Promise.all(running.splice(0).map((balancer) => balancer.stop()));
    });

    async function balance(replicas: Addresses): Promise<RunningBalancer> {
      const balancer = await start(path, replicas);
      running.push(balancer);
      return balancer;
    }

    function reach(options: ConnectOptions): Agents {
      const agents = connect(options);
      clients.push(agents);
      return agents;
    }

    /** One gRPC call by hand. */
    async function call({ url, ca }: RunningBalancer, meanwhile?: () => Promise<void>): Promise<RawAnswer> {
      const session = connectHttp2(url, { ca });
      const body = envelope("\x1a\x04stay"); // TaskRequest{content}: field 3, length-delimited
      const answer = requestOn(session, { path: "/agent.v1.AgentService/ProcessTask", type: "application/grpc", body });
      await meanwhile?.();
      await answer;
      session.close();
      return answer;
    }

    test("no idempotent call fails when one of three replicas is killed (-9), and when another is drained", async () => {
      const [one, two, three] = await Promise.all([startReplica("one"), startReplica("two"), startReplica("three")]);
      const { url, ca } = await balance([one.address, two.address, three.address]);
      const agents = reach({ urls: [url], health: false, waitForReady: true, tls: { ca } });
      const load = startLoad(100, async () => (await agents.process("who?", { timeoutMs: 10_000 })).content);
      const goesOn = async () => {
        const before = load.answers.get("three") ?? 0;
        expect(await until(() => (load.answers.get("three") ?? 0) > before + 50, 10_000)).toBeLessThan(10_000);
      };
      expect(await until(() => load.offered > 300, 10_000)).toBeLessThan(10_000); // a budget for retries comes of calls
      expect([...load.answers.keys()].sort()).toEqual(["one", "three", "two"]);
      one.child.kill("SIGKILL");
      await one.exit;
      await goesOn();
      two.child.kill("SIGTERM");
      expect(await two.exit).toMatchObject({ code: 0 });
      await goesOn();
      await load.stop();
      expect(kindsOf(load.failures)).toBe("");
    });

    test("a call whose replica is killed before it answered fails in words that clients understand", async () => {
      const replica = await startReplica("one");
      const answer = await call(await balance([replica.address, nobody, nobody]), async () => {
        await replica.seen(/stays/);
        replica.child.kill("SIGKILL");
      });
      expect(outcomeOf(answer)).toBe(unanswered[tool.name]);
    });

    test.each(["grpc", "grpc-web", "connect"] as const)(
      "%s: a stream whose replica is killed fails, it does not just end",
      async (protocol) => {
        const replica = await startReplica("one");
        const { url, ca } = await balance([replica.address, nobody, nobody]);
        const agents = reach({ url, protocol, tls: { ca } });
        const chunks = agents.stream("stay", { resumeForMs: 0 })[Symbol.asyncIterator]();
        expect(await chunks.next()).toMatchObject({ value: { text: "one" } });
        replica.child.kill("SIGKILL");
        await expect(chunks.next()).rejects.toThrow(ConnectError);
      },
    );

    test("a stream whose replica is killed goes on at another one of the same store", async () => {
      const folder = mkdtempSync(join(tmpdir(), "convoke-test-"));
      const replicas = await Promise.all(["one", "two"].map((name) => startReplica(name, "--data", folder)));
      const [one, two] = replicas.map(({ address }) => address);
      const { url, ca } = await balance([one ?? nobody, two ?? nobody, nobody]);
      const begun = join(folder, "begun");
      const said: string[] = [];
      for await (const { text, restartedFrom } of reach({ url, tls: { ca } }).stream(`stay once ${begun}`)) {
        if (restartedFrom !== undefined) said.push(`from ${restartedFrom} on`);
        if (text === "") continue;
        if (said.push(text) === 1) replicas[text === "one" ? 0 : 1]?.child.kill("SIGKILL");
      }
      expect(said).toEqual(said[0] === "one" ? ["one", "from 0 on", "two"] : ["two", "from 0 on", "one"]);
      rmSync(folder, { recursive: true });
    });

    test("without any replica, gRPC gets a Trailers-Only answer with UNAVAILABLE, the others HTTP 503", async () => {
      const balancer = await balance([nobody, nobody, nobody]);
      const { status, headers, body, trailers } = await call(balancer);
      expect({ status, body: body.length, trailers }).toEqual({ status: 200, body: 0, trailers: {} });
      expect(headers).toMatchObject({ "content-type": "application/grpc", "grpc-status": "14" });
      for (const protocol of ["grpc-web", "connect"] as const) {
        const answer = reach({ url: balancer.url, protocol, tls: { ca: balancer.ca } }).process("x");
        await expect(answer).rejects.toMatchObject({ code: Code.Unavailable });
      }
    });
  });
}
