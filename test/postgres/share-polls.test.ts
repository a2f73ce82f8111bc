import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { request } from 'undici'
import { POSTGRES_URL } from '../support/database.ts'
import { type ServiceProcess } from '../support/process.ts'
import { threeReplicas } from '../support/three-replicas.ts'

t.setTimeout(115_000)

const server = POSTGRES_URL
const skip = server === undefined && 'needs ENTENTE_TEST_DATABASE_URL (a PostgreSQL server)'

/**
 * For how long the shares are counted. In it each replica looks some 85 times; what a look finds varies as much as its
 * mean, so a share varies by about 1/√85 of itself: 33 ± 3.6 %. The bounds are more than three and a half times that away.
 */
const COUNTED_MS = 60_000
const LOWEST = 0.2
const HIGHEST = 0.47

async function pollsOf(service: ServiceProcess): Promise<number> {
  const answer = await request(`${service.telemetryOrigin}/metrics`)
  const figures = [...(await answer.body.text()).matchAll(/^entente_polls_total\{.*\} (\d+)$/gm)]
  return figures.reduce((sum, [, count]) => sum + Number(count), 0)
}

t.test('three replicas on one database share the polls evenly', { skip }, async (t) => {
  if (server === undefined) return
  const { replicas } = await threeReplicas(t, server, {
    peers: 60,
    intervalMs: 3000,
    answerMs: 0,
  })
  const before = await Promise.all(replicas.map(pollsOf))
  await delay(COUNTED_MS)
  const after = await Promise.all(replicas.map(pollsOf))
  const counts = after.map((count, index) => count - (before[index] ?? 0))
  const total = counts.reduce((sum, count) => sum + count, 0)
  t.ok(total >= (60 * COUNTED_MS) / 4000, `${total} polls`)
  for (const count of counts) {
    t.ok(count >= total * LOWEST && count <= total * HIGHEST, `${count} of ${total}`)
  }
})
