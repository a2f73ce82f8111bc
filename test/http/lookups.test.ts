import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import { type Address, Lookups, type Resolve, resolveByNetwork } from '../../src/http/lookups.ts'

const HEALTHY: readonly Address[] = [{ address: '192.0.2.1', family: 4 }]
const LIMITS = { running: 4, firstMs: 60, secondMs: 60 }

/** A machine's resolver with as many threads: a name that hangs holds one for long after everybody has given up. */
function machineWith(threads: number, hangMs: number) {
  let busy = 0
  let most = 0
  const asked: string[] = []
  const waiting: (() => void)[] = []
  const ended = new AbortController()
  const resolve: Resolve = async (host) => {
    if (busy >= threads) await new Promise<void>((turn) => waiting.push(turn))
    busy += 1
    most = Math.max(most, busy)
    asked.push(host)
    try {
      if (host.startsWith('hung')) await delay(hangMs, undefined, { signal: ended.signal })
      else return HEALTHY
    } finally {
      busy -= 1
      waiting.shift()?.()
    }
    throw Object.assign(new Error('try again'), { code: 'EAI_AGAIN' })
  }
  return { resolve, asked, most: () => most, stop: () => ended.abort() }
}

t.test('ten thousand names that hang do not starve the look-ups of others', async (t) => {
  const machine = machineWith(LIMITS.running, 3000)
  const lookups = new Lookups({ machine: machine.resolve, clock: systemClock, limits: LIMITS })
  t.teardown(machine.stop)
  t.same(await lookups.resolve('healthy.example'), HEALTHY)
  const hung = Promise.allSettled(
    Array.from({ length: 10_000 }, (_, index) => lookups.resolve(`hung-${index}.example`)),
  )
  const begun = performance.now()
  t.same(await lookups.resolve('healthy.example'), HEALTHY, 'by the addresses of its last answer')
  t.ok(performance.now() - begun < 3000, 'long before one of the threads is free')
  t.ok((await hung).every(({ status }) => status === 'rejected'))
  t.equal(machine.most(), LIMITS.running)
  t.equal(machine.asked.length, 1 + LIMITS.running, 'the others never reached a thread')
})

t.test('the plain resolver in the same place would have starved them', async (t) => {
  const machine = machineWith(LIMITS.running, 1000)
  t.teardown(machine.stop)
  for (let index = 0; index < 40; index += 1) {
    machine.resolve(`hung-${index}.example`).catch(() => undefined)
  }
  const late = delay(500, 'late' as const)
  t.equal(await Promise.race([machine.resolve('healthy.example'), late]), 'late')
})

t.test(
  'a name that was never resolved is asked of the name servers while threads hang',
  async (t) => {
    const machine = machineWith(LIMITS.running, 3000)
    t.teardown(machine.stop)
    const other: Resolve = async (host) => {
      if (host.startsWith('hung')) throw new Error('silent too')
      return HEALTHY
    }
    const lookups = new Lookups({
      machine: machine.resolve,
      other,
      clock: systemClock,
      limits: LIMITS,
    })
    const hung = [1, 2, 3, 4, 5].map((index) => lookups.resolve(`hung-${index}.example`))
    t.same(await lookups.resolve('new.example'), HEALTHY)
    const codes = await Promise.all(
      hung.map((one) => one.catch(({ code }: { code: string }) => code)),
    )
    t.same(codes, Array(5).fill('PEER_UNREACHABLE'))
  },
)

t.test('all who ask about a name meanwhile share one look-up', async (t) => {
  const machine = machineWith(LIMITS.running, 500)
  t.teardown(machine.stop)
  const lookups = new Lookups({ machine: machine.resolve, clock: systemClock, limits: LIMITS })
  await Promise.allSettled(Array.from({ length: 50 }, () => lookups.resolve('hung.example')))
  t.same(machine.asked, ['hung.example'])
})

t.test('what is known for certain is not papered over by an older answer', async (t) => {
  let gone = false
  const machine: Resolve = async () => {
    if (gone) throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })
    return HEALTHY
  }
  const lookups = new Lookups({ machine, clock: systemClock, limits: LIMITS })
  t.same(await lookups.resolve('healthy.example'), HEALTHY)
  gone = true
  await t.rejects(lookups.resolve('healthy.example'), { code: 'ENOTFOUND' })
})

t.test('the last answer stands in for a dead resolver, but not for ever', async (t) => {
  let dead = false
  let nowMs = 0
  const machine: Resolve = async () => {
    if (dead) throw Object.assign(new Error('try again'), { code: 'EAI_AGAIN' })
    return HEALTHY
  }
  const clock = { ...systemClock, monotonicMs: () => nowMs }
  const lookups = new Lookups({ machine, clock, limits: LIMITS })
  await lookups.resolve('healthy.example')
  dead = true
  nowMs = 86_400_000
  t.same(await lookups.resolve('healthy.example'), HEALTHY)
  await t.rejects(lookups.resolve('other.example'), { code: 'EAI_AGAIN' })
  nowMs += 1
  await t.rejects(lookups.resolve('healthy.example'), { code: 'EAI_AGAIN' })
})

t.test('no more names are remembered than allowed', async (t) => {
  let dead = false
  const machine: Resolve = async () => {
    if (dead) throw Object.assign(new Error('try again'), { code: 'EAI_AGAIN' })
    return HEALTHY
  }
  const lookups = new Lookups({ machine, clock: systemClock, limits: { ...LIMITS, names: 2 } })
  for (const host of ['a.example', 'b.example', 'a.example', 'c.example'])
    await lookups.resolve(host)
  dead = true
  t.same(await lookups.resolve('a.example'), HEALTHY)
  t.same(await lookups.resolve('c.example'), HEALTHY)
  await t.rejects(lookups.resolve('b.example'), { code: 'EAI_AGAIN' })
})

t.test('silent name servers are given up in time', async (t) => {
  const silent = createSocket('udp4')
  silent.bind(0, '127.0.0.1')
  await once(silent, 'listening')
  t.teardown(() => silent.close())
  const begun = performance.now()
  await t.rejects(resolveByNetwork(100, [`127.0.0.1:${silent.address().port}`])('peer.example'), {
    code: 'PEER_UNREACHABLE',
  })
  t.ok(performance.now() - begun < 5000)
})
