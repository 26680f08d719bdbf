/**
 * Asks the probe port whether the server is well; exits with 0 or 1, as HEALTHCHECK wants it.
 *
 * Kubernetes does not use this: it asks the same port itself.
 */
const [, port] = /:(\d+)$/.exec(process.env.SESSIOND_PROBE_LISTEN ?? "") ?? [];
const answer = await fetch(`http://127.0.0.1:${port}/healthz`).catch((error) => ({ error }));
process.exitCode = answer.ok ? 0 : 1;
