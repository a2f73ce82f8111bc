import { createServer as createPlainServer } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { connect as tlsConnect } from 'node:tls'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { systemClock } from '../../src/clock.ts'
import { markTransaction } from '../../src/db/transaction-scope.ts'
import { parseEgressRule } from '../../src/http/egress-rule.ts'
import {
  openOutbound,
  type OutboundOptions,
  type OutboundOutcome,
  type OutboundRequest,
  type ServerProof,
} from '../../src/http/outbound.ts'
import { type EndpointUrl } from '../../src/spiffe/endpoint-profile.ts'
import { parseSpiffeId } from '../../src/spiffe/spiffe-id.ts'
import { behave, FakeAuthority, FakePeer } from '../support/fake-peer.ts'

const LIMITS = { connectMs: 1500, totalMs: 3000, maxBytes: 256 * 1024, maxRedirects: 5 }

const outboundWith = (options: Partial<OutboundOptions> = {}) =>
  openOutbound({
    rulesFor: async () => [parseEgressRule('localhost')],
    clock: systemClock,
    limits: LIMITS,
    ...options,
  })
const outbound = outboundWith()

const spiffeProof = (peer: FakePeer, roots = [peer.root]): ServerProof => ({
  kind: 'spiffe',
  id: peer.endpointId,
  anchors: roots.map(({ der }) => der),
})

const ask = (peer: FakePeer, change: Partial<OutboundRequest> = {}): Promise<OutboundOutcome> =>
  outbound.request({
    url: peer.url,
    proof: spiffeProof(peer),
    meshId: 'acme',
    redirects: 'follow',
    ...change,
  })

const failure = (outcome: OutboundOutcome) => ('error' in outcome ? outcome.error : undefined)
const body = (outcome: OutboundOutcome) =>
  'answer' in outcome && outcome.answer.status === 200 ? outcome.answer.body : undefined

const refusedWith = (
  t: Test,
  outcome: OutboundOutcome,
  wanted: { code: string; message: RegExp },
) => t.match(failure(outcome), wanted)

t.test('a document arrives with its ETag, and the contact tells whom we met', async (t) => {
  const peer = await FakePeer.open(t, 'globex.example')
  const outcome = await ask(peer)
  t.same(Buffer.from(body(outcome) ?? ''), Buffer.from(peer.document))
  t.match(outcome.contact, {
    url: peer.url,
    redirects: [],
    address: /^(127\.0\.0\.1|::1|::ffff:127\.0\.0\.1)$/,
    presentedIds: [peer.endpointId],
    chainSha256: /^[0-9a-f]{64}$/,
  })
  const etag =
    'answer' in outcome && outcome.answer.status === 200 ? outcome.answer.etag : undefined
  const again = await ask(peer, { etag })
  t.same('answer' in again && again.answer, { status: 304 })
  refusedWith(t, await ((peer.behaviour = behave.answer(304)), ask(peer)), {
    code: 'PEER_ANSWER_REFUSED',
    message: /answered 304, wanted 200/,
  })
})

t.test('FE-12 a body without or with another content type is taken', async (t) => {
  const peer = await FakePeer.open(t, 'globex.example')
  for (const headers of [{}, { 'content-type': 'text/plain' }]) {
    peer.behaviour = behave.answer(200, peer.document, headers)
    t.ok(body(await ask(peer)))
  }
})

