import t from 'tap'
import { type Authority, canSign, type Slot } from '../../src/authority/authority.ts'
import {
  type Act,
  deadlineOf,
  decideActs,
  prepareAt,
  type Readiness,
  removalTime,
  type Situation,
  waitingFor,
} from '../../src/authority/lifecycle.ts'
import { addSeconds } from '../../src/clock.ts'
import { type MeshSettings, settingsInForce } from '../../src/mesh/settings.ts'

const START = new Date('2027-01-01T00:00:00Z')
const DAY = 86_400
const DEFAULTS = settingsInForce({})
const READY: Readiness = {
  largestHintSeconds: 300,
  replicasBehind: 0,
  holdersBehindUntil: undefined,
  inUseUntil: undefined,
}
const ROOT: Slot = { kind: 'x509_root', cluster: undefined }
const JWT: Slot = { kind: 'jwt', cluster: undefined }
const INTERMEDIATE: Slot = { kind: 'x509_intermediate', cluster: 'main' }

function authority(over: Partial<Authority>): Authority {
  return {
    id: 'a',
    kind: 'x509_root',
    cluster: undefined,
    parentId: undefined,
    state: 'active',
    notBefore: START,
    notAfter: addSeconds(START, 365 * DAY),
    preparedAt: over.notBefore ?? START,
    publishedAt: START,
    publishedSequence: 1n,
    removeAt: undefined,
    hasKey: true,
    endpointOnly: false,
    ...over,
  }
}

function situation(over: Partial<Situation> & Pick<Situation, 'authorities' | 'now'>): Situation {
  return { slots: [ROOT], settings: DEFAULTS, readinessOf: () => READY, othersSign: false, ...over }
}

const told = (acts: readonly Act[]): string[] =>
  acts.map((act) =>
    act.act === 'prepare' ? `prepare ${act.slot.kind}` : `${act.act} ${act.authority.id}`,
  )

t.test('a successor is prepared at half life, of a root at most 60 days before its end', (t) => {
  const cases: readonly (readonly [Partial<Authority>, number])[] = [
    [{}, 305 * DAY],
    [{ notAfter: addSeconds(START, 100 * DAY) }, 50 * DAY],
    [{ kind: 'jwt', notAfter: addSeconds(START, 30 * DAY) }, 15 * DAY],
    [{ kind: 'x509_intermediate', notAfter: addSeconds(START, 7 * DAY) }, 3.5 * DAY],
  ]
  for (const [over, seconds] of cases) {
    t.same(prepareAt(authority(over)), addSeconds(START, seconds))
  }
  const before = situation({ authorities: [authority({})], now: addSeconds(START, 305 * DAY - 1) })
  t.same(told(decideActs(before)), [])
  t.same(told(decideActs({ ...before, now: addSeconds(START, 305 * DAY) })), ['prepare x509_root'])
  t.end()
})

t.test(
  'the deadline leaves a third of the lead, and comes after the preparation of every kind',
  (t) => {
    const jwt = authority({ kind: 'jwt', notAfter: addSeconds(START, 30 * DAY) })
    t.same(deadlineOf(jwt), addSeconds(START, 25 * DAY), 'one sixth of 30 days before the end')
    t.same(
      deadlineOf(authority({})),
      addSeconds(START, 345 * DAY),
      'a root: 20 days before the end',
    )
    t.ok(deadlineOf(authority({})) > prepareAt(authority({})))
    t.end()
  },
)

