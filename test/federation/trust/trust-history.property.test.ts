import { createHash, X509Certificate } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import {
  generateKeyPair,
  keyId,
  publicJwk,
  publicKeySha256,
  spkiOf,
} from '../../../src/pki/key-pair.ts'
import { readDocument } from '../../../src/federation/poll/accept-bundle.ts'
import { type TrustView } from '../../../src/federation/trust/trust-api.ts'
import { writeBundle } from '../../../src/spiffe/bundle.ts'
import { parseTrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { behave, bundleOf, FakeAuthority, FakePeer } from '../../support/fake-peer.ts'
import { type Answer, type FederationApp, federationApp } from '../federation-app.ts'

const td = parseTrustDomain('globex.example')
const PATH = '/meshes/acme/relationships'
const KEYS = '/meshes/acme/distrusted-keys'

/** Authorities a to c are X.509, d and e JWT keys. */
const roots = await Promise.all([1, 2, 3].map(() => FakeAuthority.root(td)))
const jwts = [generateKeyPair(), generateKeyPair()].map(({ publicKey }) => ({
  kid: keyId(publicKey),
  jwk: publicJwk(publicKey),
  digest: Buffer.from(publicKeySha256(spkiOf(publicKey))).toString('hex'),
}))
const digests = new Map(
  [
    ...roots.map(({ der }) => {
      const spki = new X509Certificate(der).publicKey.export({ format: 'der', type: 'spki' })
      return createHash('sha256').update(spki).digest('hex')
    }),
    ...jwts.map(({ digest }) => digest),
  ].map((digest, index) => ['abcde'.charAt(index), digest]),
)
const nameOf = new Map([...digests].map(([name, digest]) => [digest, name]))
const documentOf = (names: Names, sequence: bigint): Uint8Array => {
  const some = roots.filter((_, index) => names.includes('abc'.charAt(index)))
  const { bundle } = readDocument(td, bundleOf(td, { sequence, hint: 300, roots: some }))
  const jwtAuthorities = jwts
    .filter((_, index) => names.includes('de'.charAt(index)))
    .map(({ kid, jwk }) => ({ kid, jwk }))
  return writeBundle({ ...bundle, jwtAuthorities })
}

type Names = readonly string[]
type Policy = 'auto' | 'overlap' | 'approve'

const LETTERS = ['a', 'b', 'c', 'd', 'e'] as const
/** Acts by name, and how often each is drawn. */
const WEIGHTS = {
  serve: 12,
  set: 2,
  'policy auto': 1,
  'policy overlap': 1,
  'policy approve': 2,
  distrust: 4,
  lift: 4,
  accept: 5,
  reject: 1,
  suspend: 2,
  resume: 3,
  withdraw: 1,
  approve: 2,
  terminate: 1,
  delete: 1,
  create: 3,
} as const

/** One act; `names` counts for serve and set, `name` for distrust and lift. */
interface Act {
  readonly kind: keyof typeof WEIGHTS
  readonly names: Names
  readonly name: string
}

const acts: fc.Arbitrary<Act> = fc.record({
  kind: fc.oneof(
    ...Object.entries(WEIGHTS).map(([kind, weight]) => ({
      weight,
      arbitrary: fc.constant(kind as Act['kind']),
    })),
  ),
  names: fc.subarray([...LETTERS]),
  name: fc.constantFrom(...LETTERS),
})

interface Believed {
  policy: Policy
  inUse: Names | undefined
  waiting: Names | undefined
  isVerified: boolean
  isConsented: boolean
  isHeld: boolean
  isOver: boolean
}

/** What a naive reader of the events believes. */
class Model {
  /** What each moment led to, in order. */
  readonly moments: { readonly atMs: number; readonly trusted: Names }[] = []
  readonly #distrusted = new Set<string>()
  #relationship: Believed | undefined

  /** Applies an act that the service did carry out. */
  apply(act: Act, atMs: number): void {
    if (act.kind === 'distrust') this.#distrusted.add(act.name)
    else if (act.kind === 'lift') this.#distrusted.delete(act.name)
    else if (act.kind === 'delete') this.#relationship = undefined
    else if (act.kind === 'create') this.#relationship = { ...NEW }
    else if (this.#relationship !== undefined) CHANGES[act.kind](this.#relationship, act)
    this.moments.push({ atMs, trusted: this.#trusted() })
  }

  #trusted(): Names {
    const it = this.#relationship
    const isActive = it !== undefined && it.isVerified && it.isConsented && !it.isHeld && !it.isOver
    return isActive ? (it.inUse ?? []).filter((name) => !this.#distrusted.has(name)) : []
  }

  /** What was trusted at a moment. */
  at(atMs: number): Names {
    return this.moments.findLast((moment) => moment.atMs <= atMs)?.trusted ?? []
  }
}

const NEW: Believed = {
  policy: 'auto',
  inUse: undefined,
  waiting: undefined,
  isVerified: false,
  isConsented: true,
  isHeld: false,
  isOver: false,
}

const CHANGES: Readonly<
  Record<
    Exclude<Act['kind'], 'distrust' | 'lift' | 'delete' | 'create'>,
    (it: Believed, act: Act) => unknown
  >
> = {
  serve: (it, { names }) => serveTo(it, names),
  set: (it, { names }) => (it.inUse = names),
  'policy auto': (it) => (it.policy = 'auto'),
  'policy overlap': (it) => (it.policy = 'overlap'),
  'policy approve': (it) => (it.policy = 'approve'),
  accept: (it) => Object.assign(it, { inUse: it.waiting, waiting: undefined, isVerified: true }),
  reject: (it) => (it.waiting = undefined),
  suspend: (it) => (it.isHeld = true),
  resume: (it) => (it.isHeld = false),
  withdraw: (it) => (it.isConsented = false),
  approve: (it) => (it.isConsented = true),
  terminate: (it) => (it.isOver = true),
}

function serveTo(it: Believed, offered: Names): void {
  const held = it.inUse
  const hasNew = offered.some((name) => held?.includes(name) !== true)
  const overlaps =
    held === undefined || ['a', 'b', 'c'].some((x) => held.includes(x) && offered.includes(x))
  if (!hasNew || it.policy === 'auto' || (it.policy === 'overlap' && overlaps)) {
    Object.assign(it, { inUse: offered, waiting: undefined, isVerified: true })
    return
  }
  it.inUse = held?.filter((name) => offered.includes(name))
  it.waiting = offered
}

/** Carries acts out on a real service; answers whether it did this one. */
class Driver {
  readonly #app: FederationApp
  readonly #peer: FakePeer
  #sequence = 0n

  constructor(app: FederationApp, peer: FakePeer) {
    this.#app = app
    this.#peer = peer
  }

  async do(act: Act): Promise<boolean> {
    const answer = await this.#call(act)
    if (answer.status >= 500) throw new Error(JSON.stringify([act, this.#app.lines.at(-1)]))
    if (act.kind !== 'serve' || answer.status !== 200) return answer.status < 300
    const [outcome] = answer.body.outcomes
    if (outcome.error !== null) throw new Error(outcome.error.message)
    return true
  }

  async #call(act: Act): Promise<Answer> {
    const app = this.#app
    const [kind, policy] = act.kind.split(' ')
    if (policy !== undefined) {
      const body = { changePolicy: policy }
      return app.call('PATCH', `${PATH}/globex`, { body, ifMatch: '*' })
    }
    const key = digests.get(act.name)
    const special: Partial<Record<Act['kind'], () => Promise<Answer>>> = {
      serve: () => this.#serve(act.names),
      set: () => this.#set(act.names),
      distrust: () => app.call('POST', KEYS, { body: { publicKeySha256: key } }),
      lift: () => app.call('DELETE', `${KEYS}/${key}`),
      create: () => this.#create(),
      delete: () => app.call('DELETE', `${PATH}/globex`, { ifMatch: '*' }),
      accept: () => this.#decide('approve'),
      reject: () => this.#decide('reject'),
    }
    const other = () => app.call('POST', `${PATH}/globex/${kind}`, { body: {}, ifMatch: '*' })
    return (special[act.kind] ?? other)()
  }

  async #serve(names: Names): Promise<Answer> {
    this.#sequence += 1n
    this.#peer.document = documentOf(names, this.#sequence)
    return this.#app.call('POST', `${PATH}/globex/refresh`, { body: {} })
  }

  async #set(names: Names): Promise<Answer> {
    const document = new TextDecoder().decode(documentOf(names, 1n))
    return this.#app.call('POST', `${PATH}/globex/bundles/${td}`, { body: { document } })
  }

  async #create() {
    const domains = [{ trustDomain: td, source: 'https_web', endpointUrl: this.#peer.url }]
    return this.#app.call('POST', PATH, { body: { name: 'globex', domains } })
  }

  async #decide(to: 'approve' | 'reject') {
    const shown = await this.#app.call('GET', `${PATH}/globex`)
    const waiting = shown.body.domains?.[0]?.waiting
    if (!waiting) return { ...shown, status: 409 }
    return this.#app.call('POST', `${PATH}/globex/bundles/${td}/revisions/${to}`, {
      body: { digest: waiting.digest },
    })
  }
}

const trustedOf = ({ items }: TrustView): Names =>
  items
    .filter(({ whose }) => whose === 'peer')
    .map(({ publicKeySha256 }) => nameOf.get(publicKeySha256) ?? '?')
    .toSorted()

const web = await FakeAuthority.root('web-ca.example')
const CREATE: Act = { kind: 'create', names: [], name: '' }
const RUNS = 12

t.test(
  'the history of trust is what a naive replay of the events says, at every moment',
  async (t) => {
    const steps = fc.array(fc.tuple(acts, fc.integer({ min: 1, max: 100_000 })), {
      minLength: 5,
      maxLength: 25,
    })
    let trusted = 0
    const property = fc.asyncProperty(steps, async (sequence) => {
      const closing: (() => unknown)[] = []
      const scope = { teardown: (close: () => unknown) => void closing.push(close) }
      const app = await federationApp(scope, { webRoots: [web] })
      const peer = await FakePeer.open(scope, td)
      peer.present(await web.issue({ dnsNames: ['localhost'] }))
      peer.behaviour = behave.serve(peer)
      const driver = new Driver(app, peer)
      const model = new Model()
      const began = app.clock.now().getTime()
      try {
        for (const [act, waitMs] of [[CREATE, 1] as const, ...sequence]) {
          await app.clock.advance(waitMs)
          if (await driver.do(act)) model.apply(act, app.clock.now().getTime())
        }
        trusted += await compare(app, model, began)
      } finally {
        for (const close of closing.toReversed()) await close()
      }
    })
    t.comment(`fast-check seed 20270115, ${RUNS} runs`)
    await fc.assert(property, { seed: 20_270_115, numRuns: RUNS, endOnFailure: true })
    t.ok(trusted > 100, `${trusted} times an authority was trusted`)
  },
)

/** Compares at every moment of a change, just before it, between it and the next, and now; counts who was trusted. */
async function compare(app: FederationApp, model: Model, began: number): Promise<number> {
  await app.clock.advance(1)
  const now = app.clock.now().getTime()
  const moments = model.moments.flatMap(({ atMs }, index) => {
    const next = model.moments[index + 1]?.atMs ?? now
    return [atMs - 1, atMs, Math.floor((atMs + next) / 2)]
  })
  let trusted = 0
  for (const atMs of [began, ...moments, now]) {
    const at = encodeURIComponent(new Date(atMs).toISOString())
    const { body } = await app.call('GET', `/meshes/acme/trust?at=${at}`)
    const [found, wanted] = [trustedOf(body), model.at(atMs)]
    if (found.join() !== wanted.toSorted().join()) {
      throw new Error(
        `${atMs - began} ms after the begin: found ${found.join()}, wanted ${wanted.join()}`,
      )
    }
    trusted += found.length
  }
  return trusted
}
