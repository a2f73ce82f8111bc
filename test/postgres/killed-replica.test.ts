import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { type Db } from '../../src/db/schema.ts'
import { LEASE_SECONDS } from '../../src/federation/poll/scheduler.ts'
import { POSTGRES_URL } from '../support/database.ts'
import { type ServiceProcess } from '../support/process.ts'
import { threeReplicas } from '../support/three-replicas.ts'

t.setTimeout(115_000)

const server = POSTGRES_URL
const skip = server === undefined && 'needs ENTENTE_TEST_DATABASE_URL (a PostgreSQL server)'

const INTERVAL_MS = 4000
const LEASE_MS = LEASE_SECONDS * 1000

/** What a machine that is busy with other tests may take longer than the second until the next look. */
const SLACK_MS = 5000

/** Names of the peers whose polls a replica holds. */
async function heldBy(db: Db, { child }: ServiceProcess): Promise<Set<string>> {
  const rows = await db
    .selectFrom('poll')
    .select('trust_domain')
    .where('owner', 'like', `%-${child.pid}-%`)
    .execute()
  return new Set(rows.map((row) => row.trust_domain.replace('.example', '')))
}

/** Milliseconds between one poll of a peer and the next, and from the last until now. */
function gapsOf(arrivals: readonly number[]): number[] {
  return [...arrivals, performance.now()].slice(1).map((at, index) => at - (arrivals[index] ?? 0))
}

t.test(
  'the share of a killed replica is picked up within one lease, and no peer is polled twice in an interval',
  { skip },
  async (t) => {
    if (server === undefined) return
    const { replicas, farm, names, db } = await threeReplicas(t, server, {
      peers: 60,
      intervalMs: INTERVAL_MS,
      answerMs: 500,
    })
    const [killed, ...living] = replicas
    while ((await heldBy(db, killed)).size === 0) await delay(20)
    killed.kill('SIGKILL')
    await killed.ended()
    const killedMs = performance.now()
    const inFlight = await heldBy(db, killed)
    t.ok(inFlight.size < names.length / 2, `${inFlight.size} polls were in flight at the kill`)
    await delay(LEASE_MS + INTERVAL_MS + SLACK_MS)

    for (const name of names) {
      const arrivals = farm.arrivals(name)
      const gaps = gapsOf(arrivals)
      const most = (inFlight.has(name) ? LEASE_MS : INTERVAL_MS) + 1000 + SLACK_MS
      t.ok(Math.max(...gaps) <= most, `${name} waited ${Math.max(...gaps)} ms, at most ${most}`)
      const twice = gaps.slice(0, -1).filter((gap) => gap < INTERVAL_MS / 2)
      t.same(inFlight.has(name) ? [] : twice, [], `${name} was polled once an interval`)
      t.ok((arrivals.at(-1) ?? 0) > killedMs, `${name} is polled on`)
    }
    t.same(
      living.map(({ child }) => child.exitCode),
      [null, null],
    )
  },
)
