import { type IncomingMessage, type ServerResponse } from 'node:http'
import { buffer } from 'node:stream/consumers'
import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import { markTransaction } from '../../src/db/transaction-scope.ts'
import { parseEgressRule } from '../../src/http/egress-rule.ts'
import { type CallOutcome, openOutbound, type OutboundCall } from '../../src/http/outbound.ts'
import { behave, FakePeer } from '../support/fake-peer.ts'

const LIMITS = { connectMs: 1500, totalMs: 2000, maxBytes: 64 * 1024, maxRedirects: 5 }

const outboundWith = (rule?: string) =>
  openOutbound({
    rulesFor: async () => (rule === undefined ? [] : [parseEgressRule(rule)]),
    clock: systemClock,
    limits: LIMITS,
  })
const outbound = outboundWith('localhost')

const post = (peer: FakePeer, body: string | Uint8Array = '{"a":1}'): OutboundCall => ({
  method: 'POST',
  url: peer.url,
  meshId: 'acme',
  proof: { kind: 'spiffe', id: peer.endpointId, anchors: [peer.root.der] },
  body: Buffer.from(body),
  contentType: 'application/jose',
})

const failure = (outcome: CallOutcome) => ('error' in outcome ? outcome.error : undefined)
const answer = (outcome: CallOutcome) => ('answer' in outcome ? outcome.answer : undefined)

t.test(
  'a POST carries its body, its media type and its headers, and brings the answer',
  async (t) => {
    const peer = await FakePeer.open(t, 'globex.example')
    const seen: { request: IncomingMessage; body: string }[] = []
    const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      seen.push({ request, body: String(await buffer(request)) })
      response.writeHead(201, { 'content-type': 'Application/Jose; x=y' }).end('welcome')
    }
    peer.behaviour = (request, response) => void serve(request, response)
    const outcome = await outbound.request({
      ...post(peer),
      accept: 'application/jose',
      headers: { authorization: 'Bearer abc' },
    })
    t.match(answer(outcome), { status: 201, contentType: 'application/jose' })
    t.equal(Buffer.from(answer(outcome)?.body ?? []).toString(), 'welcome')
    t.match(outcome.contact, { presentedIds: [peer.endpointId], redirects: [] })
    t.match(seen[0], { body: '{"a":1}' })
    t.match(seen[0]?.request, {
      method: 'POST',
      headers: {
        'content-type': 'application/jose',
        'content-length': '7',
        accept: 'application/jose',
        authorization: 'Bearer abc',
      },
    })
  },
)

t.test('a GET call reads a refusal with its problem document and Retry-After', async (t) => {
  const peer = await FakePeer.open(t, 'globex.example')
  const { url, meshId, proof } = post(peer)
  for (const status of [400, 403, 429, 503]) {
    peer.behaviour = behave.answer(status, '{"code":"FORBIDDEN"}', {
      'content-type': 'application/problem+json',
      'retry-after': '7',
    })
    const outcome = await outbound.request({ method: 'GET', url, meshId, proof })
    t.match(answer(outcome), {
      status,
      contentType: 'application/problem+json',
      retryAfterSeconds: 7,
    })
    t.equal(Buffer.from(answer(outcome)?.body ?? []).toString(), '{"code":"FORBIDDEN"}')
  }
  peer.behaviour = behave.answer(429, '', { 'retry-after': '999999999' })
  t.equal(answer(await outbound.request(post(peer)))?.retryAfterSeconds, 86_400)
  peer.behaviour = behave.answer(429, '', { 'retry-after': 'Wed, 21 Oct 2026 07:28:00 GMT' })
  t.equal(answer(await outbound.request(post(peer)))?.retryAfterSeconds, undefined)
})

t.test('no call follows a redirect, so no body reaches a host that was not proven', async (t) => {
  const peer = await FakePeer.open(t, 'globex.example')
  const other = await FakePeer.open(t, 'globex.example')
  for (const status of [301, 302, 303, 307, 308]) {
    peer.behaviour = behave.redirect(other.url, status)
    t.match(failure(await outbound.request(post(peer))), {
      code: 'PEER_ANSWER_REFUSED',
      message: new RegExp(`answered ${status}; calls do not follow redirects`),
    })
  }
  t.same(other.requests, [])
})

t.test('a server that cannot prove itself gets nothing of the body', async (t) => {
  const peer = await FakePeer.open(t, 'globex.example')
  await peer.presentId('spiffe://initech.example/entente/bundle-endpoint')
  t.match(failure(await outbound.request(post(peer))), { code: 'PEER_IDENTITY_REFUSED' })
  t.same(peer.requests, [])
})

t.test('an address that policy does not open gets no call', async (t) => {
  const peer = await FakePeer.open(t, 'globex.example')
  t.match(failure(await outboundWith().request(post(peer))), {
    code: 'EGRESS_REFUSED',
    next: /^entente egress allow /,
  })
  t.same(peer.requests, [])
})

t.test('a body is bounded on both ways', async (t) => {
  const peer = await FakePeer.open(t, 'globex.example')
  t.match(failure(await outbound.request(post(peer, new Uint8Array(1024 * 1024 + 1)))), {
    code: 'PAYLOAD_TOO_LARGE',
  })
  t.same(peer.requests, [])
  peer.behaviour = behave.answer(422, Buffer.alloc(LIMITS.maxBytes + 1, 'x'))
  t.match(failure(await outbound.request(post(peer))), { code: 'PEER_ANSWER_REFUSED' })
  peer.behaviour = behave.endless()
  t.match(failure(await outbound.request(post(peer))), { code: 'PEER_ANSWER_REFUSED' })
})

t.test('a call that hangs, is cut or is aborted ends', async (t) => {
  const peer = await FakePeer.open(t, 'globex.example')
  peer.behaviour = behave.silent()
  t.match(failure(await outbound.request(post(peer))), { code: 'PEER_UNREACHABLE' })
  peer.behaviour = behave.cut()
  t.match(failure(await outbound.request(post(peer))), { code: 'PEER_UNREACHABLE' })
  t.equal(peer.requests.length, 2, 'a POST is never sent twice')
  const signal = AbortSignal.abort(new Error('stopping'))
  await t.rejects(outbound.request({ ...post(peer), signal }), { message: 'stopping' })
})

t.test('a call inside a transaction is refused', async (t) => {
  const peer = await FakePeer.open(t, 'globex.example')
  await t.rejects(
    markTransaction(() => outbound.request(post(peer))),
    { code: 'TRANSACTION_MISUSE' },
  )
})
