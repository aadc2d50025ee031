import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fromBinary } from "@bufbuild/protobuf";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { TaskResponseSchema } from "../../src/contract/index.ts";
import { type Agent, Code, citation, defineAgent, type ServeOptions } from "../../src/index.ts";
import { createGate, echo, failing } from "../support/agents.ts";
import { bundleWeb } from "../support/bundle.ts";
import { createCertificate } from "../support/certificate.ts";
import { envelope } from "../support/raw.ts";
import { startServer } from "../support/server.ts";
import { describeWith, findTool } from "../support/tools.ts";
import { readEnvelopes } from "./envelopes.ts";

const browserArgs = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Waits until the one element that the selector finds is to be seen with exactly this text, white space at its ends aside. */
const shows = (page: Page, selector: string, text: string) =>
  page
    .locator(selector)
    .and(page.getByText(text, { exact: true }))
    .waitFor();

/** Types a question where the focus is, and sends it. */
async function ask(page: Page, question: string): Promise<void> {
  await page.keyboard.type(question);
  await page.keyboard.press("Enter");
}

/** As browsers speak them: HTTP/2 is never in clear text. */
const httpVersions: [name: string, protocol: string, transport: () => Promise<Partial<ServeOptions>>][] = [
  ["HTTP/1.1 in clear text", "http/1.1", async () => ({})],
  ["HTTP/2 over TLS", "h2", async () => ({ tls: await createCertificate() })],
];

type Web = typeof import("../../src/web/index.ts");
type Protocol = "grpc-web" | "connect";

/** Runs in the page: a call, and a stream that is told to the console piece by piece. */
async function askThere(protocol: Protocol) {
  const { connect }: Web = await import(`${location.origin}/web.js`);
  const agents = connect({ baseUrl: location.origin, protocol });
  const { content } = await agents.process("hi");
  const texts: string[] = [];
  for await (const { text } of agents.agent("gated").stream("x")) {
    texts.push(text);
    console.log(text);
  }
  const entries = performance.getEntriesByType("resource").filter(({ name }) => name.endsWith("/ProcessTask"));
  return { content, texts, httpVersion: entries[0]?.toJSON().nextHopProtocol };
}

/** Runs in the page: a stream that fails. */
async function failThere(protocol: Protocol) {
  const { connect, ConnectError }: Web = await import(`${location.origin}/web.js`);
  const texts: string[] = [];
  try {
    for await (const { text } of connect({ baseUrl: location.origin, protocol }).stream("typed")) texts.push(text);
  } catch (thrown) {
    const { code, rawMessage } = ConnectError.from(thrown);
    return { texts, code, message: rawMessage };
  }
  return { texts };
}

/** Runs in the page: leaves a stream after its first piece. */
async function leaveThere(protocol: Protocol) {
  const { connect }: Web = await import(`${location.origin}/web.js`);
  for await (const { text } of connect({ baseUrl: location.origin, protocol }).stream("x")) if (text === "first") break;
}

