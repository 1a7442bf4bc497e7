// Client credentials by every method that needs a certificate, and by one that needs none, by clients we did not write.
// Reads its task as a line of JSON, puts a TLS proxy before the server, as docs/deploy.md wants one, and prints what it
// saw as JSON lines. The clients' own requests go through that proxy, each with its certificate.
import { X509Certificate, createHash } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import { createInterface } from 'node:readline'
import * as client from 'openid-client'
import * as oauth from 'oauth4webapi'

const say = (step, seen) => console.log(JSON.stringify({ step, ...seen }))
const task = JSON.parse((await createInterface({ input: process.stdin })[Symbol.asyncIterator]().next()).value)
const issuer = new URL(task.issuer)

// RFC 9440: whatever the caller says of a certificate is dropped; what TLS saw is set.
const forward = (asked, answer) => {
  const { 'client-cert': _leaf, 'client-cert-chain': _chain, ...headers } = asked.headers
  const shown = asked.socket.getPeerCertificate().raw
  if (shown) headers['client-cert'] = `:${shown.toString('base64')}:`
  const onward = http.request(new URL(asked.url, issuer), { method: asked.method, headers }, (answered) => {
    answer.writeHead(answered.statusCode, answered.headers)
    answered.pipe(answer)
  })
  asked.pipe(onward)
}
const proxy = https.createServer({ ...task.proxy, requestCert: true, rejectUnauthorized: false }, forward)
await once(proxy.listen(0, '127.0.0.1'), 'listening')

// What fetch of node can't do: a request with a certificate.
const through = (shown, more = {}) => async (url, { method, headers, body }) => {
  const { pathname, search } = new URL(url)
  const asked = https.request({
    host: '127.0.0.1', port: proxy.address().port, servername: 'localhost', ca: task.authority, agent: false,
    path: pathname + search, method, headers: { ...headers, ...more, host: issuer.host }, ...shown,
  })
  asked.end(body?.toString())
  const [answered] = await once(asked, 'response')
  const parts = []
  for await (const part of answered) parts.push(part)
  return new Response(Buffer.concat(parts), { status: answered.statusCode, headers: answered.headers })
}
const form = { scope: task.scope, resource: task.audience }
const insecure = [client.allowInsecureRequests]
const configured = (id, auth, fetch) =>
  client.discovery(issuer, id, {}, auth, { execute: insecure, [client.customFetch]: fetch })
const refused = (verb) => verb.then(() => 'granted', async (error) => error.error ?? (await error.response.json()).error)
const thumbprint = ({ cert }) => createHash('sha256').update(new X509Certificate(cert).raw).digest('base64url')
const claims = ({ access_token }) => JSON.parse(Buffer.from(access_token.split('.')[1], 'base64url'))

for (const { client_id, method, shown, another } of task.certified) {
  const config = await configured(client_id, client.TlsClientAuth(), through(shown))
  const higher = await client.clientCredentialsGrant(config, form)
  const as = config.serverMetadata()
  const self = { client_id }
  const lower = await oauth.processClientCredentialsResponse(as, self, await oauth.clientCredentialsGrantRequest(
    as, self, oauth.TlsClientAuth(), new URLSearchParams(form),
    { [oauth.allowInsecureRequests]: true, [oauth.customFetch]: through(shown) },
  ))
  const attempt = async (fetch, auth = client.TlsClientAuth()) =>
    refused(client.clientCredentialsGrant(await configured(client_id, auth, fetch), form))
  const said = `:${new X509Certificate(shown.cert).raw.toString('base64')}:`
  say(method, {
    supported: as.token_endpoint_auth_methods_supported.includes(method),
    token_type: higher.token_type,
    bound: [higher, lower].every((each) => claims(each).cnf['x5t#S256'] === thumbprint(shown)),
    another: await attempt(through(another)),
    none: await attempt(through({})),
    said: await attempt(through({}, { 'client-cert': said })),
    secret: await attempt(through(shown), client.ClientSecretPost('a secret')),
    nobody: await refused(client.clientCredentialsGrant(
      await configured(`${client_id}/ghost`, client.TlsClientAuth(), through(shown)), form)),
  })
  await client.tokenRevocation(config, higher.access_token)
}

// A method that the library does not know is a function of a few lines.
const { client_id, svids } = task.svid
const spiffe = (_as, self, body) => {
  body.set('client_id', self.client_id)
  body.set('client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-spiffe')
  body.set('client_assertion', svids.shift())
}
const config = await configured(client_id, spiffe, through({}))
const issued = await client.clientCredentialsGrant(config, form)
say('spiffe_jwt', { token_type: issued.token_type, client_id: claims(issued).client_id })
process.exit(0)
