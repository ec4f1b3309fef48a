// An HTTPS server that lets nobody in without a token, and speaks what three real clients speak: git's smart protocol
// below /repo.git (by way of `git http-backend`), the API of a container registry below /v2, and anything else as a
// Kubernetes API server would.
//
//   node guarded.mjs --cert FILE --key FILE --accepted FILE --repositories FOLDER
//
// The file --accepted holds the one token that opens it, read at each request. It prints a line of JSON when it
// listens, and one for each request: its path and how the client proved itself.

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { parseArgs } from 'node:util';

const text = { type: 'string' };
const { values } = parseArgs({ options: { cert: text, key: text, accepted: text, repositories: text } });
const tell = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

// Where a client puts a token: as the password of a user, or as a bearer token.
function proof(header = '') {
  const [scheme, rest = ''] = header.split(' ');
  if (scheme.toLowerCase() !== 'basic') return { scheme, secret: rest };
  const [, user, secret] = /^([^:]*):(.*)$/.exec(Buffer.from(rest, 'base64').toString()) ?? [];
  return { scheme, user, secret };
}

function git(request, response, url) {
  const child = spawn('git', ['http-backend'], {
    env: {
      PATH: process.env.PATH, GIT_PROJECT_ROOT: values.repositories, GIT_HTTP_EXPORT_ALL: '1', PATH_INFO: url.pathname,
      QUERY_STRING: url.search.slice(1), REQUEST_METHOD: request.method, REMOTE_USER: 'x',
      CONTENT_TYPE: request.headers['content-type'] ?? '', HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
      HTTP_GIT_PROTOCOL: request.headers['git-protocol'] ?? '',
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  request.pipe(child.stdin);
  const chunks = [];
  child.stdout.on('data', (chunk) => chunks.push(chunk));
  child.on('close', () => {
    const whole = Buffer.concat(chunks);
    const end = whole.indexOf('\r\n\r\n');
    const headers = whole.subarray(0, end).toString().split('\r\n').map((line) => line.split(': '));
    const status = headers.find(([name]) => name === 'Status')?.[1] ?? '200';
    response.writeHead(parseInt(status, 10), headers.filter(([name]) => name !== 'Status').flat());
    response.end(whole.subarray(end + 4));
  });
}

const digest = (bytes) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const config = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [] } }));
const manifest = Buffer.from(JSON.stringify({
  schemaVersion: 2,
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digest(config), size: config.length },
  layers: [],
}));

function registry(response, path) {
  const send = (type, body) => {
    response.writeHead(200, { 'content-type': type, 'docker-content-digest': digest(body) });
    response.end(body);
  };
  if (path.includes('/manifests/')) return send('application/vnd.oci.image.manifest.v1+json', manifest);
  if (path.endsWith(`/blobs/${digest(config)}`)) return send('application/octet-stream', config);
  if (path.endsWith('/tags/list')) return send('application/json', Buffer.from('{"name":"app","tags":["latest"]}'));
  return send('application/json', Buffer.from('{}'));
}

const server = createServer({ cert: readFileSync(values.cert), key: readFileSync(values.key) }, (request, response) => {
  const url = new URL(request.url, 'https://localhost');
  const { scheme, user, secret } = proof(request.headers.authorization);
  const good = Boolean(secret) && secret === readFileSync(values.accepted, 'utf8');
  tell({ path: url.pathname, scheme, user, good });
  if (!good) {
    // kubectl shows the body as the reason; the others ask their helper when they see the challenge.
    response.writeHead(401, { 'www-authenticate': 'Basic realm="guarded"', 'content-type': 'application/json' });
    response.end('{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Unauthorized","code":401}');
  } else if (url.pathname.startsWith('/repo.git')) {
    git(request, response, url);
  } else if (url.pathname.startsWith('/v2')) {
    registry(response, url.pathname);
  } else {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end('{"major":"1","minor":"30","gitVersion":"v1.30.0"}');
  }
});
server.listen(0, '127.0.0.1', () => tell({ port: server.address().port }));
