// A real OpenID provider for tests: oidc-provider on loopback, on a port of the system's choice.
//
// `node server.mjs FOLDER WORLD`: the folder has node_modules, the world is JSON: {"client": {…}, "people": {name: claims},
// "port": 0, "key": a file for its signing keys}. It prints one line `port N` when it listens, a line for whatever
// it gives away that nobody may write down (`code`, `token` or `signed`, and the secret), and ends with its standard input.
//
// With "apps", a list of further clients, it is an authorization server for applications, too: access tokens for the resource
// https://janua.test are JWTs (RFC 9068), so are those for https://other.test; others are opaque. Clients may ask about them,
// end them, have their own, and bind them to a key (DPoP).
//
// Any password opens the account whose name is typed; names that the world does not know have a `sub` and nothing else.
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, world] = [process.argv[2], JSON.parse(process.argv[3])];
// Its remarks about what is for development only; standard output is for the test.
console.info = console.warn = () => {};
const entry = pathToFileURL(join(folder, "node_modules/oidc-provider/lib/index.js"));
const { Provider } = await import(entry.href);

// A provider that comes back after an outage signs with the keys that it had.
function signingKeys() {
  if (existsSync(world.key)) return JSON.parse(readFileSync(world.key, "utf8"));
  const key = (type, options, alg, kid) => {
    const { privateKey } = generateKeyPairSync(type, options);
    return { ...privateKey.export({ format: "jwk" }), alg, use: "sig", kid };
  };
  const keys = [
    key("rsa", { modulusLength: 2048 }, "RS256", "rsa"),
    key("ec", { namedCurve: "P-256" }, "ES256", "ec"),
  ];
  writeFileSync(world.key, JSON.stringify({ keys }), { mode: 0o600 });
  return { keys };
}

const tell = (kind, secret) => secret && process.stdout.write(`${kind} ${secret}\n`);

const server = createServer();
await new Promise((resolve) => server.listen(world.port ?? 0, "127.0.0.1", resolve));
const { port } = server.address();

const forApps = {
  introspection: { enabled: true, allowedPolicy: () => true },
  revocation: { enabled: true, allowedPolicy: () => true },
  clientCredentials: { enabled: true },
  dPoP: { enabled: true },
  resourceIndicators: {
    enabled: true,
    getResourceServerInfo: (context, resource) => ({
      scope: "moodle video",
      audience: resource,
      accessTokenTTL: 600,
      ...(resource === "urn:opaque"
        ? { audience: "https://janua.test", accessTokenFormat: "opaque" }
        : { accessTokenFormat: "jwt", jwt: { sign: { alg: "ES256" } } }),
    }),
  },
};

const provider = new Provider(`http://127.0.0.1:${port}`, {
  jwks: signingKeys(),
  clients: [
    { grant_types: ["authorization_code"], response_types: ["code"], ...world.client },
    ...(world.apps ?? []),
  ],
  cookies: {
    keys: [randomBytes(16).toString("hex")],
    // Other servers of the same test share the host 127.0.0.1 and so its cookies.
    names: { session: "op_session", interaction: "op_interaction", resume: "op_resume" },
  },
  scopes: ["openid", "groups"],
  claims: {
    openid: ["sub"],
    profile: ["name", "preferred_username"],
    email: ["email", "email_verified"],
    groups: ["groups"],
  },
  // As it is by default: the ID token says who it is, userinfo says what about them.
  conformIdTokenClaims: world.in_id_token !== true,
  acrValues: ["urn:mfa"],
  // By default without ES384.
  enabledJWA: { clientAuthSigningAlgValues: ["RS256", "ES256", "ES384", "EdDSA"] },
  features: {
    devInteractions: { enabled: true },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: { enabled: true },
    ...(world.apps ? forApps : {}),
  },
  ...(world.apps && { issueRefreshToken: (context, client) => client.grantTypeAllowed("refresh_token") }),
  findAccount: (context, name) => ({
    accountId: name,
    claims: () => ({ ...world.people[name], sub: name }),
  }),
  // A campus has agreed for its people: nobody is asked for consent.
  loadExistingGrant: async (context) => {
    const { client, session, provider: own, requestParamScopes } = context.oidc;
    const known = session.grantIdFor(client.clientId);
    const grant = known && (await own.Grant.find(known));
    if (grant && !world.apps) return grant;
    const made = new own.Grant({ accountId: session.accountId, clientId: client.clientId });
    made.addOIDCScope([...requestParamScopes].join(" "));
    for (const [resource, { scope }] of Object.entries(context.oidc.resourceServers ?? {})) {
      made.addResourceScope(resource, scope);
    }
    await made.save();
    return made;
  },
  // Its own way out refuses addresses on loopback; this one learns what is sent there.
  fetch: (url, { dispatcher, ...options }) => {
    tell("signed", new URLSearchParams(String(options.body ?? "")).get("logout_token"));
    // Browsers find names below `localhost` on this machine (RFC 6761 section 6.3); the system's resolver need not know them.
    const target = new URL(url);
    if (target.hostname.endsWith(".localhost")) target.hostname = "127.0.0.1";
    return globalThis.fetch(target, options);
  },
  ttl: { AccessToken: 600, AuthorizationCode: 60, IdToken: 600, Session: 3600, Grant: 3600, Interaction: 600 },
});

provider.on("grant.success", (context) => {
  tell("signed", context.body.id_token);
  tell("signed", context.oidc.params.client_assertion);
  const access = context.body.access_token;
  tell(access?.startsWith("eyJ") ? "signed" : "token", access);
  tell("token", context.body.refresh_token);
});
provider.on("authorization.success", (context, answer) => tell("code", answer?.code));
for (const event of ["server_error", "backchannel.error"]) {
  provider.on(event, (context, error) => console.error(event, error?.message ?? error));
}

server.on("request", provider.callback());
process.stdout.write(`port ${port}\n`);
// The test holds the other end: however it ends, this ends too.
process.stdin.resume();
process.stdin.on("end", () => process.exit());
