// A person with a phone: approve.mjs VERIFICATION_URI_COMPLETE [--deny] [--login NAME] [--ca ca.pem]
// Follows the forms of oidc-provider's development pages until a page says that it is done.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { parseArgs } from 'node:util';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    deny: { type: 'boolean', default: false },
    login: { type: 'string', default: 'alice' },
    ca: { type: 'string' },
  },
});
if (positionals.length !== 1) {
  console.error('usage: approve.mjs VERIFICATION_URI_COMPLETE [--deny] [--login NAME] [--ca ca.pem]');
  process.exit(2);
}
const ca = options.ca && readFileSync(options.ca);

// Name to value and path: the interaction cookies differ by path only.
const jar = new Map();

function remember(lines = []) {
  for (const line of lines) {
    const [pair, ...attributes] = line.split(/; */);
    const [name, value] = pair.split(/=(.*)/s);
    const attribute = (wanted) => attributes.find((a) => a.toLowerCase().startsWith(`${wanted}=`))?.slice(wanted.length + 1);
    const path = attribute('path') ?? '/';
    const expires = attribute('expires');
    if (!value || (expires && new Date(expires) <= new Date())) jar.delete(`${name} ${path}`);
    else jar.set(`${name} ${path}`, { name, value, path });
  }
}

const within = (path, folder) => path === folder || path.startsWith(folder.endsWith('/') ? folder : `${folder}/`);

function request(url, form) {
  const body = form && new URLSearchParams(form).toString();
  const cookies = [...jar.values()].filter(({ path }) => within(url.pathname, path));
  const headers = {
    accept: 'text/html',
    ...(cookies.length ? { cookie: cookies.map(({ name, value }) => `${name}=${value}`).join('; ') } : {}),
    ...(body ? { 'content-type': 'application/x-www-form-urlencoded', 'content-length': Buffer.byteLength(body) } : {}),
  };
  return new Promise((resolve, reject) => {
    const library = url.protocol === 'https:' ? https : http;
    const call = library.request(url, { method: body ? 'POST' : 'GET', headers, ca, timeout: 10_000 }, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part)).on('error', reject).on('end', () => {
        remember(answer.headers['set-cookie']);
        const { location } = answer.headers;
        resolve({ url, status: answer.statusCode, next: location && new URL(location, url), html: Buffer.concat(parts).toString() });
      });
    });
    call.on('error', reject).on('timeout', () => call.destroy(new Error('no answer in 10 s')));
    call.end(body);
  });
}

async function visit(url, form) {
  let page = await request(url, form);
  for (let hops = 0; page.next; hops += 1) {
    if (hops === 10) fail('too many redirects', page);
    page = await request(page.next);
  }
  return page;
}

const unescape = (text) => text.replace(/&(quot|#39|lt|gt|amp);/g, (_, name) => ({ quot: '"', '#39': "'", lt: '<', gt: '>', amp: '&' })[name]);
const attribute = (tag, name) => unescape(new RegExp(`\\s${name}="([^"]*)"`).exec(tag)?.[1] ?? '');
const text = (html) => unescape(html.replace(/<(style|script|details)[\s\S]*?<\/\1>|<[^>]*>/g, ' ')).replace(/\s+/g, ' ').trim();

function firstForm({ html, url }) {
  const [, opening, inside] = /(<form\b[^>]*>)([\s\S]*?)<\/form>/.exec(html) ?? [];
  if (!opening) return undefined;
  const fields = {};
  const typed = [];
  for (const [tag] of inside.matchAll(/<input\b[^>]*>/g)) {
    if (attribute(tag, 'type') === 'hidden') fields[attribute(tag, 'name')] = attribute(tag, 'value');
    else typed.push(attribute(tag, 'name'));
  }
  return { action: new URL(attribute(opening, 'action'), url), fields, typed };
}

function fail(why, page) {
  console.error(`${why}: ${page.status} ${page.url.pathname}: ${text(page.html)}`);
  process.exit(1);
}

function done(what) {
  console.log(what);
  process.exit(0);
}

let page = await visit(new URL(positionals[0]));
for (let step = 0; step < 10; step += 1) {
  if (page.status !== 200) fail('refused', page);
  if (page.html.includes('<h1>Sign-in Success</h1>')) done('done');
  const form = firstForm(page);
  if (!form) fail('no form', page);
  const { action, fields, typed } = form;

  if (typed.includes('login')) {
    Object.assign(fields, { login: options.login, password: 'x' });
    console.log(`log in as ${options.login}`);
  } else if (typed.length) {
    fail('the page wants a code', page);
  } else if (fields.confirm) {
    console.log(`confirm page: ${text(/<code>[\s\S]*?<\/code>/.exec(page.html)?.[0] ?? '')}`);
    if (options.deny) {
      page = await visit(action, { ...fields, abort: 'yes' });
      if (!page.html.includes('was interrupted')) fail('not denied', page);
      done('denied');
    }
  } else if (fields.prompt === 'consent') {
    console.log('consent');
  } else {
    console.log('code from the link');
  }
  page = await visit(action, fields);
}
fail('no end in sight', page);
