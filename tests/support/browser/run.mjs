// Runs one scripted flow in a real browser: `node run.mjs PLAYWRIGHT-FOLDER`, the flow as JSON on standard input.
// {"script": "the body of an async function", "args": …, "switches": […]}; what the function returns is printed as JSON.
//
// Within the script: `browser`, `context` (one person's cookies), `page` (a first tab), `args`, and
// `signIn(page, user, password)`, which fills in the CAS server's form on the page and waits for where it leads.
import { createRequire } from "node:module";
import { existsSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";

const { chromium } = createRequire(`${process.argv[2]}/`)("playwright-core");
const { script, args, deadline, switches } = JSON.parse(readFileSync(0, "utf8"));

async function signIn(page, user, password) {
  await page.fill("#id_username", user);
  await page.fill("#id_password", password);
  await Promise.all([
    page.waitForURL((url) => !url.pathname.startsWith("/cas/login")),
    page.click("#login_form button[type=submit]"),
  ]);
}

const browser = await chromium.launch({
  executablePath: process.env.PATH.split(delimiter).map((folder) => join(folder, "chromium")).find(existsSync),
  // The browser's own walls need rights that a container may not have; it sees the tests' pages only.
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server", ...switches],
});
try {
  const context = await browser.newContext();
  context.setDefaultTimeout(deadline);
  const page = await context.newPage();
  const AsyncFunction = (async () => {}).constructor;
  const names = ["browser", "context", "page", "args", "signIn"];
  const told = await new AsyncFunction(...names, script)(browser, context, page, args, signIn);
  process.stdout.write(JSON.stringify(told ?? null));
} finally {
  await browser.close();
}
