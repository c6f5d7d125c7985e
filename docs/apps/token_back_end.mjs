// A back end that has an access token of its person. It shows the person's courses in Moodle, and holds no Moodle token.
//
//   JANUA=https://moodle.example.edu ISSUER=https://idp.example.edu/realms/campus CLIENT_ID=portal APP=https://app.example.edu \
//     PORT=8000 node token_back_end.mjs
//
// APP is where browsers reach this program; it listens on PORT of loopback (default: the port in APP), behind whatever ends TLS.
// CLIENT_SECRET: none for a public client. SCOPE (openid): what the token is asked for. RESOURCE: for whom, at servers that know
// RFC 8707. PREFIX: the operator's prefix for apps (/campus-app). Node 20 or newer.

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';

const { JANUA, ISSUER, CLIENT_ID, CLIENT_SECRET, APP, RESOURCE, SCOPE = 'openid', PREFIX = '/campus-app' } = process.env;
const PORT = process.env.PORT ?? new URL(APP).port;
const MOODLE = `${JANUA}${PREFIX}/webservice/rest/server.php`;
const IS_SECURE = APP.startsWith('https:');
const COOKIE = IS_SECURE ? '__Host-token-app' : 'token-app';

/** By cookie: { token } of who is signed in, or { state, verifier } of who is about to. */
const people = new Map();

/** Keeps somebody under a new cookie, of ten thousand at most: the oldest one makes room. */
function keep(person) {
  if (people.size >= 10_000) people.delete(people.keys().next().value);
  const cookie = random();
  people.set(cookie, person);
  return cookie;
}

const random = () => randomBytes(32).toString('base64url');
const html = (text) => String(text).replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
const is = (a, b) => a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));

/** A request that goes nowhere else than it is sent to. */
const ask = (url, options = {}) => fetch(url, { redirect: 'error', signal: AbortSignal.timeout(30_000), ...options });

let known;
/** What the authorization server says of itself (RFC 8414, OpenID Connect Discovery). */
async function server() {
  known ??= await (await ask(`${ISSUER}/.well-known/openid-configuration`)).json();
  if (known.issuer !== ISSUER) throw new Error('another issuer');
  return known;
}

/** Where the browser goes to sign in: authorization code with PKCE (RFC 6749 section 4.1, RFC 7636). */
async function signIn() {
  const person = { state: random(), verifier: random() };
  const query = new URLSearchParams({
    response_type: 'code', client_id: CLIENT_ID, redirect_uri: `${APP}/callback`, scope: SCOPE, state: person.state,
    code_challenge: createHash('sha256').update(person.verifier).digest('base64url'), code_challenge_method: 'S256',
    ...(RESOURCE && { resource: RESOURCE }),
  });
  return [`${(await server()).authorization_endpoint}?${query}`, keep(person)];
}

/** The access token for a code; undefined: the server gives none. */
async function redeemed(code, verifier) {
  const form = new URLSearchParams({
    grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: `${APP}/callback`, client_id: CLIENT_ID,
    ...(RESOURCE && { resource: RESOURCE }),
  });
  const secret = [CLIENT_ID, CLIENT_SECRET ?? ''].map(encodeURIComponent).join(':');
  const headers = CLIENT_SECRET ? { Authorization: `Basic ${Buffer.from(secret).toString('base64')}` } : {};
  const answer = await ask((await server()).token_endpoint, { method: 'POST', body: form, headers });
  return answer.ok ? (await answer.json()).access_token : undefined;
}

/** Calls a function of Moodle's as the person of the token. The error that it throws has what Janua or Moodle has said. */
async function moodle(token, wsfunction, parameters = {}) {
  const body = new URLSearchParams({ wsfunction, moodlewsrestformat: 'json', ...parameters });
  const answer = await ask(MOODLE, { method: 'POST', body, headers: { Authorization: `Bearer ${token}` } });
  const told = await answer.json().catch(() => null);
  if (answer.ok && told !== null && !told.exception) return told;
  throw Object.assign(new Error(told?.detail ?? `status ${answer.status}`), told, {
    status: answer.status, after: answer.headers.get('Retry-After'),
  });
}

