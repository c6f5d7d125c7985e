// The page of `janua demo`: asks the gateway what the chosen case asks, and shows what came of it.
// `/?try=all` tries everything by itself and says in the document what it found; `/#denied` begins with that case.
'use strict';

const $ = (id) => document.getElementById(id);
const video = $('video');
const CODECS = 'video/mp4; codecs="avc1.4D401F,mp4a.40.2"';
/** Routes of the page itself, which the figures leave out. */
const OWN = ['page', 'page-parts', 'courses', 'studio'];
let site;

// --- small helpers ---------------------------------------------------------------------------------------------

/** An element with text or children. Nothing here is ever read as HTML. */
function element(name, attributes = {}, ...children) {
  const svg = ['g', 'rect', 'path', 'text'].includes(name);
  const made = svg ? document.createElementNS('http://www.w3.org/2000/svg', name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const span = (kind, text) => element('span', { class: kind }, text);
const short = (token) => token.length > 40 ? `${token.slice(0, 10)}…${token.slice(-6)}` : token;

function decode(part) {
  const bytes = Uint8Array.from(atob(part.replace(/-/g, '+').replace(/_/g, '/')), (letter) => letter.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}

/** "10 minutes", "12 s" */
function spell(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} minutes` : `${Math.round(minutes / 60)} hours`;
}

function size(bytes) {
  if (bytes < 1000) return [bytes, 'B'];
  return bytes < 1e6 ? [Math.round(bytes / 1000), 'kB'] : [(bytes / 1e6).toFixed(1), 'MB'];
}

// --- the gateway's way -----------------------------------------------------------------------------------------

const MODULES = ['listen', 'route', 'authenticate', 'authorize', 'present', 'act'];
const SAYS = ['who is connected', 'one path, one rule', 'token and key set', 'deny, then allow', 'no token goes on', 'file or upstream'];
const WIDTH = 160, GAP = 28, TOP = 26;
const left = (index) => 10 + index * (WIDTH + GAP);
const centre = (index) => left(index) + WIDTH / 2;

function drawWay() {
  MODULES.forEach((name, index) => {
    const text = (kind, y, content) =>
      element('text', { class: kind, x: centre(index), y, 'text-anchor': 'middle' }, content);
    $('modules').append(element('g', { class: 'module', id: `module-${name}` },
      element('rect', { x: left(index), y: TOP, width: WIDTH, height: 62, rx: 10 }),
      text('name', TOP + 27, name), text('what', TOP + 47, SAYS[index])));
    if (index) {
      const d = `M${left(index) - GAP} ${TOP + 31}H${left(index)}`;
      $('links').append(element('path', { class: 'link', id: `to-${name}`, d }));
    }
    $('links').append(element('path', { class: 'link', id: `from-${name}`, d: `M${centre(index)} ${TOP + 62}V120` }));
  });
}

const pause = (time) => new Promise((done) => setTimeout(done, time));
const calm = () => matchMedia('(prefers-reduced-motion: reduce)').matches || new URLSearchParams(location.search).has('try');
let walking = 0;

/** Walks the dot through the modules, as far as the request came. */
async function walk(refusedIn, reason, upstream) {
  const mine = ++walking;
  const dot = $('dot');
  document.querySelectorAll('.module, .link').forEach((part) => part.classList.remove('passed', 'refused', 'unseen'));
  SAYS.forEach((says, index) => { $(`module-${MODULES[index]}`).querySelector('.what').textContent = says; });
  dot.setAttribute('class', '');
  const move = (x, y) => { dot.style.transform = `translate(${x}px, ${y}px)`; };
  const last = refusedIn ? Math.max(MODULES.indexOf(refusedIn), 0) : MODULES.length - 1;
  for (let index = 0; index <= last; index += 1) {
    move(centre(index), 14);
    if (!calm()) await pause(index ? 240 : 60);
    if (mine !== walking) return;
    const skipped = MODULES[index] === 'present' && !upstream;
    const kind = refusedIn && index === last ? 'refused' : skipped ? 'unseen' : 'passed';
    $(`module-${MODULES[index]}`).classList.add(kind);
    if (index) $(`to-${MODULES[index]}`).classList.add('passed');
  }
  const end = MODULES[last];
  if (refusedIn) $(`module-${end}`).querySelector('.what').textContent = reason;
  if (end === 'act' && !refusedIn) $('module-act').querySelector('.what').textContent = upstream ? 'upstream' : 'file from disk';
  MODULES.slice(last + 1).forEach((name) => $(`module-${name}`).classList.add('unseen'));
  const kind = refusedIn ? 'refused' : 'passed';
  $(`from-${end}`).classList.add(kind);
  $('respond').classList.add(kind);
  dot.setAttribute('class', refusedIn ? 'no' : 'yes');
  move(centre(last), 143);
}

// --- request, answer, token ------------------------------------------------------------------------------------

function showRequest(asked) {
  const [path, query] = asked.url.split('?jwt=');
  const line = [span('first', 'GET '), path];
  if (query) line.push('?jwt=', span('token', short(query)));
  const lines = [...line, '\n', span('key', 'Host: '), new URL(site.gateway).host, '\n'];
  for (const [name, value] of Object.entries(asked.headers)) {
    lines.push(span('key', `${name}: `));
    if (asked.token && value.endsWith(asked.token)) lines.push('Bearer ', span('token', short(asked.token)), '\n');
    else lines.push(value, '\n');
  }
  $('asked').replaceChildren(...lines);
  $('curl').textContent = asked.curl;
  $('explain').textContent = asked.explain;
}

function showAnswer(response, body) {
  const kind = response.ok ? 'first yes' : 'first no';
  const lines = [span(kind, `${response.status} ${response.statusText}`), '\n'];
  for (const [name, value] of response.headers) lines.push(span('key', `${name}: `), value, '\n');
  const type = response.headers.get('content-type') ?? '';
  const text = new TextDecoder().decode(body);
  if (type.includes('json')) lines.push('\n', JSON.stringify(JSON.parse(text), null, 2));
  else if (type.startsWith('text/') || type.includes('mpegurl')) lines.push('\n', text);
  else lines.push('\n', span('key', `(${body.byteLength} bytes of ${type})`));
  $('answer').replaceChildren(...lines);
  return type.includes('problem+json') ? JSON.parse(text) : {};
}

function showToken(token) {
  const words = [];
  const say = (bad, ...parts) => words.push(element('li', bad ? { class: 'bad' } : {}, ...parts));
  const code = (text) => element('code', {}, text);
  if (!token) {
    say(true, 'No token was sent.');
    $('claims').textContent = '';
  } else {
    const [header, claims] = token.split('.').slice(0, 2).map(decode);
    $('claims').textContent = `${JSON.stringify(header)}\n${JSON.stringify(claims, null, 2)}`;
    if (header.alg === 'none') say(true, 'Signed by nobody.');
    else say(false, 'Carries a signature of the kind ', code(header.alg), '. Whether it is the platform’s, the gateway finds out with its key set.');
    const rest = claims.exp - Date.now() / 1000;
    const until = new Date(claims.exp * 1000).toLocaleTimeString();
    if (rest > 0) say(false, `Valid until ${until}: for ${spell(rest)} more.`);
    else say(true, `Expired at ${until}, ${spell(-rest)} ago.`);
    for (const [item, actions] of Object.entries(claims.oc ?? {})) {
      say(false, 'Grants ', code([actions].flat().join(', ')), ' on the event ', code(item.replace(/^e:/, '')), '.');
    }
    if (!claims.oc) say(false, 'Grants nothing on any single event.');
    if (claims.roles) say(false, 'Holds the ', claims.roles.length > 1 ? 'roles ' : 'role ', ...claims.roles.flatMap((role, index) => index ? [' and ', code(role)] : [code(role)]), '.');
    if (claims.name) say(false, `Speaks for ${claims.name} (`, code(claims.sub), ').');
    else if (!claims.sub) say(false, 'Names no person: whoever has it may use it, so it is short-lived.');
  }
  $('words').replaceChildren(...words);
}

/** The lines of gateway.toml that decide, its rules standing out. */
function showRule(rule) {
  const lines = (rule ?? '# None: such a path is refused before a route is looked for.').split('\n');
  const kind = (line) => (/^(allow|deny) /.test(line) ? 'first' : 'key');
  $('rule').replaceChildren(...lines.map((line) => span(kind(line), `${line}\n`)));
}

function showVerdict(response, problem, asked) {
  const verdict = $('verdict');
  verdict.className = `verdict ${response.ok ? 'yes' : 'no'}`;
  const said = { event: 'The gateway streams the lecture from disk, and seeking works.', role: 'The same lecture, by who she is.',
    playlist: 'Each segment is asked for with the same header.', upstream: 'Opencast answers. It was shown no token.' };
  const why = response.ok ? element('p', {}, said[asked.id] ?? '') : element('p', {}, `${problem.detail ?? ''} `, element('code', {}, problem.reason ?? ''));
  const title = response.ok ? 'It gets in' : 'It stays out';
  verdict.replaceChildren(element('span', { class: 'code' }, String(response.status)), element('div', {}, element('b', {}, title), why));
}

// --- the screen ------------------------------------------------------------------------------------------------

function curtain(code, text, mild) {
  $('curtain').hidden = code === null;
  $('curtain').classList.toggle('calm', Boolean(mild));
  $('curtain').querySelector('b').textContent = code ?? '';
  $('curtain').querySelector('span').textContent = text ?? '';
}

function unload() {
  video.pause();
  video.removeAttribute('src');
  video.replaceChildren();
  video.load();
}

/** A file that the browser fetches itself: the token is in the address, for the subtitles too. */
function watch(asked, play) {
  const beside = (name) => asked.url.replace('video/lecture.mp4', name);
  video.poster = beside('cover.jpg');
  video.replaceChildren(element('track', { kind: 'subtitles', srclang: 'en', label: 'English', src: beside('subtitles/lecture.en.vtt') }));
  video.src = asked.url;
  if (play) start();
}

/** Browsers may want sound to be asked for; then the lecture begins without. */
function start() {
  video.play().catch(() => { video.muted = true; return video.play(); }).catch(() => {});
}

/** HLS in a few lines: the playlist's parts in order, each fetched with the header that the playlist needed. */
async function watchPlaylist(asked, playlist, play) {
  if (!window.MediaSource?.isTypeSupported(CODECS)) {
    return curtain('HLS', 'This browser cannot play it from a script. The playlist is below.', true);
  }
  const media = new MediaSource();
  video.src = URL.createObjectURL(media);
  await new Promise((open) => media.addEventListener('sourceopen', open, { once: true }));
  URL.revokeObjectURL(video.src);
  const buffer = media.addSourceBuffer(CODECS);
  const first = /URI="([^"]+)"/.exec(playlist)[1];
  for (const name of [first, ...playlist.split('\n').filter((line) => line && !line.startsWith('#'))]) {
    const part = await fetch(new URL(name, new URL(asked.url, location)), { headers: asked.headers });
    if (!part.ok || media.readyState !== 'open') return;
    const done = new Promise((end) => buffer.addEventListener('updateend', end, { once: true }));
    buffer.appendBuffer(await part.arrayBuffer());
    await done;
  }
  if (media.readyState !== 'open') return;
  media.endOfStream();
  document.documentElement.dataset.buffered = video.buffered.end(0);
  if (play) start();
}

// --- trying ----------------------------------------------------------------------------------------------------

let attempts = 0;

/** Tokens are short-lived: each attempt gets a new one. */
async function refresh() {
  site = await (await fetch('/demo/cases.json')).json();
}

/** Asks, and shows what came, unless something else was chosen meanwhile. */
async function attempt(id, play = true) {
  const mine = ++attempts;
  await refresh();
  if (mine !== attempts) return;
  const asked = site.cases.find((one) => one.id === id);
  document.querySelectorAll('.case').forEach((one) => one.setAttribute('aria-pressed', String(one.dataset.id === id)));
  showRequest(asked);
  showToken(asked.token);
  showRule(asked.rule);
  const response = await fetch(asked.url, { headers: asked.headers, cache: 'no-store' });
  const body = await response.arrayBuffer();
  if (mine !== attempts) return;
  const problem = showAnswer(response, body);
  showVerdict(response, problem, asked);
  mark(asked, response.status, problem.reason ?? null);
  const module = response.ok ? null : site.modules[problem.reason] ?? 'act';
  const way = walk(module, problem.reason, asked.url.startsWith('/info/'));
  unload();
  curtain(null);
  if (!response.ok) curtain(response.status, problem.detail);
  else if (asked.video) watch(asked, play);
  else if (id === 'playlist') await watchPlaylist(asked, new TextDecoder().decode(body), play);
  else curtain('{ }', 'An answer for programs: see below.', true);
  await way;
  count();
}

/** What `fetch` throws when nobody listens any more. */
function gone(error) {
  if (!(error instanceof TypeError)) throw error;
  $('verdict').className = 'verdict no';
  $('verdict').replaceChildren(element('span', { class: 'code' }, '–'), element('div', {}, element('b', {}, 'Nobody answers'),
    element('p', {}, 'The demo has ended. Start it again: ', element('code', {}, 'janua demo'))));
}

/** Says on the button whether the promise was kept. */
function mark(asked, status, reason) {
  const button = document.querySelector(`.case[data-id="${asked.id}"]`);
  const kept = status === asked.promise.status && reason === asked.promise.reason;
  Object.assign(button.dataset, { status, reason: reason ?? '', kept: kept ? 'yes' : 'no' });
  button.querySelector('.pill').textContent = `${status} ${kept ? '✓' : '?'}`;
}

async function tryAll() {
  for (const { id } of site.cases) {
    await attempt(id, false);
    if (!calm()) await pause(500);
  }
  await attempt(first());
}

/** `#other-event` in the address begins with that case, so that a link can show it. */
function first() {
  const named = location.hash.slice(1);
  return site.cases.some((one) => one.id === named) ? named : site.cases[0].id;
}

function drawCases() {
  for (const one of site.cases) {
    const button = element('button', { class: 'case', 'data-id': one.id, 'aria-pressed': 'false', type: 'button' },
      element('div', {}, element('b', {}, one.title), element('small', {}, one.text)),
      element('span', { class: 'pill' }, String(one.promise.status)));
    button.addEventListener('click', () => attempt(one.id).catch(gone));
    $(one.promise.reason ? 'out' : 'in').append(button);
  }
}

// --- metrics ---------------------------------------------------------------------------------------------------

function parse(text) {
  return text.split('\n').flatMap((line) => {
    const found = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!found) return [];
    const labels = Object.fromEntries([...(found[2] ?? '').matchAll(/(\w+)="([^"]*)"/g)].map((pair) => [pair[1], pair[2]]));
    return [{ name: found[1], labels, value: Number(found[3]) }];
  });
}

async function count() {
  const answer = await fetch('/demo/metrics').catch(() => null);
  if (!answer?.ok) return;
  const all = parse(await answer.text()).filter((one) => !OWN.includes(one.labels.route));
  const sum = (name, labels = {}) => all
    .filter((one) => one.name === `janua_${name}` && Object.entries(labels).every(([key, value]) => one.labels[key] === value))
    .reduce((total, one) => total + one.value, 0);
  const figure = (id, value, unit = '') => $(id).replaceChildren(String(value), element('small', {}, unit && ` ${unit}`));
  const [hits, misses] = ['hit', 'miss'].map((result) => sum('token_cache_total', { result }));
  figure('requests', sum('requests_total'));
  figure('allowed', sum('decisions_total', { outcome: 'allow' }));
  figure('refused', sum('decisions_total', { outcome: 'deny' }));
  figure('hits', hits, `of ${hits + misses}`);
  figure('bytes', ...size(sum('bytes_total', { direction: 'out' })));
  const fetched = sum('keyset_fetched_timestamp_seconds');
  figure('keys', fetched ? spell(Math.max(Date.now() / 1000 - fetched, 0)) : 'never', fetched ? 'ago' : '');

  const reasons = new Map();
  for (const { name, labels, value } of all) {
    const key = labels.outcome === 'allow' ? 'allowed' : labels.reason;
    if (name === 'janua_decisions_total' && value) reasons.set(key, (reasons.get(key) ?? 0) + value);
  }
  const most = Math.max(...reasons.values(), 1);
  const rows = [...reasons].sort((one, other) => other[1] - one[1] || one[0].localeCompare(other[0]));
  $('reasons').replaceChildren(...rows.map(([reason, value]) => {
    const bar = element('i');
    bar.style.width = `${100 * value / most}%`;
    return element('div', { class: reason === 'allowed' ? 'reason allow' : 'reason' }, element('span', {}, reason), bar, element('span', {}, String(value)));
  }));
}

// --- without a person ------------------------------------------------------------------------------------------

const played = () => new Promise((go) => {
  video.addEventListener('timeupdate', () => { if (video.currentTime > 0) go(); });
});

/** A browser without a screen may let its clock run ahead of the video unless it waits for an answer: here is one. */
let done = false;
async function beat() {
  for (let beats = 0; beats < 3000 && !done; beats += 1) await fetch('/demo/icon.svg', { cache: 'no-store' });
}

// --- begin -----------------------------------------------------------------------------------------------------

$('all').addEventListener('click', () => tryAll().catch(gone));
for (const button of document.querySelectorAll('[data-copies]')) {
  button.addEventListener('click', async () => {
    await navigator.clipboard.writeText($(button.dataset.copies).textContent);
    button.textContent = 'Copied';
    setTimeout(() => { button.textContent = 'Copy'; }, 1500);
  });
}
video.addEventListener('loadeddata', () => { document.documentElement.dataset.loaded = video.readyState; });
video.addEventListener('timeupdate', () => {
  if (video.currentTime > 0) document.documentElement.dataset.played = video.currentTime;
});

(async () => {
  drawWay();
  await refresh();
  $('status').href = site.status;
  drawCases();
  if (new URLSearchParams(location.search).get('try') === 'all') {
    await Promise.race([tryAll().then(played), beat()]);
    done = true;
  } else await attempt(first(), false);
  setInterval(() => { if (!document.hidden) count(); }, 2000);
})();
