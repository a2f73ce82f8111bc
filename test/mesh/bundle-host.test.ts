import t from 'tap'
import { parseMeshId } from '../../src/db/ids.ts'
import { ServiceError } from '../../src/errors.ts'
import {
  bundleEndpointOf,
  checkManagedName,
  checkPathName,
  defaultBundleHost,
  parseBundleHost,
} from '../../src/mesh/bundle-host.ts'
import { checkHost } from '../../src/mesh/host-check.ts'
import type { MeshTrustDomain } from '../../src/mesh/mesh.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'

const acme = parseMeshId('acme')
const none = (): boolean => false
const all = (): boolean => true

t.test(
  'the default host is one name below the public one, or the bare host of this machine',
  (t) => {
    t.equal(defaultBundleHost(acme, 'spiffe.example.com', none), 'acme.spiffe.example.com')
    t.equal(defaultBundleHost(acme, 'spiffe.example.com', all), 'acme.spiffe.example.com')
    t.equal(defaultBundleHost(acme, 'localhost', none), 'localhost')
    t.equal(defaultBundleHost(acme, 'localhost', all), 'acme.localhost')
    t.equal(defaultBundleHost(acme, '192.0.2.7', none), '192.0.2.7')
    t.equal(defaultBundleHost(acme, '2001:db8::7', none), '2001:db8::7')
    t.throws(() => defaultBundleHost(acme, '192.0.2.7', all), {
      code: 'INVALID_REQUEST',
      next: /--bundle-host/,
    })
    t.end()
  },
)

t.test('a bundle host is a lower-case DNS name or an IP address and nothing else', (t) => {
  for (const host of ['a', 'a.example', 'xn--bcher-kva.example', '192.0.2.7', '2001:db8::7']) {
    t.equal(parseBundleHost(host), host)
  }
  t.equal(parseBundleHost('[2001:db8::7]'), '2001:db8::7')
  const odd = [
    '',
    'A.example',
    'a.example:8443',
    'a.example.',
    '.a',
    'a..b',
    'a_b',
    '*.a',
    '1.2.3.999',
    'a/b',
    'a b',
    'u@a',
  ]
  for (const host of odd) {
    t.throws(() => parseBundleHost(host), ServiceError, host)
  }
  t.end()
})

t.test('names that cannot be told apart or cannot stand in a URL are refused', (t) => {
  t.throws(() => checkManagedName(parseTrustDomain('cluster.local')), {
    code: 'TRUST_DOMAIN_INVALID',
  })
  for (const name of ['.', '..']) {
    t.throws(() => checkPathName(parseTrustDomain(name)), { code: 'TRUST_DOMAIN_INVALID' }, name)
  }
  for (const name of ['acme.example', '__proto__', 'a_b', '...', 'cluster.local.example']) {
    t.doesNotThrow(() => checkManagedName(parseTrustDomain(name)), name)
  }
  t.end()
})

function domain(over: Partial<MeshTrustDomain>): MeshTrustDomain {
  return {
    name: parseTrustDomain('acme.example'),
    meshId: acme,
    isPrimary: true,
    issuer: 'managed',
    observedFrom: undefined,
    bundleHost: 'acme.spiffe.example.com',
    baseUrl: undefined,
    formerHosts: [],
    profile: 'https_spiffe',
    madeNr: 1n,
    createdAt: new Date(),
    ...over,
  }
}

t.test(
  'FE-05 FE-24 the endpoint of a domain: its own host, or its primary’s under that identity',
  (t) => {
    const primary = domain({})
    const publicUrl = 'https://spiffe.example.com:8443'
    t.same(bundleEndpointOf(primary, primary, publicUrl), {
      url: 'https://acme.spiffe.example.com:8443/bundles/acme.example',
      host: 'acme.spiffe.example.com',
      profile: 'https_spiffe',
      endpointSpiffeId: 'spiffe://acme.example/entente/bundle-endpoint',
      selfServing: true,
    })
    const second = domain({
      name: parseTrustDomain('b.example'),
      isPrimary: false,
      bundleHost: undefined,
    })
    t.match(bundleEndpointOf(second, primary, publicUrl), {
      url: 'https://acme.spiffe.example.com:8443/bundles/b.example',
      endpointSpiffeId: 'spiffe://acme.example/entente/bundle-endpoint',
      selfServing: false,
    })
    const web = domain({ profile: 'https_web', bundleHost: '2001:db8::7' })
    t.match(bundleEndpointOf(web, web, 'https://[2001:db8::7]'), {
      url: 'https://[2001:db8::7]/bundles/acme.example',
      endpointSpiffeId: undefined,
    })
    t.end()
  },
)

t.test('the host check says whether a host leads here, and what to do when not', async (t) => {
  const table = new Map([
    ['spiffe.example.com', ['198.51.100.1']],
    ['acme.spiffe.example.com', ['203.0.113.9', '198.51.100.1']],
    ['stray.example', ['203.0.113.66']],
  ])
  const resolve = async (host: string): Promise<string[]> => {
    const found = table.get(host)
    if (found === undefined) throw new Error('ENOTFOUND')
    return found
  }
  const check = (host: string) => checkHost(host, 'spiffe.example.com', resolve)
  t.match(await check('acme.spiffe.example.com'), { resolvesToUs: true })
  t.match(await check('stray.example'), {
    resolvesToUs: false,
    detail: /203\.0\.113\.66, which is neither/,
  })
  t.match(await check('new.example'), { resolvesToUs: false, detail: /add a DNS record/ })
  t.match(await checkHost('acme.localhost', 'localhost'), { resolvesToUs: true })
  t.match(await checkHost('127.0.0.1', '192.0.2.1'), { resolvesToUs: true })
})