/** Certificates that are not the wanted SVID, by what is wrong with them. */
const WRONG: Record<string, (peer: FakePeer) => Promise<void>> = {
  'another path of the domain': (peer) => peer.presentId(`spiffe://${peer.trustDomain}/other`),
  'the ID with a longer path': (peer) => peer.presentId(`${peer.endpointId}/x`),
  'the domain itself': (peer) => peer.presentId(`spiffe://${peer.trustDomain}`),
  'the same path of another domain': (peer) =>
    peer.presentId('spiffe://other.example/entente/bundle-endpoint'),
  'two URI SANs': (peer) => peer.presentId(peer.endpointId, `spiffe://${peer.trustDomain}/second`),
  'no URI SAN, right host': async (peer) =>
    peer.present(await peer.root.issue({ dnsNames: ['localhost'] })),
  expired: async (peer) =>
    peer.present(
      await peer.root.issue({
        uris: [peer.endpointId],
        notBefore: new Date(Date.UTC(2020, 0, 1)),
        notAfter: new Date(Date.UTC(2020, 0, 2)),
      }),
    ),
  'not valid yet': async (peer) =>
    peer.present(
      await peer.root.issue({
        uris: [peer.endpointId],
        notBefore: new Date(Date.UTC(2099, 0, 1)),
        notAfter: new Date(Date.UTC(2099, 0, 2)),
      }),
    ),
  'a leaf with the CA flag': async (peer) =>
    peer.present(await peer.root.issue({ uris: [peer.endpointId], isCa: true })),
  'the CA itself': async (peer) => peer.present(await peer.root.asLeaf()),
  'the right ID under a foreign root': async (peer) => {
    const foreign = await FakeAuthority.root('globex.example')
    peer.present(await foreign.issue({ uris: [peer.endpointId], dnsNames: ['localhost'] }))
  },
}

t.test('FE-21 X5-21 an https_spiffe server is refused before any byte of a request', async (t) => {
  const peer = await FakePeer.open(t, 'globex.example')
  for (const [what, arrange] of Object.entries(WRONG)) {
    await arrange(peer)
    refusedWith(t, await ask(peer), { code: 'PEER_IDENTITY_REFUSED', message: /./ })
    t.equal(peer.requests.length, 0, `${what}: no request arrived`)
  }
})

t.test('FE-21 the refusal names the presented and the wanted ID', async (t) => {
  const peer = await FakePeer.open(t, 'globex.example')
  await peer.presentId('spiffe://globex.example/other')
  const outcome = await ask(peer)
  t.match(failure(outcome)?.message, /shows SPIFFE ID spiffe:\/\/globex\.example\/other, wanted/)
  t.same(outcome.contact.presentedIds, ['spiffe://globex.example/other'])
})

t.test('FE-21 the right SVID is accepted without any DNS SAN, under any host name', async (t) => {
  const peer = await FakePeer.open(t, 'globex.example')
  for (const host of ['localhost', '127.0.0.1', 'globex.localhost']) {
    t.ok(body(await ask(peer, { url: peer.at('/', host) })), host)
  }
})

t.test('FE-21 an intermediate may be sent along, or itself be the anchor', async (t) => {
  const peer = await FakePeer.open(t, 'globex.example')
  const intermediate = await peer.root.intermediate('globex.example')
  peer.present(await intermediate.issue({ uris: [peer.endpointId] }))
  t.ok(body(await ask(peer)))
  t.ok(body(await ask(peer, { proof: spiffeProof(peer, [intermediate]) })))
})

t.test('FE-21 no anchors trust nobody, and no system root stands in', async (t) => {
  const peer = await FakePeer.open(t, 'globex.example')
  refusedWith(t, await ask(peer, { proof: spiffeProof(peer, []) }), {
    code: 'PEER_IDENTITY_REFUSED',
    message: /does not chain to the stored bundle/,
  })
})

t.test('FE-21 two relationships to one host with different IDs stay apart', async (t) => {
  const peer = await FakePeer.open(t, 'globex.example')
  const ids = [peer.endpointId, parseSpiffeId('spiffe://globex.example/other')]
  const outcomes = await Promise.all(
    Array.from({ length: 6 }, (_, turn) =>
      ask(peer, {
        proof: { kind: 'spiffe', id: ids[turn % 2] ?? peer.endpointId, anchors: [peer.root.der] },
      }),
    ),
  )
  t.same(
    outcomes.map((outcome) => 'answer' in outcome),
    [true, false, true, false, true, false],
  )
})