t.test(
  'FE-30 FE-31 a published key waits for five of the largest hints, an unpublished one for ever',
  (t) => {
    const old = authority({ id: 'old' })
    const next = authority({
      id: 'next',
      state: 'prepared',
      publishedAt: addSeconds(START, 310 * DAY),
      notAfter: addSeconds(START, 700 * DAY),
    })
    const at = (seconds: number, hint: number, over: Partial<Authority> = {}): string[] =>
      told(
        decideActs(
          situation({
            authorities: [old, { ...next, ...over }],
            now: addSeconds(START, 310 * DAY + seconds),
            readinessOf: () => ({ ...READY, largestHintSeconds: hint }),
          }),
        ),
      )
    t.same(at(3599, 300), [], 'minPublishSeconds is an hour')
    t.same(at(3600, 300), ['activate next'])
    t.same(at(3600, 900), [], 'five hints of 900 s are 4500 s')
    t.same(at(4500, 900), ['activate next'])
    const unpublished = { publishedAt: undefined, publishedSequence: undefined }
    t.same(at(54 * DAY, 300, unpublished), [], 'not even at the deadline')
    t.end()
  },
)

t.test('an authority waits for holders and replicas, and says what it waits for', (t) => {
  const old = authority({ id: 'old', kind: 'jwt', notAfter: addSeconds(START, 30 * DAY) })
  const next = authority({
    id: 'next',
    kind: 'jwt',
    state: 'prepared',
    publishedAt: addSeconds(START, 15 * DAY),
    notAfter: addSeconds(START, 45 * DAY),
  })
  const at = (day: number, readiness: Partial<Readiness>, authorities = [old, next]): Situation =>
    situation({
      slots: [JWT],
      authorities,
      now: addSeconds(START, day * DAY),
      readinessOf: () => ({ ...READY, ...readiness }),
    })
  const holders = { holdersBehindUntil: addSeconds(START, 29 * DAY) }
  t.same(told(decideActs(at(16, holders))), [])
  t.same(
    waitingFor(next, at(16, holders)).map((wait) => [wait.for, wait.until]),
    [['holders', holders.holdersBehindUntil]],
  )
  const forced = decideActs(at(25, holders))
  t.same(told(forced), ['activate next'], 'forced at the deadline')
  t.same(
    forced.flatMap((act) => (act.act === 'activate' ? act.unmet.map((wait) => wait.for) : [])),
    ['holders'],
  )
  t.same(
    told(decideActs(at(26, { replicasBehind: 1 }))),
    [],
    'a replica without it holds even the deadline',
  )
  t.same(
    told(decideActs(at(31, { replicasBehind: 1 }))),
    ['activate next'],
    'until the old one ended',
  )
  const erased = { ...old, hasKey: false }
  t.same(
    told(decideActs(at(16, { replicasBehind: 1 }, [erased, next]))),
    ['activate next'],
    'or cannot sign for another reason',
  )
  t.end()
})

t.test('intermediates wait for nothing, but only under the root that signs', (t) => {
  const root = authority({ id: 'root' })
  const old = authority({
    id: 'old',
    kind: 'x509_intermediate',
    cluster: 'main',
    parentId: 'root',
    notAfter: addSeconds(START, 7 * DAY),
    publishedAt: undefined,
  })
  const next = {
    ...old,
    id: 'next',
    state: 'prepared' as const,
    notAfter: addSeconds(START, 11 * DAY),
  }
  const now = addSeconds(START, 3.5 * DAY)
  const slots = [ROOT, INTERMEDIATE]
  const acts = (authorities: Authority[], at = now): string[] =>
    told(decideActs(situation({ slots, authorities, now: at })))
  t.same(acts([root, old]), ['prepare x509_intermediate'])
  t.same(acts([root, old, next]), ['activate next'])
  t.same(
    acts([root, old, { ...next, parentId: 'gone' }]),
    ['remove next'],
    'one under a replaced root is abandoned',
  )
  t.same(acts([root, { ...old, parentId: 'gone' }], START), ['prepare x509_intermediate'])
  t.same(acts([{ ...root, hasKey: false }, old]), [], 'and none is made without a root that signs')
  t.same(acts([{ ...old, state: 'retired' }, root], addSeconds(START, 7 * DAY)), [
    'prepare x509_intermediate',
    'remove old',
  ])
  t.end()
})