/** What a person is told of a refusal. */
function refusal({ reason, errorcode, message, sign_in: way, visit, after }) {
  const texts = {
    token_expired: 'Your sign-in has ended.', token_not_active: 'Your sign-in has ended.',
    no_moodle_token: 'Moodle has no account for you.',
    wrong_audience: 'This app is not set up for Janua: its access token is meant for something else.',
  };
  const text = texts[reason] ?? message;
  const told = `<p id=refused data-reason="${html(reason ?? errorcode ?? 'unavailable')}">${html(text)}${
    after ? ` Try again in ${html(after)} seconds.` : ''}</p>`;
  // Links, never redirects: whoever has no account comes back with the same refusal.
  if (texts[reason] === texts.token_expired) return `${told}<p><a href="/sign-in">Sign in</a>`;
  if (way) return `${told}<p><a href="${html(`${way}&return=${encodeURIComponent(`${APP}/`)}`)}">Let Moodle know you</a>`;
  if (visit) return `${told}<p><a href="${html(visit)}">Moodle wants something of you: open it</a>`;
  return told;
}

const SIGN_OUT = '<form method=post action=/sign-out><button>Sign out</button></form>';

/** The page of who is signed in; where the token counts no more, nobody is. */
async function home(cookie) {
  const token = people.get(cookie)?.token;
  if (!token) return '<p>Nobody is signed in.</p><p><a href="/sign-in">Sign in</a>';
  try {
    const { userid, fullname } = await moodle(token, 'core_webservice_get_site_info');
    const courses = await moodle(token, 'core_enrol_get_users_courses', { userid });
    const lines = courses.map((course) => `<li>${html(course.fullname)}</li>`).join('');
    return `<p>Signed in as ${html(fullname)}.</p><ul>${lines}</ul>${SIGN_OUT}`;
  } catch (refused) {
    if (refused.status === 401) people.delete(cookie);
    return `${refusal(refused)}${people.has(cookie) ? SIGN_OUT : ''}`;
  }
}

/** [status, page, address to go to, new cookie] for a request. */
async function answer({ method, url, headers }) {
  const { pathname, searchParams } = new URL(url, APP);
  const pairs = (headers.cookie ?? '').split('; ').map((pair) => pair.split('='));
  const cookie = pairs.find(([name]) => name === COOKIE)?.[1] ?? '';
  const again = '<p><a href="/sign-in">Sign in</a>';
  switch (`${method} ${pathname}`) {
    case 'GET /':
      return [200, await home(cookie)];
    case 'GET /sign-in':
      return [303, '', ...(await signIn())];
    case 'GET /callback': {
      // Only the browser that has begun this sign-in may end it (RFC 9700 section 4.7); `iss`: RFC 9207.
      const { state, verifier } = people.get(cookie) ?? {};
      people.delete(cookie);
      const isOurs = state && is(state, searchParams.get('state') ?? '');
      if (!isOurs || (searchParams.get('iss') ?? ISSUER) !== ISSUER) return [400, `<p>Begun elsewhere.</p>${again}`];
      const token = searchParams.has('code') && (await redeemed(searchParams.get('code'), verifier));
      // Who it is, Janua reads from the access token and Moodle says: this program believes no claim.
      return token ? [303, '', '/', keep({ token })] : [403, `<p>The server has signed nobody in.</p>${again}`];
    }
    case 'POST /sign-out': // the cookie is SameSite=Lax: no other site's form brings it
      people.delete(cookie);
      return [303, '', '/', ''];
    default:
      return [404, '<p>There is no such page.'];
  }
}

createServer(async (request, response) => {
  const failed = () => [502, '<p id=refused data-reason=unavailable>The sign-in server cannot be reached.'];
  const [status, page, to, cookie] = await answer(request).catch(failed);
  response.setHeader('Content-Type', 'text/html; charset=utf-8');
  response.setHeader('Cache-Control', 'no-store');
  response.setHeader('Referrer-Policy', 'no-referrer');
  response.setHeader('Content-Security-Policy', "default-src 'none'; base-uri 'none'; frame-ancestors 'none'");
  if (to !== undefined) response.setHeader('Location', to);
  if (cookie !== undefined) {
    const set = `${COOKIE}=${cookie}; Path=/; HttpOnly; SameSite=Lax`;
    response.setHeader('Set-Cookie', `${set}${cookie ? '' : '; Max-Age=0'}${IS_SECURE ? '; Secure' : ''}`);
  }
  response.writeHead(status).end(`<!doctype html><meta charset=utf-8><title>My courses: an access token</title>${page}`);
}).listen(PORT, '127.0.0.1', () => console.log(`${APP}/`));