/** A client that keeps TLS sessions per host and checks the ID in checkServerIdentity only. */
const resumingTwin = (peer: FakePeer) => {
  let session: Buffer | undefined
  return (wanted: string) =>
    new Promise<'accepted' | 'refused'>((resolve) => {
      const socket = tlsConnect({
        port: peer.port,
        ca: peer.root.pem,
        ...(session === undefined ? {} : { session }),
        checkServerIdentity: (_host, { subjectaltname }) =>
          subjectaltname === `URI:${wanted}` ? undefined : new Error('another ID'),
      })
      socket.on('session', (fresh) => (session = fresh))
      socket.on('error', () => resolve('refused'))
      socket.on('data', () => {
        socket.destroy()
        resolve('accepted')
      })
      socket.on('secureConnect', () => socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n'))
    })
}

t.test('FE-21 the twin that resumes sessions accepts another ID, we do not', async (t) => {
  const peer = await FakePeer.open(t, 'globex.example')
  const twin = resumingTwin(peer)
  const other = parseSpiffeId('spiffe://globex.example/other')
  t.equal(await twin(peer.endpointId), 'accepted')
  t.equal(await twin(other), 'accepted', 'the twin takes another ID')
  t.ok(body(await ask(peer)))
  const proof = { kind: 'spiffe', id: other, anchors: [peer.root.der] } as const
  t.equal(failure(await ask(peer, { proof }))?.code, 'PEER_IDENTITY_REFUSED')
})

t.test(
  'FE-19 FE-20 an https_web server proves its name to public roots, never to SPIFFE anchors',
  async (t) => {
    const peer = await FakePeer.open(t, 'globex.example')
    const web = await FakeAuthority.root('web-ca.example')
    const trusting = outboundWith({ extraRootsPem: [web.pem] })
    const fetchWeb = (url: EndpointUrl, by = trusting) =>
      by.request({ url, proof: { kind: 'web' }, meshId: 'acme', redirects: 'follow' })

    peer.present(await web.issue({ dnsNames: ['localhost'] }))
    t.ok(body(await fetchWeb(peer.url)))
    refusedWith(t, await fetchWeb(peer.url, outbound), {
      code: 'PEER_IDENTITY_REFUSED',
      message: /does not chain to a public root/,
    })
    refusedWith(t, await fetchWeb(peer.at('/', '127.0.0.1')), {
      code: 'PEER_IDENTITY_REFUSED',
      message: /does not name that host/,
    })
    peer.present(await web.issue({ ipAddresses: ['127.0.0.1'] }))
    t.ok(body(await fetchWeb(peer.at('/', '127.0.0.1'))), 'an IP SAN names an IP host')
    t.ok(failure(await fetchWeb(peer.url)), 'and no other')
    peer.present(
      await web.issue({
        dnsNames: ['localhost'],
        notBefore: new Date(Date.UTC(2020, 0, 1)),
        notAfter: new Date(Date.UTC(2020, 0, 2)),
      }),
    )
    refusedWith(t, await fetchWeb(peer.url), {
      code: 'PEER_IDENTITY_REFUSED',
      message: /has expired/,
    })
    peer.present(await peer.root.issue({ dnsNames: ['localhost'], uris: [peer.endpointId] }))
    const hint = failure(await fetchWeb(peer.url))
    t.equal(hint?.code, 'PEER_IDENTITY_REFUSED', 'a SPIFFE anchor of the peer is no web root')
    t.match(
      hint?.next,
      /shows SPIFFE ID spiffe:\/\/globex\.example\/.*is its profile https_spiffe\?/,
    )
  },
)

t.test('FE-03 there is no falling back from one profile to the other', async (t) => {
  const peer = await FakePeer.open(t, 'globex.example')
  const web = await FakeAuthority.root('web-ca.example')
  peer.present(await web.issue({ dnsNames: ['localhost'] }))
  const both = outboundWith({ extraRootsPem: [web.pem] })
  const request = { url: peer.url, meshId: 'acme', redirects: 'follow' as const }
  t.ok(body(await both.request({ ...request, proof: { kind: 'web' } })))
  t.ok(failure(await both.request({ ...request, proof: spiffeProof(peer) })))
})

t.test('FE-27 a redirect to a good target of the same ID is followed', async (t) => {
  const peer = await FakePeer.open(t, 'globex.example')
  const target = await FakePeer.open(t, 'globex.example')
  target.root = peer.root
  await target.presentId(peer.endpointId)
  for (const status of [301, 302, 303, 307, 308]) {
    peer.behaviour = behave.redirect(target.at('/moved?x=1'), status)
    const outcome = await ask(peer)
    t.ok(body(outcome), String(status))
    t.same(outcome.contact.redirects, [target.at('/moved?x=1')])
  }
  peer.behaviour = (request, response) =>
    (request.url === '/bundle' ? behave.redirect('/elsewhere') : behave.serve(peer))(
      request,
      response,
    )
  t.ok(body(await ask(peer)), 'a relative target is resolved')
})

/** Targets that must not be followed, and what is said about them. */
const BAD_TARGETS: [string, RegExp][] = [
  ['http://localhost/', /no valid endpoint URL/],
  ['HTTP://localhost/', /no valid endpoint URL/],
  ['https://user@localhost/', /no valid endpoint URL/],
  ['https://@localhost/', /no valid endpoint URL/],
  ['//user@localhost/', /no valid endpoint URL/],
  ['ftp://localhost/', /no valid endpoint URL/],
  ['file:///etc/passwd', /no valid endpoint URL/],
  ['\\\\localhost\\x', /no valid endpoint URL/],
  ['', /go round in a circle/],
  ['https://10.0.0.1/', /egress policy does not open 10\.0\.0\.1/],
  ['https://169.254.169.254/latest', /egress policy does not open 169\.254\.169\.254/],
  ['https://[::ffff:10.0.0.1]/', /egress policy does not open/],
  ['https://2130706433:1/', /nothing listens|no connection/],
]

t.test('FE-27 a redirect elsewhere is refused, each hop checked as the first', async (t) => {
  const peer = await FakePeer.open(t, 'globex.example')
  for (const [target, message] of BAD_TARGETS) {
    peer.behaviour = behave.redirect(target)
    t.match(failure(await ask(peer))?.message, message, target)
  }
  const impostor = await FakePeer.open(t, 'globex.example')
  peer.behaviour = behave.redirect(impostor.url)
  t.equal(failure(await ask(peer))?.code, 'PEER_IDENTITY_REFUSED', 'another root')
  impostor.root = peer.root
  await impostor.presentId('spiffe://globex.example/other')
  t.equal(failure(await ask(peer))?.code, 'PEER_IDENTITY_REFUSED', 'another ID under the same root')
  t.equal(impostor.requests.length, 0)
})

t.test('FE-27 loops and long ways end', async (t) => {
  const peer = await FakePeer.open(t, 'globex.example')
  peer.behaviour = behave.redirect(peer.url)
  t.match(failure(await ask(peer))?.message, /circle/)
  peer.behaviour = (request, response) => {
    behave.redirect(`/hop${Number(/\d+/.exec(request.url ?? '')?.[0] ?? 0) + 1}`)(request, response)
  }
  t.match(failure(await ask(peer))?.message, /redirects more than 5 times/)
  t.equal(peer.requests.length, 1 + 6, 'one loop of one request, then the first and five hops')
})

t.test(
  'FE-27 the twin that lets fetch follow goes from https to http and returns the body',
  async (t) => {
    const plain = createPlainServer((_request, response) => response.end('{"keys":[]}'))
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve))
    t.teardown(() => plain.close())
    const peer = await FakePeer.open(t, 'globex.example')
    const target = `http://127.0.0.1:${(plain.address() as AddressInfo).port}/`
    peer.behaviour = behave.redirect(target)
    const { Agent: UndiciAgent, fetch } = await import('undici')
    const dispatcher = new UndiciAgent({
      connect: { ca: peer.root.pem, checkServerIdentity: () => undefined },
    })
    t.teardown(() => dispatcher.destroy())
    const followed = await fetch(peer.url, { dispatcher })
    t.equal(await followed.text(), '{"keys":[]}', 'the twin took the body')
    t.match(failure(await ask(peer))?.message, /no valid endpoint URL/, 'we do not')
  },
)

