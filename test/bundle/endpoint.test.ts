import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { readCertificate } from '../../src/pki/certificate.ts'
import { verifyX509Svid } from '../../src/pki/verify-chain.ts'
import { parseBundle } from '../../src/spiffe/bundle.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { tlsGet } from '../support/tls-get.ts'
import { untilTrue } from '../support/until.ts'

const TD = parseTrustDomain('acme.example')

async function createAcme(service: TestService): Promise<string> {
  const made = await service.admin('POST', '/meshes', { meshId: 'acme', trustDomain: TD })
  if (made.status !== 201) throw new Error(JSON.stringify(made.body))
  const url: string = made.body.trustDomains[0].bundleUrl
  await untilTrue(async () => (await tlsGet(url).catch(() => undefined))?.status === 200)
  return url
}

async function idOf(target: string): Promise<string | undefined> {
  return readCertificate((await tlsGet(target)).chain[0] ?? new Uint8Array()).uriSans[0]
}

t.test('the bundle endpoint', async (t) => {
  const service = await startTestService(t)
  await t.rejects(
    tlsGet(`${service.publicUrl}/bundles/acme.example`),
    'before the first mesh handshakes end',
  )
  const url = await createAcme(service)
  const plain = await tlsGet(url)

  t.test(
    'FE-10 FE-12 GET answers the bundle as UTF-8 JSON, HEAD the same without a body',
    async (t) => {
      t.equal(plain.status, 200)
      t.equal(plain.headers['content-type'], 'application/json')
      t.equal(new TextDecoder('utf-8', { fatal: true }).decode(plain.body).charAt(0), '{')
      const head = await tlsGet(url, { method: 'HEAD' })
      t.equal(head.status, 200)
      t.equal(head.body.length, 0)
      t.equal(head.headers['content-length'], String(plain.body.length))
      t.equal(head.headers.etag, plain.headers.etag)
    },
  )

  t.test('FE-10 other methods get 405, other paths 404, plain HTTP no bundle', async (t) => {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
      const answer = await tlsGet(url, { method, headers: { 'content-type': 'text/odd' } })
      t.equal(answer.status, 405, method)
      t.equal(answer.headers.allow, 'GET, HEAD')
    }
    for (const path of [
      '/bundles/other.example',
      '/bundles/Acme.example',
      '/bundles/%ff',
      '/',
      '/bundles',
    ]) {
      const answer = await tlsGet(new URL(path, url).href)
      t.ok([400, 404].includes(answer.status), `${path} is ${answer.status}`)
    }
    await t.rejects(fetch(url.replace('https:', 'http:')))
  })

  t.test(
    'BU-01 BU-02 BU-05 BU-06 BU-07 BU-08 the document holds what it must and nothing more',
    async (t) => {
      const document = JSON.parse(plain.body.toString('utf8'))
      t.same(Object.keys(document), ['spiffe_sequence', 'spiffe_refresh_hint', 'keys'])
      t.match(plain.body.toString('utf8'), /"spiffe_sequence":[0-9]+,/)
      t.equal(document.spiffe_refresh_hint, 300)
      for (const key of document.keys) {
        const allowed =
          key.use === 'x509-svid'
            ? ['kty', 'use', 'crv', 'x', 'y', 'x5c']
            : ['kty', 'use', 'kid', 'crv', 'x', 'y']
        t.same(Object.keys(key).toSorted(), allowed.toSorted())
      }
    },
  )

  t.test(
    'X5-27 X5-28 X5-29 one JWK per root, without kid, whose x5c is one strict base64 string of the same key',
    async (t) => {
      const document = JSON.parse(plain.body.toString('utf8'))
      const roots = document.keys.filter((key: { use: string }) => key.use === 'x509-svid')
      t.equal(roots.length, 1)
      t.notOk('kid' in roots[0])
      t.equal(x5cFault(roots[0]), undefined)
      t.match(
        x5cFault({ ...roots[0], x5c: [roots[0].x5c[0], roots[0].x5c[0]] }),
        /one string/,
        'a twin that publishes a chain',
      )
      t.match(
        x5cFault({
          ...roots[0],
          x5c: [roots[0].x5c[0].replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')],
        }),
        /base64/,
        'a twin that writes base64url',
      )
      t.match(x5cFault({ ...roots[0], x: roots[0].y }), /key/, 'a twin whose JWK is of another key')
    },
  )

  t.test(
    'FE-11 answers are cached for a tenth of the hint, and 304 while nothing changed',
    async (t) => {
      t.equal(plain.headers['cache-control'], 'public, max-age=30')
      t.equal(plain.headers.vary, 'Accept-Encoding')
      const etag = plain.headers.etag ?? ''
      t.match(etag, /^"[0-9]+-[0-9a-f]{16}"$/)
      const held = await tlsGet(url, { headers: { 'if-none-match': `"x", W/${etag}` } })
      t.equal(held.status, 304)
      t.equal(held.headers.etag, etag)
      t.equal(held.body.length, 0)
      const gzip = await tlsGet(url, { headers: { 'accept-encoding': 'br, gzip' } })
      t.equal(gzip.headers['content-encoding'], 'gzip')
      t.not(gzip.headers.etag, etag, 'each encoding has a tag of its own')
      t.same(gunzipSync(gzip.body), plain.body)
      const none = await tlsGet(url, { headers: { 'accept-encoding': 'gzip;q=0' } })
      t.equal(none.headers['content-encoding'], undefined)
    },
  )

  t.test('FE-13 nobody is asked who they are, and whoever says it is answered alike', async (t) => {
    const odd = await tlsGet(url, { headers: { authorization: 'Bearer nonsense', cookie: 'a=b' } })
    t.equal(odd.status, 200)
    t.same(odd.body, plain.body)
  })

  t.test(
    'FE-16 the endpoint presents an X509-SVID that chains to the bundle it serves',
    async (t) => {
      const { bundle } = parseBundle(TD, plain.body)
      const anchors = bundle.x509Authorities.map(({ certificate }) => certificate)
      const verified = verifyX509Svid(plain.chain, {
        anchorsOf: (td) => (td === TD ? anchors : undefined),
        now: new Date(),
      })
      t.equal(verified.id, 'spiffe://acme.example/entente/bundle-endpoint')
      const [leaf, intermediate] = plain.chain.map((der) => readCertificate(der))
      t.equal(plain.chain.length, 2, 'the intermediate comes along, the root does not')
      t.ok(intermediate?.isCa)
      t.same(leaf?.dnsSans, ['localhost'])
    },
  )

  t.test('FE-17 FE-18 nothing on the federation listener redirects', async (t) => {
    for (const path of [
      '/bundles/acme.example/',
      '/bundles//acme.example',
      '/bundles/acme.example/for/',
      '//',
    ]) {
      const { status } = await tlsGet(new URL(url).origin + path)
      t.notOk(status >= 300 && status < 400, `${path} is ${status}`)
    }
  })

  t.test('a second mesh is served under its own name and identity', async (t) => {
    const made = await service.admin('POST', '/meshes', {
      meshId: 'globex',
      trustDomain: 'globex.example',
    })
    const [domain] = made.body.trustDomains
    t.match(domain.bundleUrl, /^https:\/\/globex\.localhost:[0-9]+\/bundles\/globex\.example$/)
    t.equal(domain.hostCheck.resolvesToUs, true)
    await untilTrue(async () => (await idOf(domain.bundleUrl)) === domain.endpointSpiffeId)
    t.equal(await idOf(url), 'spiffe://acme.example/entente/bundle-endpoint')
    const unknown = domain.bundleUrl.replace('globex.localhost', 'unknown.localhost')
    t.equal(
      await idOf(unknown),
      'spiffe://acme.example/entente/bundle-endpoint',
      'an unknown name gets the first made',
    )
    const workload = await tlsGet(service.workloadUrl.replace('localhost', 'globex.example'))
    const ids = workload.chain.map((der) => readCertificate(der).uriSans[0])
    t.same(
      ids,
      [
        'spiffe://globex.example/entente/workload-endpoint',
        'spiffe://globex.example',
        'spiffe://globex.example',
      ],
      'the workload listener sends the root along',
    )
  })
})

