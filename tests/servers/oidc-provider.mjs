// A real authorization server for the tests: node oidc-provider.mjs --help
import { X509Certificate, createHash, createPublicKey, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

const usage = `usage: oidc-provider.mjs [options]
  --port N          port on 127.0.0.1, 0 for any (0)
  --host NAME       host name in the issuer: 127.0.0.1 or localhost (127.0.0.1)
  --cert PATH       certificate, PEM; without it plain http
  --key PATH        its private key, PEM
  --clients DIR     what make-ca.sh leaves for clients, for those that prove themselves by a key
                    or by a certificate, which is asked for at another port
  --access-ttl S    life of access tokens, seconds (3600)
  --device-ttl S    life of device codes, seconds (600)
  --refresh-ttl S   life of refresh tokens, seconds (1209600)
  --interval S      polling interval in the device answer, which has none by itself
  --registration    clients may register themselves (RFC 7591)
  --initial-access-token TOKEN
                    the same for those alone who have that token
  --dpop-nonces     every proof of possession has to carry a nonce of the server's
  --hold PATH       while that file is there, the answer to a refresh is held back
  --forget-expired  an expired code or token is unknown (invalid_grant, not expired_token)
Stops on SIGTERM and when its standard input closes.`;

let options;
try {
  ({ values: options } = parseArgs({
    options: {
      port: { type: 'string', default: '0' },
      host: { type: 'string', default: '127.0.0.1' },
      cert: { type: 'string' },
      key: { type: 'string' },
      clients: { type: 'string' },
      'access-ttl': { type: 'string', default: '3600' },
      'device-ttl': { type: 'string', default: '600' },
      'refresh-ttl': { type: 'string', default: '1209600' },
      interval: { type: 'string' },
      registration: { type: 'boolean', default: false },
      'initial-access-token': { type: 'string' },
      'dpop-nonces': { type: 'boolean', default: false },
      hold: { type: 'string' },
      'forget-expired': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  }));
  for (const name of ['port', 'access-ttl', 'device-ttl', 'refresh-ttl', 'interval']) {
    if (!/^\d+$/.test(options[name] ?? 0)) throw new Error(`--${name} takes a number`);
  }
  if (!options.cert !== !options.key) throw new Error('--cert and --key go together');
  if (options.clients && !options.cert) throw new Error('--clients needs --cert');
} catch (error) {
  console.error(`${error.message}\n${usage}`);
  process.exit(2);
}
if (options.help) {
  console.log(usage);
  process.exit(0);
}

process.on('SIGTERM', () => process.exit(0));
process.stdin.on('end', () => process.exit(0)).on('error', () => process.exit(0)).resume();
process.stdout.on('error', () => process.exit(0));

// The library writes notices to stdout, which is for our lines alone.
console.info = () => {};
const { default: Provider, errors } = await import('oidc-provider');
const { createMemoryAdapter } = await import('oidc-provider/lib/adapters/memory_adapter.js');

const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const event = (name, details) => print({ event: name, time: Date.now() / 1000, ...details });
const digest = (token) => (typeof token === 'string' ? createHash('sha256').update(token).digest('hex') : undefined);

const SECRET = 's3cret:+ /';
const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
const client = (client_id, token_endpoint_auth_method) => ({
  client_id,
  client_name: client_id,
  token_endpoint_auth_method,
  ...(token_endpoint_auth_method === 'none' ? {} : { client_secret: SECRET }),
  grant_types: [DEVICE_GRANT, 'refresh_token'],
  response_types: [],
  redirect_uris: [],
  scope: 'openid offline_access api:read api:write',
});

const keyed = options.clients && {
  pem: (name) => readFileSync(`${options.clients}/${name}`),
  jwks: (name, more = {}) => ({
    keys: [{ ...createPublicKey(keyed.pem(name)).export({ format: 'jwk' }), ...more }],
  }),
};
const withoutSecret = ({ client_secret: _, ...rest }) => rest;
const byKey = (name, method, details) => ({ ...withoutSecret(client(name, method)), ...details });
const keyedClients = () => [
  { ...client('appliance-shared', 'client_secret_jwt'), client_secret: `${SECRET} of 32 bytes, or even more` },
  ...['es256', 'eddsa', 'rsa'].map((name) => byKey(`appliance-${name}`, 'private_key_jwt', {
    jwks: keyed.jwks(`${name}.key`, { kid: `key-${name}` }),
  })),
  byKey('appliance-tls', 'tls_client_auth', { tls_client_auth_san_dns: 'box.example' }),
  byKey('appliance-self-signed', 'self_signed_tls_client_auth', {
    jwks: keyed.jwks('self-signed.key', { x5c: [new X509Certificate(keyed.pem('self-signed.pem')).raw.toString('base64')] }),
  }),
];

const configuration = {
  // Kept past their end, or the answer for an expired device code would be invalid_grant.
  adapter: createMemoryAdapter(options['forget-expired'] ? 0 : 3600),
  clients: [
    client('appliance', 'none'),
    client('appliance-basic', 'client_secret_basic'),
    client('appliance-post', 'client_secret_post'),
    { ...client('appliance-dpop', 'none'), dpop_bound_access_tokens: true },
    ...(keyed ? keyedClients() : []),
  ],
  ...(keyed && {
    clientAuthMethods: [
      'none', 'client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt',
      'tls_client_auth', 'self_signed_tls_client_auth',
    ],
  }),
  clockTolerance: 0,
  cookies: { keys: ['only for tests'] },
  features: {
    devInteractions: { enabled: true },
    deviceFlow: { enabled: true },
    dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => options['dpop-nonces'] },
    introspection: { enabled: true },
    mTLS: {
      enabled: Boolean(keyed),
      selfSignedTlsClientAuth: true,
      tlsClientAuth: true,
      getCertificate: (ctx) => ctx.socket.getPeerX509Certificate?.(),
      certificateAuthorized: (ctx) => ctx.socket.authorized,
      certificateSubjectMatches: (ctx, property, expected) => property === 'tls_client_auth_san_dns'
        && ctx.socket.getPeerX509Certificate().subjectAltName === `DNS:${expected}`,
    },
    registration: {
      enabled: options.registration || Boolean(options['initial-access-token']),
      initialAccessToken: options['initial-access-token'] ?? false,
    },
    resourceIndicators: {
      enabled: true,
      // A token is for one resource; of several that are asked for, for the first.
      defaultResource: (_ctx, _client, oneOf) => oneOf?.[0],
      getResourceServerInfo: (_ctx, resource) => {
        if (!/^https:\/\/(one|two)\.example\/$/.test(resource)) throw new errors.InvalidTarget();
        return { scope: 'api:read api:write', audience: resource, accessTokenFormat: 'opaque' };
      },
    },
    revocation: { enabled: true },
  },
  findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  rotateRefreshToken: true,
  scopes: ['openid', 'offline_access', 'api:read', 'api:write'],
  ttl: {
    AccessToken: Number(options['access-ttl']),
    DeviceCode: Number(options['device-ttl']),
    RefreshToken: Number(options['refresh-ttl']),
  },
};

async function resource(ctx, provider) {
  const [, value] = /^Bearer ([\w.~+/-]+=*)$/i.exec(ctx.get('authorization')) ?? [];
  const token = value && await provider.AccessToken.find(value);
  ctx.set('cache-control', 'no-store');
  if (token) {
    ctx.body = { sub: token.accountId, client_id: token.clientId, scope: token.scope, aud: token.aud };
  } else {
    ctx.status = 401;
    ctx.set('www-authenticate', value ? 'Bearer error="invalid_token"' : 'Bearer');
    ctx.body = { error: value ? 'invalid_token' : 'unauthorized' };
  }
  event('resource', { status: ctx.status, sub: token?.accountId, access_token_sha256: digest(value) });
}

// The library takes the secret of either confidential client in either way, so say which it was.
function method(ctx) {
  if (ctx.headers.authorization) return 'client_secret_basic';
  if (ctx.oidc?.body?.client_secret) return 'client_secret_post';
  return ctx.oidc?.client?.clientAuthMethod ?? 'none';
}

const caller = (ctx) => {
  const assertion = ctx.oidc?.body?.client_assertion?.split('.').slice(0, 2)
    .map((part) => JSON.parse(Buffer.from(part, 'base64url')));
  return {
    client_id: ctx.oidc?.client?.clientId ?? ctx.oidc?.params?.client_id,
    client_auth: method(ctx),
    ...(assertion && { alg: assertion[0].alg, kid: assertion[0].kid, aud: assertion[1].aud, jti: assertion[1].jti }),
  };
};

function report(provider) {
  provider.on('device_authorization.success', (ctx, body) => event('device_authorization', {
    ...caller(ctx),
    scope: ctx.oidc.params.scope,
    user_code: body.user_code,
    expires_in: body.expires_in,
    device_code_sha256: digest(body.device_code),
  }));
  provider.on('grant.success', (ctx) => event('token', {
    ...caller(ctx),
    grant_type: ctx.oidc.params.grant_type,
    scope: ctx.body.scope,
    resource: ctx.oidc.params.resource,
    audience: ctx.oidc.entities.AccessToken?.aud,
    token_type: ctx.body.token_type,
    expires_in: ctx.body.expires_in,
    grant_id: ctx.oidc.entities.Grant?.jti,
    access_token_sha256: digest(ctx.body.access_token),
    refresh_token_sha256: digest(ctx.body.refresh_token),
  }));
  provider.on('grant.error', (ctx, error) => {
    const details = {
      ...caller(ctx),
      grant_type: ctx.oidc.params?.grant_type,
      refresh_token_sha256: digest(ctx.oidc.params?.refresh_token),
    };
    event('token_refused', { ...details, error: error.error ?? error.message, detail: error.error_detail });
    if (error.error_detail === 'refresh token already used') {
      event('refresh_token_reused', { ...details, grant_id: ctx.oidc.entities.RefreshToken?.grantId });
    }
  });
  provider.on('grant.revoked', (ctx, grantId) => event('grant_revoked', {
    ...caller(ctx),
    route: ctx.oidc.route,
    grant_id: grantId,
  }));
  provider.on('registration_create.success', (_ctx, client) => {
    const { client_secret: secret, ...metadata } = client.metadata();
    event('registration', { ...metadata, client_secret_sha256: digest(secret) });
  });
  for (const name of [
    'device_authorization.error', 'introspection.error', 'registration_create.error', 'revocation.error', 'server_error',
  ]) {
    provider.on(name, (ctx, error) => event(name.replace('.', '_'), {
      ...caller(ctx),
      error: error.error ?? error.message,
      detail: error.error_detail,
    }));
  }
}

async function middleware(ctx, next, provider) {
  if (ctx.path === '/resource' && ctx.method === 'GET') return resource(ctx, provider);
  await next();
  if (ctx.status !== 200) return undefined;
  if (options.hold && ctx.oidc?.params?.grant_type === 'refresh_token') {
    while (existsSync(options.hold)) await sleep(50);
  }
  if (ctx.oidc?.route === 'device_authorization' && options.interval) {
    ctx.body = { ...ctx.body, interval: Number(options.interval) };
  }
  if (ctx.oidc?.route === 'revocation') {
    const { client: by, entities, params } = ctx.oidc;
    const token = entities.RefreshToken ?? entities.AccessToken;
    event('revocation', {
      ...caller(ctx),
      token_type_hint: params.token_type_hint,
      // Null for an unknown token and for one of another client: both are answered 200 as well.
      revoked: token?.clientId === by.clientId ? token.kind : null,
      token_sha256: digest(params.token),
    });
  }
  return undefined;
}

const certified = () => ({ cert: readFileSync(options.cert), key: readFileSync(options.key) });
const server = options.cert ? https.createServer(certified()) : http.createServer();
// Where clients are asked for their certificates (RFC 8705 §5).
const asking = keyed && https.createServer({
  ...certified(),
  ca: keyed.pem('ca.pem'),
  requestCert: true,
  rejectUnauthorized: false,
});
for (const each of [server, asking]) {
  each?.on('error', (error) => {
    console.error(error.message);
    process.exit(1);
  });
}
if (asking) {
  await new Promise((listening) => { asking.listen(0, '127.0.0.1', listening); });
  const at = (path) => `https://${options.host}:${asking.address().port}${path}`;
  configuration.discovery = {
    mtls_endpoint_aliases: {
      device_authorization_endpoint: at('/device/auth'),
      token_endpoint: at('/token'),
      revocation_endpoint: at('/token/revocation'),
    },
  };
}
// The issuer names the port, so the port comes first.
server.listen(Number(options.port), '127.0.0.1', () => {
  const { port } = server.address();
  const issuer = `${options.cert ? 'https' : 'http'}://${options.host}:${port}`;
  const provider = new Provider(issuer, configuration);
  provider.use((ctx, next) => middleware(ctx, next, provider));
  report(provider);
  server.on('request', provider.callback());
  asking?.on('request', provider.callback());
  print({ issuer, port });
});