t.test('FE-29 redirects can be switched off, and the refusal names the target', async (t) => {
  const peer = await FakePeer.open(t, 'globex.example')
  peer.behaviour = behave.redirect('/elsewhere')
  const outcome = await ask(peer, { redirects: 'refuse' })
  t.match(failure(outcome)?.message, /redirects to "\/elsewhere", and redirects are switched off/)
})

t.test('FE-43 what never ends, drips or is too large is cut', async (t) => {
  const peer = await FakePeer.open(t, 'globex.example')
  const cases: [ReturnType<typeof behave.silent>, string, RegExp][] = [
    [behave.silent(), 'PEER_UNREACHABLE', /no complete answer from localhost:\d+ within 3 s/],
    [behave.drip(100), 'PEER_UNREACHABLE', /no complete answer/],
    [behave.endless(), 'PEER_ANSWER_REFUSED', /larger than 262144 bytes/],
    [behave.answer(200, Buffer.alloc(300_000, ' ')), 'PEER_ANSWER_REFUSED', /larger than/],
  ]
  for (const [behaviour, code, message] of cases) {
    peer.behaviour = behaviour
    refusedWith(t, await ask(peer), { code, message })
  }
})

t.test('FE-36 whatever is no complete 200 is a failure in words', async (t) => {
  const peer = await FakePeer.open(t, 'globex.example')
  const cases: [ReturnType<typeof behave.silent>, RegExp][] = [
    [behave.answer(500, 'oops'), /answered 500, wanted 200/],
    [behave.answer(404), /answered 404/],
    [behave.answer(204), /answered 204/],
    [behave.answer(206, peer.document), /answered 206/],
    [behave.answer(302), /302 without a Location/],
    [behave.truncated(peer.document), /cut the connection|not as long as/],
    [behave.cut(), /cut the connection/],
    [behave.raw('{"keys":[]}'), /does not answer in HTTP\/1\.1/],
    [behave.raw('HTTP/1.1 100 Continue\r\n\r\n'.repeat(50)), /./],
    [
      behave.answer(200, gzipSync('{"keys":[]}'), { 'content-encoding': 'gzip' }),
      /content encoding/,
    ],
    [behave.answer(200, '{}', { 'x-large': 'x'.repeat(40_000) }), /headers of .* too large/],
  ]
  for (const [behaviour, message] of cases) {
    peer.behaviour = behaviour
    t.match(failure(await ask(peer))?.message, message)
  }
  peer.behaviour = behave.serve(peer)
  t.ok(body(await ask(peer)), 'and the next request is fine')
})

