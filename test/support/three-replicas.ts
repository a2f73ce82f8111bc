import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import { openDatabase } from '../../src/db/connect.ts'
import { type Db } from '../../src/db/schema.ts'
import { quiet, testPostgresUrl } from './database.ts'
import { adminCall, postgresEnvironment, type ServiceProcess, startProcess } from './process.ts'
import { type QuietFarm, quietFarm } from './quiet-farm.ts'
import { seedPolls } from './seed-polls.ts'
import { testFolder } from './test-folder.ts'

/** Three services on one Postgres that poll many peers together. */
export interface ThreeReplicas {
  readonly replicas: readonly [ServiceProcess, ServiceProcess, ServiceProcess]
  readonly farm: QuietFarm
  readonly names: readonly string[]
  readonly db: Db
}

/** How many peers, how often each is polled, and how long it takes to answer. */
export interface Rhythm {
  readonly peers: number
  readonly intervalMs: number
  readonly answerMs: number
}

/** Starts them, as processes of their own, and returns when they have polled for two intervals. */
export async function threeReplicas(
  t: Test,
  server: string,
  { peers, intervalMs, answerMs }: Rhythm,
): Promise<ThreeReplicas> {
  const folder = testFolder(t)
  const names = Array.from({ length: peers }, (_, index) => `peer-${index}`)
  const farm = await quietFarm(t, { folder, names, answerMs })
  const roots = join(folder, 'roots.pem')
  writeFileSync(roots, farm.root)
  const url = await testPostgresUrl(t, server)
  const environment = {
    ...postgresEnvironment(folder, url),
    ENTENTE_POLL_MIN_SECONDS: '1',
    ENTENTE_EGRESS_ALLOW: 'localhost',
    ENTENTE_WEB_ROOTS_FILE: roots,
    ENTENTE_LOG_LEVEL: 'error',
  }
  const start = () => startProcess(t, environment)
  const replicas = await Promise.all([start(), start(), start()])
  const made = await adminCall(replicas[0], {
    method: 'POST',
    path: '/meshes',
    token: readFileSync(environment.ENTENTE_ADMIN_TOKEN_FILE, 'utf8').trim(),
    body: { meshId: 'acme', trustDomain: 'acme.example' },
  })
  if (made.status !== 201) throw new Error(made.text)
  const database = await openDatabase({ engine: 'postgres', url, maxConnections: 2, log: quiet })
  t.teardown(() => database.close())
  const seeded = names.map((name, index) => ({
    name,
    url: farm.urlOf(name),
    dueMs: (index * intervalMs) / names.length,
    intervalSeconds: intervalMs / 1000,
  }))
  await seedPolls(database.db, 'acme', seeded)
  await delay(2 * intervalMs)
  return { replicas, farm, names, db: database.db }
}
