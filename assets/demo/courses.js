// The app of `janua demo`: who is signed in, and their courses in Moodle. Everything it asks is of its own origin.

const $ = (id) => document.getElementById(id);

function show(text, courses = []) {
  $('who').textContent = text;
  $('courses').replaceChildren(...courses.map(({ fullname, shortname }) => {
    const course = document.createElement('li');
    const short = document.createElement('small');
    short.textContent = shortname;
    course.append(fullname, short);
    return course;
  }));
}

function offer(signIn) {
  show(signedIn ? 'Moodle does not know you yet.' : 'Nobody is signed in.');
  $('sign-in').href = signIn;
  $('ways').hidden = false;
}

// What was asked, as the browser itself remembers it.
new PerformanceObserver((list) => {
  for (const { initiatorType, name, responseStatus } of list.getEntries()) {
    if (initiatorType !== 'fetch') continue;
    const line = document.createElement('li');
    const method = name.includes('/webservice/') ? 'POST' : 'GET';
    line.textContent = `${method} ${name.slice(location.origin.length)} → ${responseStatus}`;
    $('asked').append(line);
  }
}).observe({ type: 'resource', buffered: true });

// Back from elsewhere, it may be somebody else who is signed in.
addEventListener('pageshow', (event) => { if (event.persisted) location.reload(); });

const { signed_in: signedIn } = await (await fetch('/_janua/me')).json();
$('sign-out').hidden = !signedIn;

// --- all that an app has to know of it -------------------------------------------------------------------------

/** Calls a function of Moodle's as whoever is signed in. */
async function moodle(wsfunction, parameters = {}) {
  const body = new URLSearchParams({ moodlewsrestformat: 'json', ...parameters });
  const answer = await fetch(`/webservice/rest/server.php?wsfunction=${wsfunction}`, { method: 'POST', body });
  const told = await answer.json();
  if (answer.ok && !told?.exception) return told;
  throw Object.assign(new Error(told.detail), told); // `reason` is Janua's, `errorcode` is Moodle's
}

try {
  const { userid, fullname } = await moodle('core_webservice_get_site_info');
  const courses = await moodle('core_enrol_get_users_courses', { userid });
  show(`Signed in as ${fullname}. Your courses:`, courses);
} catch (refused) {
  // Where signing in helps: the person does it once, sees redirects only, and comes back here.
  if (refused.sign_in) offer(`${refused.sign_in}&return=${encodeURIComponent(location)}`);
  else show(refused.message);
}
