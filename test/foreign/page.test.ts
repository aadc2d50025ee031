import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fromBinary } from "@bufbuild/protobuf";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { TaskResponseSchema } from "../../src/contract/index.ts";
import { type Agent, Code, citation, defineAgent, inputRequest, type ServeOptions } from "../../src/index.ts";
import { createGate, echo, failing } from "../support/agents.ts";
import { bundleWeb } from "../support/bundle.ts";
import { createCertificate } from "../support/certificate.ts";
import { createPayer } from "../support/payer.ts";
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

/** Calls a method from the page, as somebody else who may do the same. */
const callThere = (page: Page, method: string, message: object) =>
  page.evaluate(
    async ([path, body]) => {
      const response = await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body });
      return await response.json();
    },
    [`/agent.v1.AgentService/${method}`, JSON.stringify(message)] as const, // a tuple, so that the two keep their types
  );

/** The only task there is, and what it waits for. */
async function waitingTask(page: Page): Promise<{ taskId: string; inputId: string }> {
  const [{ taskId }] = (await callThere(page, "ListTasks", {})).tasks;
  const { task } = await callThere(page, "GetTask", { taskId });
  return { taskId, inputId: task.response.inputRequests[0].inputId };
}

const waiting = "Waits for your answer";

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

    describe("a task that waits for somebody", () => {
      const prompt = 'May agent "payer" call the tool "pay"?';

      test("shows what is asked, and goes on to its end with the leave that is given", async () => {
        const { agent, paid } = createPayer();
        const page = await open([agent]);
        await ask(page, "5");
        await shows(page, "#status", waiting);
        expect(await page.locator("#requests li").allInnerTexts()).toEqual([
          expect.stringMatching(/^May agent .*\n+pay {"amount":5}/),
        ]);
        const form = page.getByRole("form", { name: prompt });
        await form.getByRole("textbox", { name: "Reason, if you like" }).fill("it is due");
        expect(paid).toEqual([]);
        await form.getByRole("button", { name: "Approve" }).click();
        await shows(page, "#status", "Completed");
        await shows(page, "#answer", "Shall I? I have a receipt 1.");
        await shows(page, "#requests .verdict", "Approved: it is due");
        expect(await page.locator("#reply").isVisible()).toBe(false);
        expect(await page.locator("#question").evaluate((box) => box === document.activeElement)).toBe(true);
        expect(paid).toEqual([5]);
      });

      test("is refused with a reason, by keyboard alone; Enter in the reason chooses nothing", async () => {
        const { agent, paid } = createPayer();
        const page = await open([agent]);
        await ask(page, "5");
        await shows(page, "#status", waiting);
        for (const _ of ["Approve", "Refuse", "the reason"]) await page.keyboard.press("Shift+Tab");
        await page.keyboard.type("too dear");
        await page.keyboard.press("Enter");
        expect(await page.locator("#words").inputValue()).toBe("too dear\n");
        await page.keyboard.press("Tab");
        await page.keyboard.press("Enter");
        await shows(
          page,
          "#error",
          'The answer failed: the call of tool "pay" was not approved: too dear (PERMISSION_DENIED).',
        );
        await shows(page, "#requests .verdict", "Refused: too dear");
        expect(paid).toEqual([]);
      });

      test("may ask for words, and for several things, one after another", async () => {
        const several = defineAgent({
          name: "several",
          async *run({ inputs }) {
            if (inputs.length > 0) return yield inputs.map(({ text }) => text).join(" & ");
            yield inputRequest({ prompt: "<b>Who</b> comes?" });
            yield inputRequest({ prompt: "When?" });
          },
        });
        const page = await open([several]);
        await ask(page, "a table");
        const first = page.getByRole("form", { name: "<b>Who</b> comes?" });
        await first.getByRole("button", { name: "Answer" }).click(); // without words there is no answer
        expect(await first.getByRole("button", { name: "Approve" }).isVisible()).toBe(false);
        await first.getByRole("textbox", { name: "Your answer" }).fill("Ana");
        await first.getByRole("button", { name: "Answer" }).click();
        const second = page.getByRole("form", { name: "When?" });
        await second.getByRole("textbox", { name: "Your answer" }).fill("at noon");
        await second.getByRole("button", { name: "Answer" }).click();
        await shows(page, "#status", "Completed");
        await shows(page, "#answer", "Ana & at noon");
        expect(await page.locator("#requests .verdict").allTextContents()).toEqual(["Answered: Ana", "Answered: at noon"]);
      });

      test("may ask again: the reason of the first time is not that of the second", async () => {
        const twice = defineAgent({
          name: "twice",
          async *run({ inputs: [first, second] }) {
            if (first === undefined) yield inputRequest({ prompt: "Who?" });
            else if (second === undefined) yield inputRequest({ prompt: "When?" });
            else yield `${first.text}, ${second.text}`;
          },
        });
        const page = await open([twice]);
        await ask(page, "a table");
        for (const [prompt, words] of [
          ["Who?", "Ana"],
          ["When?", "at noon"],
        ] as const) {
          const form = page.getByRole("form", { name: prompt });
          await form.waitFor();
          expect(await page.locator("#words").inputValue()).toBe("");
          await page.locator("#words").fill(words);
          await form.getByRole("button", { name: "Answer" }).click();
        }
        await shows(page, "#answer", "Ana, at noon");
      });

      test("that somebody else has answered goes on as they said, and tells so", async () => {
        const { agent, paid } = createPayer();
        const page = await open([agent]);
        await ask(page, "5");
        await shows(page, "#status", waiting);
        const { taskId, inputId } = await waitingTask(page);
        await callThere(page, "ProcessTask", { taskId, inputs: [{ inputId, approved: true, text: "mine" }] });
        await page.getByRole("button", { name: "Refuse" }).click();
        await shows(page, "#error", "Your answer was not taken: the task has gone on without it.");
        await shows(page, "#answer", "Shall I? I have a receipt 1.");
        await shows(page, "#requests .verdict", "Approved: mine");
        await shows(page, "#status", "Completed");
        expect(paid).toEqual([5]);
      });

      test("that was cancelled elsewhere has ended", async () => {
        const { agent, paid } = createPayer();
        const page = await open([agent]);
        await ask(page, "5");
        await shows(page, "#status", waiting);
        await callThere(page, "CancelTask", { taskId: (await waitingTask(page)).taskId });
        await page.getByRole("button", { name: "Approve" }).click();
        await page.locator("#error", { hasText: /^The answer failed: .* \(CANCELLED\)\.$/ }).waitFor();
        expect(await page.locator("#reply").isVisible()).toBe(false);
        expect(paid).toEqual([]);
      });

      test("can be answered again when an answer did not arrive, with the reason still there", async () => {
        const { agent, paid } = createPayer();
        const page = await open([agent]);
        await ask(page, "5");
        await shows(page, "#status", waiting);
        await page.route(/StreamResponse$/, (route) => route.abort(), { times: 1 });
        await page.locator("#words").fill("it is due");
        await page.getByRole("button", { name: "Approve" }).click();
        await page.locator("#error", { hasText: /^Your answer was not taken: .*\.$/ }).waitFor();
        await shows(page, "#status", waiting);
        expect(complaints.splice(0)).toEqual([expect.stringContaining("net::ERR_FAILED")]);
        expect(await page.locator("#words").inputValue()).toBe("it is due");
        await page.getByRole("button", { name: "Approve" }).click();
        await shows(page, "#status", "Completed");
        expect(await page.locator("#error").textContent()).toBe("");
        expect(paid).toEqual([5]);
      });

      test("is left by the next question, and says how it is answered later", async () => {
        const page = await open([createPayer().agent]);
        await ask(page, "5");
        await shows(page, "#status", waiting);
        const { taskId } = await waitingTask(page);
        await ask(page, "6");
        await shows(page, "#status", waiting);
        const [left = ""] = await page.locator("#history > li").allInnerTexts();
        expect(left).toContain(`convoke tasks answer ${new URL(page.url()).origin} ${taskId}, with --approve`);
        expect(left).toContain('pay {"amount":5}');
        expect(await page.locator("#history :is(form, button)").count()).toBe(0);
        expect(await page.locator("#requests").textContent()).toContain('pay {"amount":6}');
      });
    });
  });

  test("the page says so when a task that waited for an answer is gone", async () => {
    const { agent } = createPayer();
    const { url, close } = await startServer({ agents: [agent] });
    const page = await context.newPage();
    await page.goto(url);
    await page.locator("#question").fill("5");
    await page.keyboard.press("Enter");
    await shows(page, "#status", waiting);
    await close();
    await startServer({ agents: [agent], port: Number(new URL(url).port) }); // its tasks ended with the other one
    await page.getByRole("button", { name: "Approve" }).click();
    await page.locator("#error", { hasText: /^Your answer was not taken: there is no task .* \(NOT_FOUND\)\.$/ }).waitFor();
    expect(await page.locator("#reply").isVisible()).toBe(false);
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
