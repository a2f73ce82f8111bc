import t from 'tap'
import {
  MAX_IDENTITIES,
  MAX_PORTS,
  type Owner,
  parseService,
  type ServiceDraft,
} from '../../src/catalog/service.ts'
import { ServiceError } from '../../src/errors.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'

const acme = parseTrustDomain('acme.example')
const mesh: Owner = { title: 'mesh acme', trustDomains: [acme], primary: acme }

const draft: ServiceDraft = {
  namespace: 'shop',
  name: 'cart',
  ports: [{ name: 'http', port: 8080 }],
  identities: ['/ns/shop/sa/cart'],
}

function faultsOf(broken: Partial<ServiceDraft>, owner = mesh): string[] {
  try {
    parseService({ ...draft, ...broken }, owner)
    return []
  } catch (error) {
    if (!(error instanceof ServiceError) || error.code !== 'SERVICE_INVALID') throw error
    return error.fields.map((field) => field.pointer)
  }
}

t.test('a bare path stands in the primary trust domain, and each identity once', async (t) => {
  const { identities } = parseService(
    { ...draft, identities: ['/web', 'spiffe://acme.example/ns/shop/sa/cart', '/ns/shop/sa/cart'] },
    mesh,
  )
  t.same(identities, ['spiffe://acme.example/ns/shop/sa/cart', 'spiffe://acme.example/web'])
})

t.test(
  'identities of others, of no workload and of the service itself serve nothing',
  async (t) => {
    for (const identity of [
      'spiffe://globex.example/web',
      'spiffe://acme.example',
      'spiffe://acme.example/entente/bundle-endpoint',
      '/entente',
      '/web/',
      'web',
      'https://acme.example/web',
      '',
    ]) {
      t.same(faultsOf({ identities: ['/ok', identity] }), ['/identities/1'], identity)
    }
  },
)

t.test('with several trust domains a bare path is not clear', async (t) => {
  const two = {
    title: 'relationship globex',
    trustDomains: [acme, parseTrustDomain('b.example')],
    primary: undefined,
  }
  t.same(faultsOf({ identities: ['/web'] }, two), ['/identities/0'])
  t.same(faultsOf({ identities: ['spiffe://b.example/web'] }, two), [])
})

t.test('names are DNS labels, because host names are made of them', async (t) => {
  for (const bad of ['', 'Shop', 'a.b', '-a', 'a-', '*', 'a'.repeat(64), 'ä']) {
    t.same(faultsOf({ namespace: bad }), ['/namespace'], bad)
    t.same(faultsOf({ name: bad }), ['/name'], bad)
  }
})

t.test('ports have names and numbers of their own', async (t) => {
  const http = { name: 'http', port: 80 }
  t.same(faultsOf({ ports: [http, { name: 'http', port: 81 }] }), ['/ports/1'])
  t.same(faultsOf({ ports: [http, { name: 'web', port: 80 }] }), ['/ports/1'])
  t.same(faultsOf({ ports: [{ name: 'HTTP', port: 80 }] }), ['/ports/0/name'])
})

t.test(
  'a service has at least one port and identity, and not more than a reader can read',
  async (t) => {
    t.same(faultsOf({ ports: [], identities: [] }), ['/ports', '/identities'])
    const ports = Array.from({ length: MAX_PORTS + 1 }, (_, i) => ({ name: `p${i}`, port: i + 1 }))
    t.same(faultsOf({ ports }), ['/ports'])
    t.same(faultsOf({ ports: ports.slice(1) }), [])
    const identities = Array.from({ length: MAX_IDENTITIES + 1 }, (_, i) => `/w${i}`)
    t.same(faultsOf({ identities }), ['/identities'])
    t.same(faultsOf({ identities: identities.slice(1) }), [])
  },
)