describeWith(findTool("chromium", "CHROMIUM"), "Chromium", (executablePath) => {
  let browser: Browser;
  let context: BrowserContext;

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath, args: browserArgs });
  });
  beforeEach(async () => {
    context = await browser.newContext({ ignoreHTTPSErrors: true });
  });
  afterEach(() => context.close());
  afterAll(() => browser.close());

  describe.each(httpVersions)("the page, over %s", (_name, protocol, transport) => {
    /** What the browser complained of: errors of scripts, refused resources, violations of the policy. */
    const complaints: string[] = [];

    /** Opens the page of a server with these agents, the focus in the box for the question, by keyboard alone. */
    async function open(agents: readonly Agent[]): Promise<Page> {
      const { url } = await startServer({ agents, ...(await transport()) });
      const page = await context.newPage();
      page.on("pageerror", (error) => complaints.push(String(error)));
      page.on("console", (message) => {
        if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
      });
      await page.goto(url);
      await page
        .locator(".agent")
        .nth(agents.length - 1)
        .waitFor();
      await page.keyboard.press("Tab"); // to "Skip to the question"
      await page.keyboard.press("Enter");
      return page;
    }

    beforeEach(() => complaints.splice(0));
    afterEach(() => expect(complaints).toEqual([]));

    test("comes over that protocol and lists the agents, the default one chosen", async () => {
      const page = await open([echo, failing]);
      expect(await page.evaluate(() => performance.getEntriesByType("navigation")[0]?.toJSON().nextHopProtocol)).toBe(protocol);
      expect(await page.locator(".agent .name").allTextContents()).toEqual(["echo", "failing"]);
      expect(
        await page.locator(".agent input").evaluateAll((radios) => radios.map((radio) => radio.matches(":checked"))),
      ).toEqual([true, false]);
    });

    test("shows each piece of an answer when it comes, before the answer is whole", async () => {
      const gate = createGate();
      const page = await open([gate.agent]);
      await ask(page, "What comes first?");
      await shows(page, "#answer", "first");
      await shows(page, "#status", "Answering…");
      gate.open();
      await shows(page, "#answer", "first second");
      await shows(page, "#status", "Completed");
    });

    test("shows the sources of an answer", async () => {
      const page = await open([echo]);
      await ask(page, "hello there");
      await shows(page, "#status", "Completed · 3 tokens read, 2 written");
      expect(await page.locator("#citations li").allInnerTexts()).toEqual([
        expect.stringMatching(/The question[\s\S]*task:content, lines 1–2[\s\S]*hello there/),
      ]);
    });

    test("asks the agent that the arrow keys choose", async () => {
      const named = defineAgent({
        name: "named",
        async *run() {
          yield "I am the second";
        },
      });
      const page = await open([echo, named]);
      await page.locator("#agents input").first().focus();
      await page.keyboard.press("ArrowDown");
      await shows(page, "#recipient", "Question to named");
      await page.locator("#question").focus();
      await ask(page, "Who are you?");
      await shows(page, "#answer", "I am the second");
    });

    test.each(["Stop", "Escape"])("%s ends the answer and stops the agent", async (way) => {
      const gate = createGate();
      const page = await open([gate.agent]);
      await ask(page, "Go on for ever");
      await shows(page, "#answer", "first");
      if (way === "Stop") await page.locator("#stop").click();
      else await page.keyboard.press("Escape");
      await shows(page, "#status", "Stopped");
      expect(await gate.stopped).toMatchObject({ name: "ConnectError" });
      expect(await page.locator("#error").textContent()).toBe("");
    });

    test("a failure is one sentence, after what came before it, and gives the question back", async () => {
      const page = await open([failing]);
      await ask(page, "typed");
      await shows(page, "#error", "The answer failed: the calendar is read-only (FAILED_PRECONDITION).");
      await shows(page, "#answer", "before");
      expect(await page.locator("#question").inputValue()).toBe("typed");
    });

    test("HTML in an answer stays text, and a script's address is no link", async () => {
      const hostile = defineAgent({
        name: "hostile",
        async *run() {
          yield "<img src=x onerror=alert(1)><script>alert(2)</script>";
          yield citation({ uri: "javascript:alert(3)", title: "<b>title</b>", quote: "<i>quote</i>" });
        },
      });
      const page = await open([hostile]);
      await ask(page, "<u>question</u>");
      await shows(page, "#status", "Completed");
      expect(await page.locator("#answer").innerHTML()).toBe(
        "&lt;img src=x onerror=alert(1)&gt;&lt;script&gt;alert(2)&lt;/script&gt;",
      );
      expect(await page.locator("#citations").textContent()).toContain("<b>title</b>");
      expect(await page.locator("#turn :is(img, script, b, i, u, a)").count()).toBe(0);
    });
  });

  describe.each(["grpc-web", "connect"] as const)("convoke/web over %s", (protocol) => {
    let bundle: string;

    beforeAll(async () => {
      bundle = (await bundleWeb()).map(({ code }) => code).join("\n");
    });

    /** A page of the server's own origin that has `convoke/web`, and that asks its agents. */
    async function open(options: Partial<ServeOptions>): Promise<Page> {
      const { url } = await startServer(options);
      const page = await context.newPage();
      await page.route(/\/(web\.js|test\.html)$/, (route) => {
        const script = route.request().url().endsWith(".js");
        return route.fulfill(
          script ? { contentType: "text/javascript", body: bundle } : { contentType: "text/html", body: "<!doctype html>" },
        );
      });
      await page.goto(`${url}/test.html`);
      return page;
    }

    describe.each(httpVersions)("over %s", (_version, httpVersion, transport) => {
      test("a call answers, and a stream brings each piece of an answer when it comes", async () => {
        const gate = createGate();
        const page = await open({ agents: [echo, gate.agent], ...(await transport()) });
        const seen = page.waitForEvent("console", { predicate: (message) => message.text() === "first" });
        const answer = page.evaluate(askThere, protocol);
        await seen;
        gate.open();
        expect(await answer).toEqual({ content: "hi ", texts: ["first", " second", ""], httpVersion });
      });

      test("an error has its code and its sentence, after what came before it", async () => {
        const page = await open({ agents: [failing], ...(await transport()) });
        expect(await page.evaluate(failThere, protocol)).toEqual({
          texts: ["before "],
          code: Code.FailedPrecondition,
          message: "the calendar is read-only",
        });
      });

      test("leaving a stream stops the agent", async () => {
        const gate = createGate();
        const page = await open({ agents: [gate.agent], ...(await transport()) });
        await page.evaluate(leaveThere, protocol);
        expect(await gate.stopped).toMatchObject({ name: "ConnectError" });
      });
    });
  });

  describe("a page of another origin", () => {
    const elsewhere = createServer((_request, response) => {
      response.setHeader("content-type", "text/html");
      response.end("<!doctype html><title>elsewhere</title>");
    });
    let origin: string;

    beforeAll(async () => {
      await once(elsewhere.listen(0, "127.0.0.1"), "listening");
      origin = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}`; // a TCP server's address is never a pipe name
    });
    afterAll(() => {
      elsewhere.closeAllConnections();
      elsewhere.close();
    });

    /** Counts the runs of an agent that says "hi". */
    function createCounted() {
      let runs = 0;
      const agent = defineAgent({
        name: "counted",
        async *run() {
          runs++;
          yield "hi";
        },
      });
      return { agent, runs: () => runs };
    }

    /** Calls by gRPC-Web with plain `fetch` from a page of the other origin. */
    async function callFromElsewhere(options: Partial<ServeOptions>, content: string) {
      const { url } = await startServer(options);
      const page = await context.newPage();
      await page.goto(origin);
      const request = envelope(Buffer.concat([Buffer.of(0x1a, content.length), Buffer.from(content)])); // TaskRequest.content
      return page.evaluate(
        async ([target, bytes]) => {
          const headers = { "content-type": "application/grpc-web+proto", "x-grpc-web": "1" };
          try {
            const response = await fetch(target, { method: "POST", headers, body: Uint8Array.from(bytes) });
            const body = [...new Uint8Array(await response.arrayBuffer())];
            return { body, status: response.headers.get("grpc-status"), message: response.headers.get("grpc-message") };
          } catch (thrown) {
            return String(thrown);
          }
        },
        [`${url}/agent.v1.AgentService/ProcessTask`, [...request]] as const, // a tuple, so that the two keep their types
      );
    }

    test("is refused by default, and no agent runs for it", async () => {
      const counted = createCounted();
      expect(await callFromElsewhere({ agents: [counted.agent] }, "hello")).toBe("TypeError: Failed to fetch");
      expect(counted.runs()).toBe(0);
    });

    test("is refused where others are allowed", async () => {
      const counted = createCounted();
      const cors = { origins: ["https://dashboard.example", origin.replace("127.0.0.1", "localhost")] };
      expect(await callFromElsewhere({ agents: [counted.agent], cors }, "hello")).toBe("TypeError: Failed to fetch");
      expect(counted.runs()).toBe(0);
    });

    test("that is allowed reads the answer", async () => {
      const counted = createCounted();
      const answer = await callFromElsewhere({ agents: [counted.agent], cors: { origins: [origin] } }, "hello");
      if (typeof answer === "string") throw new Error(answer);
      const [message, trailer] = readEnvelopes(Buffer.from(answer.body));
      expect(fromBinary(TaskResponseSchema, message?.data ?? Buffer.of()).content).toBe("hi");
      expect(trailer).toMatchObject({ flags: 0x80, data: Buffer.from("grpc-status: 0\r\n") });
      expect(counted.runs()).toBe(1);
    });

    test("that is allowed reads the code and the sentence of an error", async () => {
      const answer = await callFromElsewhere({ cors: { origins: [origin] } }, " ");
      if (typeof answer === "string") throw new Error(answer);
      const trailer = readEnvelopes(Buffer.from(answer.body)).at(-1)?.data.toString() ?? "";
      expect(answer.status ?? /grpc-status: (\d+)/.exec(trailer)?.[1]).toBe("3");
      expect(decodeURIComponent(answer.message ?? trailer)).toContain("content is missing; say what is asked");
    });
  });
});