t.test('FE-32 a retired key is removed when its last SVID ended and not before', (t) => {
  const now = addSeconds(START, 10 * DAY)
  const inUseUntil = addSeconds(now, 3600)
  const active = authority({ id: 'new' })
  const removeAt = removalTime(active, { ...READY, inUseUntil }, { settings: DEFAULTS, now })
  t.same(removeAt, addSeconds(inUseUntil, 120), 'the last end plus the skew of verifiers')
  const old = authority({ id: 'old', state: 'retired', hasKey: false, removeAt })
  const at = (moment: Date, readiness: Partial<Readiness> = {}): string[] =>
    told(
      decideActs(
        situation({
          authorities: [active, old],
          now: moment,
          readinessOf: () => ({ ...READY, ...readiness }),
        }),
      ),
    )
  t.same(at(addSeconds(removeAt, -1)), [])
  t.same(at(removeAt), ['remove old'])
  const straggler = { inUseUntil: addSeconds(removeAt, 60) }
  t.same(at(removeAt, straggler), [], 'an SVID that another replica signed last still lives')
  t.same(at(addSeconds(removeAt, 60), straggler), ['remove old'])
  t.same(at(old.notAfter, { inUseUntil: addSeconds(START, 999 * DAY) }), [
    'prepare x509_root',
    'remove old',
  ])
  t.end()
})

t.test('a slot whose only authority ended gets another one at once', (t) => {
  const now = addSeconds(START, 400 * DAY)
  const ended = authority({ id: 'ended' })
  t.same(told(decideActs(situation({ authorities: [ended], now }))), ['prepare x509_root'])
  const next = authority({
    id: 'next',
    state: 'prepared',
    publishedAt: now,
    notAfter: addSeconds(now, 365 * DAY),
  })
  t.same(told(decideActs(situation({ authorities: [ended, next], now }))), ['activate next'])
  t.same(told(decideActs(situation({ authorities: [next], now }))), ['activate next'])
  t.end()
})

t.test('FE-30 while another system signs, even our first authority waits at the gate', (t) => {
  const first = authority({ id: 'first', state: 'prepared' })
  const early = addSeconds(START, 60)
  const late = addSeconds(START, 2 * 3600)
  const at = (now: Date, othersSign: boolean) =>
    told(decideActs(situation({ authorities: [first], now, othersSign })))
  t.same(at(early, false), ['activate first'], 'nobody can be surprised')
  t.same(at(early, true), [])
  t.same(at(late, true), ['activate first'])
  t.end()
})

// A mesh whose rows live in memory and whose acts are carried out as rotate.ts does.
class SimulatedMesh {
  readonly settings: MeshSettings
  readonly rows = new Map<string, Authority>()
  readonly activations: { id: string; kind: string; publishedFor: number; unmet: number }[] = []
  gapSeconds = 0
  mostRows = 0
  #made = 0

  constructor(settings: MeshSettings) {
    this.settings = settings
  }

  tick(now: Date): void {
    const alive = [...this.rows.values()].filter((row) => row.state !== 'removed')
    this.mostRows = Math.max(this.mostRows, alive.length)
    const acts = decideActs({
      slots: [ROOT, JWT, INTERMEDIATE],
      authorities: alive,
      settings: this.settings,
      readinessOf: () => ({ ...READY, largestHintSeconds: this.settings.hintSeconds }),
      othersSign: false,
      now,
    })
    const seen = acts.flatMap((act) => (act.act === 'prepare' ? [] : [act.authority.id]))
    if (new Set(seen).size !== seen.length) throw new Error('two acts for one authority in a tick')
    for (const act of acts) this.#carryOut(act, now)
  }