function x5cFault(key: {
  kty: string
  crv: string
  x: string
  y: string
  x5c: string[]
}): string | undefined {
  if (key.x5c.length !== 1) return 'x5c is not one string'
  const [text = ''] = key.x5c
  const der = Buffer.from(text, 'base64')
  if (der.toString('base64') !== text) return 'x5c is not standard base64'
  const point = readCertificate(der).spki.subarray(-64)
  const same = point.equals(
    Buffer.concat([Buffer.from(key.x, 'base64url'), Buffer.from(key.y, 'base64url')]),
  )
  return same ? undefined : 'the members are of another key'
}

t.test('readers', async (t) => {
  const service = await startTestService(t)
  const url = await createAcme(service)
  const path = '/meshes/acme/bundle/readers'
  const made = await service.admin('POST', path, { label: 'globex' })
  t.equal(made.status, 201)
  const readerUrl: string = made.body.url
  t.ok(readerUrl.startsWith(`${url}/for/`))
  const stored = async () => (await service.admin('GET', path)).body.items[0]

  t.test(
    'a reader URL serves the same bytes, uncached, and records who fetched which sequence',
    async (t) => {
      const answer = await tlsGet(readerUrl)
      t.equal(answer.status, 200)
      t.equal(answer.headers['cache-control'], 'private, no-cache')
      await untilTrue(async () => (await stored()).fetches === '1')
      const first = await stored()
      t.equal(first.sequence, /^"([0-9]+)-/.exec(answer.headers.etag ?? '')?.[1])
      t.equal(first.activity, 'once')
      await tlsGet(readerUrl, { headers: { 'if-none-match': answer.headers.etag ?? '' } })
      await untilTrue(async () => (await stored()).fetches === '2')
      t.equal((await stored()).activity, 'polling', 'a 304 to the current tag counts, too')
      await tlsGet(readerUrl, { method: 'HEAD' })
      await tlsGet(url)
      await new Promise((resolve) => setTimeout(resolve, 1300))
      t.equal((await stored()).fetches, '2', 'HEAD and the plain URL do not')
    },
  )

  t.test('a forged or foreign reference is a 404', async (t) => {
    const ref = readerUrl.slice(readerUrl.lastIndexOf('/') + 1)
    const flipped = (ref.startsWith('A') ? 'B' : 'A') + ref.slice(1)
    for (const odd of [flipped, ref.slice(0, -1), `${ref}A`, 'x'.repeat(43)]) {
      t.equal((await tlsGet(`${url}/for/${odd}`)).status, 404, odd)
    }
    t.equal((await tlsGet(`${url}/for/${ref.slice(0, -1)}%00`)).status, 400, 'a NUL')
    await service.admin('POST', '/meshes', { meshId: 'globex', trustDomain: 'globex.example' })
    const foreign = `${url.replace('acme.example', 'globex.example')}/for/${ref}`
    await untilTrue(
      async () => (await tlsGet(url.replace('acme.example', 'globex.example'))).status === 200,
    )
    t.equal((await tlsGet(foreign)).status, 404, 'a reference is good for one trust domain')
  })

  t.test('a label is taken once, and a removed reader is gone', async (t) => {
    t.equal((await service.admin('POST', path, { label: 'globex' })).status, 409)
    t.equal((await service.admin('POST', path, { label: 'Not A Label' })).status, 400)
    const dry = await service.admin('DELETE', `${path}/globex?dryRun=true`)
    t.equal(dry.status, 200)
    t.equal((await tlsGet(readerUrl)).status, 200)
    t.equal((await service.admin('DELETE', `${path}/globex`)).status, 204)
    await untilTrue(async () => (await tlsGet(readerUrl)).status === 404)
    t.equal((await service.admin('DELETE', `${path}/globex`)).status, 404)
  })
})