t.test(
  'FE-43 a server that accepts and says nothing is left within the connect limit',
  async (t) => {
    const dumb = createTcpServer(() => undefined)
    await new Promise<void>((resolve) => dumb.listen(0, '127.0.0.1', resolve))
    t.teardown(() => dumb.close())
    const peer = await FakePeer.open(t, 'globex.example')
    const { port } = dumb.address() as AddressInfo
    const started = systemClock.monotonicMs()
    const outcome = await ask(peer, { url: `https://127.0.0.1:${port}/` as EndpointUrl })
    t.match(failure(outcome), {
      code: 'PEER_UNREACHABLE',
      message: /no connection|no complete answer/,
    })
    t.ok(systemClock.monotonicMs() - started < 3500)
  },
)

t.test(
  'FE-43 addresses that policy does not open are refused with the command that would',
  async (t) => {
    const peer = await FakePeer.open(t, 'globex.example')
    const closed = outboundWith({ rulesFor: async () => [] })
    const get = (url: string) =>
      closed.request({
        url: url as EndpointUrl,
        proof: { kind: 'web' },
        meshId: 'acme',
        redirects: 'follow',
      })
    const error = failure(await get(peer.url))
    t.match(error, { code: 'EGRESS_REFUSED', next: `entente egress allow localhost:${peer.port}` })
    t.match(error?.message, /localhost \(127\.0\.0\.1\) port \d+: it is a loopback address/)
    for (const url of [
      'https://10.0.0.1/',
      'https://0x7f.1/',
      'https://2130706433/',
      'https://[::1]/',
      'https://[::ffff:127.0.0.1]/',
      'https://[64:ff9b::7f00:1]/',
      'https://[fd00::1]/',
      'https://169.254.169.254/',
      'https://acme.localhost/',
    ]) {
      t.equal(failure(await get(url))?.code, 'EGRESS_REFUSED', url)
    }
  },
)