  #carryOut(act: Act, now: Date): void {
    if (act.act === 'prepare') this.#prepare(act.slot, now)
    else if (act.act === 'activate') this.#activate(act, now)
    else this.#change(act.authority, { state: 'removed', hasKey: false })
  }

  #prepare(slot: Slot, now: Date): void {
    const root = this.active(ROOT)
    const life = {
      x509_root: this.settings.rootSeconds,
      x509_intermediate: this.settings.intermediateSeconds,
      jwt: this.settings.jwtKeySeconds,
    }[slot.kind]
    const ends = addSeconds(now, life)
    const under = slot.kind === 'x509_intermediate' ? root : undefined
    const id = `${slot.kind}-${(this.#made += 1)}`
    const notAfter = under !== undefined && under.notAfter < ends ? under.notAfter : ends
    const publishedAt = under === undefined ? now : undefined
    const parentId = under?.id
    this.rows.set(
      id,
      authority({
        ...slot,
        id,
        parentId,
        state: 'prepared',
        notBefore: now,
        notAfter,
        publishedAt,
      }),
    )
  }

  #activate(act: Extract<Act, { act: 'activate' }>, now: Date): void {
    const since = act.authority.publishedAt ?? now
    this.activations.push({
      id: act.authority.id,
      kind: act.authority.kind,
      publishedFor: (now.getTime() - since.getTime()) / 1000,
      unmet: act.unmet.length,
    })
    if (act.retires !== undefined) {
      const removeAt = removalTime(act.retires, READY, { settings: this.settings, now })
      this.#change(act.retires, { state: 'retired', hasKey: false, removeAt })
    }
    this.#change(act.authority, { state: 'active' })
  }

  #change(row: Authority, over: Partial<Authority>): void {
    this.rows.set(row.id, { ...row, ...over })
  }

  active(slot: Slot): Authority | undefined {
    return [...this.rows.values()].find((row) => row.kind === slot.kind && row.state === 'active')
  }
}

t.test(
  'FE-30 FE-31 FE-32 in three simulated years no key signs before it was published long enough',
  (t) => {
    const mesh = new SimulatedMesh(DEFAULTS)
    const tickSeconds = 1800
    const founding = 6
    const ticks = (3 * 365 * DAY) / tickSeconds
    for (let n = 0; n < ticks; n += 1) {
      const now = addSeconds(START, n * tickSeconds)
      mesh.tick(now)
      if (n < founding) continue
      for (const slot of [ROOT, JWT, INTERMEDIATE]) {
        const active = mesh.active(slot)
        if (active === undefined || !canSign(active, now)) mesh.gapSeconds += tickSeconds
      }
    }
    const rotations = mesh.activations.slice(3)
    const published = rotations.filter(({ kind }) => kind !== 'x509_intermediate')
    t.equal(published.filter(({ publishedFor }) => publishedFor < 3600).length, 0)
    t.equal(rotations.filter(({ unmet }) => unmet > 0).length, 0, 'and no activation was forced')
    t.equal(mesh.gapSeconds, 0, 'every slot could sign at every tick')
    const count = (kind: string): number => rotations.filter((one) => one.kind === kind).length
    t.ok(count('x509_root') >= 3, `${count('x509_root')} roots`)
    t.ok(count('jwt') >= 70, `${count('jwt')} JWT keys`)
    t.ok(count('x509_intermediate') >= 300, `${count('x509_intermediate')} intermediates`)
    t.ok(mesh.mostRows <= 10, `at most ${mesh.mostRows} authorities at once: sizes level off`)
    t.end()
  },
)

t.test('settings of seconds rotate by the same rules', (t) => {
  const settings = settingsInForce({
    rootSeconds: 120,
    intermediateSeconds: 40,
    jwtKeySeconds: 60,
    maxX509SvidSeconds: 20,
    maxJwtSvidSeconds: 10,
    minPublishSeconds: 0,
    hintSeconds: 2,
    removalSkewSeconds: 2,
  })
  const mesh = new SimulatedMesh(settings)
  for (let n = 0; n < 1200; n += 1) mesh.tick(addSeconds(START, n))
  const rotations = mesh.activations.slice(3).filter(({ kind }) => kind !== 'x509_intermediate')
  t.ok(rotations.length > 20)
  t.equal(rotations.filter(({ publishedFor, unmet }) => publishedFor < 10 || unmet > 0).length, 0)
  t.end()
})
