// A person with a browser: browser.mjs CHROMIUM. Takes commands as JSON, one a line, and answers each with one line.
// It is a real Chromium, without a window.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const LIMIT = 60_000;
const axe = readFileSync(new URL('node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
const browser = await chromium.launch({
  executablePath: process.argv[2] ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
let context;
let page;
let loads = 0;
let complaints = [];

const section = ({ account }) => (account ? page.locator(`#account-${account}`) : page.locator('body'));

const commands = {
  // A new window on the page.
  async open({ url, scheme = 'light', javascript = true, width = 900, height = 900 }) {
    await context?.close();
    context = await browser.newContext({
      colorScheme: scheme, javaScriptEnabled: javascript, viewport: { width, height }, deviceScaleFactor: 2,
    });
    page = await context.newPage();
    page.setDefaultTimeout(LIMIT);
    [loads, complaints] = [0, []];
    page.on('load', () => { loads += 1; });
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => { if (message.type() === 'error') complaints.push(message.text()); });
    page.on('dialog', (dialog) => { complaints.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
    const answer = await page.goto(url, { waitUntil: 'load' });
    return { status: answer.status(), headers: answer.headers() };
  },
  async click({ account, button }) {
    await section({ account }).getByRole('button', { name: button, exact: true }).click();
  },
  async press({ key }) {
    await page.keyboard.press(key);
  },
  // Until a text is shown, or until none such is.
  async wait({ account, text, gone = false }) {
    await section({ account }).getByText(text).first().waitFor({ state: gone ? 'hidden' : 'visible' });
  },
  async text({ account }) {
    return { text: await section({ account }).innerText() };
  },
  async attribute({ selector, name }) {
    return { value: await page.locator(selector).first().getAttribute(name) };
  },
  async evaluate({ script }) {
    return { value: await page.evaluate(script) };
  },
  async until({ script }) {
    await page.waitForFunction(script, undefined, { polling: 20 });
  },
  async screenshot({ path, account, full = false }) {
    const options = { path, animations: 'disabled' };
    if (account) await section({ account }).locator('img').screenshot(options);
    else await page.screenshot({ ...options, fullPage: full });
  },
  // What axe-core has against the page as it is now.
  async accessibility() {
    await page.evaluate(axe);
    const { violations, passes } = await page.evaluate('axe.run(document)');
    const found = violations.map(({ id, impact, help, nodes }) => ({ id, impact, help, nodes: nodes.map((node) => node.html) }));
    return { violations: found, passes: passes.length };
  },
  async state() {
    return { loads, complaints, title: await page.title() };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  let answer;
  try {
    answer = (await commands[command.do](command)) ?? {};
  } catch (error) {
    const shown = await page?.locator('body').innerText().catch(() => '');
    answer = { error: `${error}\n${shown}` };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
