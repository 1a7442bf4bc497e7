// From a pushed request to the end of its family, by clients we did not write: openid-client 6, and oauth4webapi beside it.
// Reads its task as a line of JSON, pushes its request and tells where the browser must go, reads where the browser was
// sent to, and prints what it saw as JSON lines.
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
const address = await client.buildAuthorizationUrlWithPAR(config, {
  redirect_uri: task.redirect_uri, scope: task.scope, resource: task.audience, state, nonce,
  authorization_details: JSON.stringify(task.details),
  code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
}, { DPoP })
say('pushed', { nonce, address, jkt: await DPoP.calculateThumbprint() })

const back = new URL(await next())
const checks = { pkceCodeVerifier: verifier, expectedNonce: nonce, expectedState: state, idTokenExpected: true, maxAge: 300 }
const first = await client.authorizationCodeGrant(config, back, checks, {}, { DPoP })
const identity = first.claims()
say('redeemed', {
  token_type: first.token_type, nonce: identity.nonce, sub: identity.sub, details: first.authorization_details,
})

// What the payments API does with a token: it holds its metadata, its own name and the request, and no more.
const oauthDPoP = oauth.DPoP({ client_id: task.client_id }, keys)
const accepted = async ({ access_token }) => {
  const url = new URL(task.audience)
  const headers = new Headers({ authorization: `DPoP ${access_token}` })
  await oauthDPoP.addProof(url, headers, 'GET', access_token)
  const request = new Request(url, { headers })
  return oauth.validateJwtAccessToken(config.serverMetadata(), request, task.audience, { ...insecure, requireDPoP: true })
}
say('validated', { claims: await accepted(first) })

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
  { subject_token: third.access_token, subject_token_type: type, scope: task.own_scope }, { DPoP },
)
say('exchanged', { issued_token_type: below.issued_token_type })

const refused = (verb) => verb.then(() => ({ error: null }), (error) => ({ error: error.error ?? String(error) }))
say('reused', await refused(client.refreshTokenGrant(config, first.refresh_token, {}, { DPoP })))
say('ended', {
  active: await active(third.access_token),
  below: await active(below.access_token),
  ...(await refused(client.refreshTokenGrant(config, third.refresh_token, {}, { DPoP }))),
})

// The same server to the lower library: a client on its own, and a request for which the person has to sign.
const as = config.serverMetadata()
const self = { client_id: task.client_id }
const auth = oauth.PrivateKeyJwt(key)
const proven = { ...insecure, DPoP: oauthDPoP }
const form = new URLSearchParams({ scope: task.own_scope, resource: task.audience })
const higher = await client.clientCredentialsGrant(config, form, { DPoP })
const own = await oauth.processClientCredentialsResponse(
  as, self, await oauth.clientCredentialsGrantRequest(as, self, auth, form, proven),
)
const were = [await active(higher.access_token), await active(own.access_token)]
await client.tokenRevocation(config, higher.access_token)
await oauth.processRevocationResponse(await oauth.revocationRequest(as, self, auth, own.access_token, insecure))
say('on its own', { active: were, revoked: [await active(higher.access_token), await active(own.access_token)] })

const secret = oauth.generateRandomCodeVerifier()
const hope = oauth.generateRandomState()
const wish = new URLSearchParams({
  response_type: 'code', redirect_uri: task.redirect_uri, state: hope, resource: task.audience,
  authorization_details: JSON.stringify([task.payment]),
  code_challenge: await oauth.calculatePKCECodeChallenge(secret), code_challenge_method: 'S256',
})
const { request_uri } = await oauth.processPushedAuthorizationResponse(
  as, self, await oauth.pushedAuthorizationRequest(as, self, auth, wish, proven),
)
say('pushed a payment', {
  address: `${as.authorization_endpoint}?${new URLSearchParams({ client_id: task.client_id, request_uri })}`,
})
const answer = oauth.validateAuthResponse(as, self, new URL(await next()), hope)
const paying = await oauth.processAuthorizationCodeResponse(
  as, self, await oauth.authorizationCodeGrantRequest(as, self, auth, answer, task.redirect_uri, secret, proven),
)
say('approved', { claims: await accepted(paying), refreshable: paying.refresh_token !== undefined })
process.exit(0)
