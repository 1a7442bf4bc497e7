// From a code to the end of its family, by clients we did not write: openid-client 6, and oauth4webapi beside it.
// Reads its task as a line of JSON, tells what the authorization request needs, reads where the browser was sent to,
// and prints what it saw as JSON lines.
import { createInterface } from 'node:readline'
import * as client from 'openid-client'
import * as oauth from 'oauth4webapi'

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const next = async () => (await lines.next()).value
const say = (step, seen) => console.log(JSON.stringify({ step, ...seen }))
const insecure = { [oauth.allowInsecureRequests]: true }
const imported = (jwk) => crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])

const task = JSON.parse(await next())
const key = { key: await imported(task.key), kid: task.key.kid }
const discovered = (id, signer) =>
  client.discovery(
    new URL(task.issuer), id, { token_endpoint_auth_method: 'private_key_jwt', client_id: id },
    client.PrivateKeyJwt(signer), { execute: [client.allowInsecureRequests] },
  )
const config = await discovered(task.client_id, key)
const keys = await client.randomDPoPKeyPair('ES256')
const DPoP = client.getDPoPHandle(config, keys)
const verifier = client.randomPKCECodeVerifier()
const nonce = client.randomNonce()
const state = client.randomState()
say('begun', {
  nonce, state,
  code_challenge: await client.calculatePKCECodeChallenge(verifier),
  jkt: await DPoP.calculateThumbprint(),
})

const back = new URL(await next())
const checks = { pkceCodeVerifier: verifier, expectedNonce: nonce, expectedState: state, idTokenExpected: true, maxAge: 300 }
const first = await client.authorizationCodeGrant(config, back, checks, {}, { DPoP })
const identity = first.claims()
say('redeemed', { token_type: first.token_type, nonce: identity.nonce, sub: identity.sub })

const url = new URL(task.audience)
const headers = new Headers({ authorization: `DPoP ${first.access_token}` })
const oauthDPoP = oauth.DPoP({ client_id: task.client_id }, keys)
await oauthDPoP.addProof(url, headers, 'GET', first.access_token)
const claims = await oauth.validateJwtAccessToken(
  config.serverMetadata(), new Request(url, { headers }), task.audience, { ...insecure, requireDPoP: true },
)
say('validated', { claims })

const server = await discovered(task.audience, { key: await imported(task.server_key), kid: task.server_key.kid })
const active = async (token) => (await client.tokenIntrospection(server, token)).active
say('introspected', { active: await active(first.access_token) })

const second = await client.refreshTokenGrant(
  config, first.refresh_token, { resource: config.serverMetadata().userinfo_endpoint }, { DPoP },
)
say('userinfo', await client.fetchUserInfo(config, second.access_token, identity.sub, { DPoP }))

const third = await client.refreshTokenGrant(config, second.refresh_token, {}, { DPoP })
say('refreshed', { rotated: new Set([first, second, third].map((each) => each.refresh_token)).size === 3 })

const type = 'urn:ietf:params:oauth:token-type:access_token'
const below = await client.genericGrantRequest(
  config, 'urn:ietf:params:oauth:grant-type:token-exchange',
  { subject_token: third.access_token, subject_token_type: type, scope: task.scope }, { DPoP },
)
say('exchanged', { issued_token_type: below.issued_token_type })

const refused = (verb) => verb.then(() => ({ error: null }), (error) => ({ error: error.error ?? String(error) }))
say('reused', await refused(client.refreshTokenGrant(config, first.refresh_token, {}, { DPoP })))
say('ended', {
  active: await active(third.access_token),
  below: await active(below.access_token),
  ...(await refused(client.refreshTokenGrant(config, third.refresh_token, {}, { DPoP }))),
})

// The same server to the lower library, from client authentication to revocation.
const as = config.serverMetadata()
const self = { client_id: task.client_id }
const auth = oauth.PrivateKeyJwt(key)
const form = new URLSearchParams({ scope: task.scope, resource: task.audience })
const own = await oauth.processClientCredentialsResponse(
  as, self, await oauth.clientCredentialsGrantRequest(as, self, auth, form, { ...insecure, DPoP: oauthDPoP }),
)
const wasActive = await active(own.access_token)
await oauth.processRevocationResponse(await oauth.revocationRequest(as, self, auth, own.access_token, insecure))
say('on its own', { active: wasActive, revoked: await active(own.access_token) })
process.exit(0)