t.test(
  'FE-43 the address that was judged is the one used: a name that changes its answer gains nothing',
  async (t) => {
    const peer = await FakePeer.open(t, 'globex.example')
    let lookups = 0
    const rebinding = outboundWith({
      rulesFor: async () => [],
      resolve: async () => {
        lookups += 1
        return lookups === 1
          ? [{ address: '127.0.0.1', family: 4 }]
          : [{ address: '93.184.216.34', family: 4 }]
      },
    })
    const outcome = await rebinding.request({
      url: peer.at('/', 'rebind.example'),
      proof: spiffeProof(peer),
      meshId: 'acme',
      redirects: 'follow',
    })
    t.match(failure(outcome), {
      code: 'EGRESS_REFUSED',
      next: `entente egress allow 127.0.0.1:${peer.port}`,
    })
    t.equal(lookups, 1, 'one lookup decides and connects')
    t.equal(peer.requests.length, 0)
  },
)

t.test('only the addresses of a name that policy opens are tried', async (t) => {
  const peer = await FakePeer.open(t, 'globex.example')
  const mixed = outboundWith({
    rulesFor: async () => [parseEgressRule('127.0.0.1')],
    resolve: async () => [
      { address: '10.255.255.1', family: 4 },
      { address: '127.0.0.1', family: 4 },
    ],
  })
  const outcome = await mixed.request({
    url: peer.at('/', 'peer.example'),
    proof: spiffeProof(peer),
    meshId: 'acme',
    redirects: 'follow',
  })
  t.ok(body(outcome))
})

t.test('no connection is opened inside a transaction', async (t) => {
  const peer = await FakePeer.open(t, 'globex.example')
  await t.rejects(
    markTransaction(() => ask(peer)),
    { code: 'TRANSACTION_MISUSE' },
  )
  t.equal(peer.requests.length, 0)
})

t.test('an aborted request ends with the reason of its signal', async (t) => {
  const peer = await FakePeer.open(t, 'globex.example')
  peer.behaviour = behave.silent()
  const stopping = new AbortController()
  const asked = ask(peer, { signal: stopping.signal })
  setTimeout(() => stopping.abort(new Error('stopping')), 50)
  await t.rejects(asked, { message: 'stopping' })
})

t.test('the request asks for plain bytes and names no client beyond the product', async (t) => {
  const peer = await FakePeer.open(t, 'globex.example')
  let headers: Record<string, unknown> = {}
  peer.behaviour = (request, response) => {
    headers = request.headers
    behave.serve(peer)(request, response)
  }
  await ask(peer)
  t.match(headers, { 'accept-encoding': 'identity', accept: 'application/json' })
  t.notOk(headers['authorization'] ?? headers['cookie'])
})
