import { readFileSync } from 'node:fs'
import t from 'tap'
import { readCertificate } from '../../src/pki/certificate.ts'
import { decodeAsIstio } from '../support/istio-decoder.ts'
import { startTestService } from '../support/service.ts'
import { tlsGet } from '../support/tls-get.ts'

const example = readFileSync(new URL('../vectors/bundle-mesh-a.json', import.meta.url), 'utf8')
const changed = (edit: (document: { keys: Record<string, unknown>[] }) => void): string => {
  const document = JSON.parse(example)
  edit(document)
  return JSON.stringify(document)
}

t.test('the decoder refuses what istiod refuses', async (t) => {
  t.match(decodeAsIstio(example), { roots: [/^[0-9A-F:]{95}$/] })
  const refused: Record<string, [string, RegExp]> = {
    'a sequence in quotes': [example.replace('42', '"42"'), /plain integer/],
    'a hint with a fraction': [example.replace('300', '300.0'), /plain integer/],
    'a key type that go-jose does not know, of another use': [
      changed(({ keys }) => keys.push({ kty: 'AKP', use: 'wit-svid' })),
      /unknown json web key type/,
    ],
    'a curve that it does not know': [
      changed(({ keys: [, jwt = {}] }) => (jwt['crv'] = 'secp256k1')),
      /unsupported elliptic curve/,
    ],
    'two certificates in one key': [
      changed(({ keys: [root = {}] }) => (root['x5c'] = [root['x5c'], root['x5c']].flat())),
      /2 certificates/,
    ],
    'the certificate of another key': [
      changed(({ keys: [root = {}, jwt = {}] }) =>
        Object.assign(root, { x: jwt['x'], y: jwt['y'] }),
      ),
      /does not match/,
    ],
    'no root': [changed(({ keys }) => keys.shift()), /no x509-svid key/],
  }
  for (const [what, [document, reason]] of Object.entries(refused)) {
    t.match(decodeAsIstio(document), { refused: reason }, what)
  }
})

t.test('istiod reads what we serve, before, during and after a rotation', async (t) => {
  const service = await startTestService(t)
  const made = await service.admin('POST', '/meshes', {
    meshId: 'acme',
    trustDomain: 'acme.example',
    settings: { minPublishSeconds: 1, hintSeconds: 1 },
  })
  t.equal(made.status, 201)
  const url: string = made.body.trustDomains[0].bundleUrl
  const rootsServed = async (): Promise<readonly string[]> => {
    const { status, body } = await tlsGet(url)
    t.equal(status, 200)
    const verdict = decodeAsIstio(body.toString('utf8'))
    if ('roots' in verdict) return verdict.roots
    throw new Error(verdict.refused)
  }
  const rootsWanted = async (count: number): Promise<readonly string[]> => {
    for (let turn = 0; turn < 100; turn += 1) {
      const roots = await rootsServed().catch(() => [])
      if (roots.length === count) return roots
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    return rootsServed()
  }
  const [first] = await rootsWanted(1)
  for (const kind of ['jwt', 'x509_root']) {
    const prepared = await service.admin('POST', '/meshes/acme/authorities', { kind })
    t.equal(prepared.status, 201, `${kind} is prepared`)
  }
  const during = await rootsWanted(2)
  t.ok(during.includes(first ?? ''), 'both roots are read')
  const list = await service.admin('GET', '/meshes/acme/authorities')
  const next = list.body.items.find(
    ({ kind, state }: Record<string, string>) => kind === 'x509_root' && state === 'prepared',
  )
  const path = `/meshes/acme/authorities/${next.id}/activate`
  const activate = async (left = 100): Promise<number> => {
    const { status } = await service.admin('POST', path, { force: true })
    if (status !== 409 || left === 0) return status
    await new Promise((resolve) => setTimeout(resolve, 100))
    return activate(left - 1)
  }
  t.equal(await activate(), 200, 'activated when one hint has passed')
  t.same((await rootsWanted(2)).toSorted(), during.toSorted(), 'and after the activation')
  const { chain } = await tlsGet(url)
  t.ok(readCertificate(chain[0] ?? new Uint8Array()).uriSans[0])
})
