// A CIBA poll client we did not write: openid-client 6, with oauth4webapi judging our access token.
// Reads its task as JSON on standard input, prints what it saw as JSON lines.
import * as client from 'openid-client'
import * as oauth from 'oauth4webapi'

const task = JSON.parse(await new Response(process.stdin).text())
const key = await crypto.subtle.importKey('jwk', task.key, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
const say = (step, seen) => console.log(JSON.stringify({ step, ...seen }))

const config = await client.discovery(
  new URL(task.issuer),
  task.client_id,
  { token_endpoint_auth_method: 'private_key_jwt' },
  client.PrivateKeyJwt({ key, kid: task.key.kid }),
  { execute: [client.allowInsecureRequests] },
)
say('discovered', { issuer: config.serverMetadata().issuer })

const pending = await client.initiateBackchannelAuthentication(config, task.parameters)
say('asked', { expires_in: pending.expires_in, interval: pending.interval })

const tokens = await client.pollBackchannelAuthenticationGrant(config, pending)
say('answered', { token_type: tokens.token_type, expires_in: tokens.expires_in, has_id_token: Boolean(tokens.id_token) })

const request = new Request(task.audience, { headers: { authorization: `Bearer ${tokens.access_token}` } })
const claims = await oauth.validateJwtAccessToken(config.serverMetadata(), request, task.audience, {
  [oauth.allowInsecureRequests]: true,
})
say('validated', { claims })
