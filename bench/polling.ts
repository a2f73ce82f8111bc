import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { toPem } from '../src/pki/pem.ts'
import { parseBundle } from '../src/spiffe/bundle.ts'
import { parseTrustDomain } from '../src/spiffe/trust-domain.ts'
import { cpuSeconds, startPart } from './children.ts'
import { countPostgres, type CountedPostgres } from './counted-postgres.ts'
import { type FarmPeer } from './farm-peer.ts'
import { type Field } from './field.ts'
import { type Bench, quantile, type Scale } from './harness.ts'
import {
  type BareFetch,
  type DatabaseCost,
  databaseCost,
  figuresOf,
  type PollingRun,
} from './polling-figures.ts'
import { beginSchedule, seedRelationships } from './seed-relationships.ts'
import { type Farm, watchPolls, watchUsage } from './watch-polling.ts'

/** The hint that peers give. */
const HINT_SECONDS = 300
/** Relationships of one process; those beyond ten thousand are reported without a goal for lateness. */
const COUNTS = [1000, 10_000, 30_000, 100_000]
/** What is watched for a minute was polled once before, or three thousand of it, so that it costs what it does for ever. */
const PLAN = { idleSeconds: 10, watchSeconds: 60 }
const SMOKE_PLAN = { idleSeconds: 1, watchSeconds: 5, perSecond: 15, warm: 10 }
const MOST_WARM = 3000
/** Polls after which the engine has compiled what is hot. */
const LEAST_WARM = 400

/**
 * One process on Postgres that polls many relationships with a hint of 300 s: CPU of a poll against that of a bare
 * fetch with a fresh client of the same peer, how late polls go out, and what each costs the database, in memory
 * and in connections.
 */
export const polling: Bench = async function* polling(scale, field) {
  let first: DatabaseCost | undefined
  for (const count of scale.relationships ?? (scale.smoke ? [40] : COUNTS)) {
    try {
      const run = await pollMany(scale, field, count)
      first ??= databaseCost(run)
      yield* figuresOf(run, first)
    } catch (error) {
      yield { bench: `polling ${count}`, skipped: String(error) }
    }
  }
}

async function pollMany(scale: Scale, field: Field, count: number): Promise<PollingRun> {
  const name = `polling_${count}`
  let database: CountedPostgres | undefined
  const service = await field.startOnPostgres(name, async (url) => {
    database = await countPostgres(url)
    return database.url
  })
  const file = join(field.folder(name), 'peers.jsonl')
  const farm: Farm = await startPart('peer-farm', { peers: count, hintSeconds: HINT_SECONDS, file })
  try {
    if (database === undefined) throw new Error('the service has no database')
    const between = { service, farm, database }
    const plan = scale.smoke ? SMOKE_PLAN : planOf(count)
    const floor = await bareFetch(scale, farm, await firstPeer(file))
    const idle = await watchUsage(between, plan.idleSeconds)
    const url = field.postgres().urlOf(name)
    const { port } = farm.ready
    const seeding = { url, file, port, count, ...plan, hintSeconds: HINT_SECONDS }
    await seedRelationships(seeding)
    const peers = Math.min(count, Math.ceil(plan.perSecond * plan.watchSeconds))
    const due = await beginSchedule(url, { peers, perSecond: plan.perSecond })
    await delay(Math.max(0, (due[0] ?? 0) - 200 - Date.now()))
    const watched = await watchPolls(between, plan.watchSeconds)
    return { count, hintSeconds: HINT_SECONDS, floor, idle, watched, due }
  } finally {
    await farm.end()
    await service.end()
    database?.close()
  }
}

function planOf(count: number) {
  const perSecond = count / HINT_SECONDS
  const watched = Math.ceil(perSecond * PLAN.watchSeconds)
  return { ...PLAN, perSecond, warm: Math.min(Math.max(watched, LEAST_WARM), MOST_WARM) }
}

async function firstPeer(file: string): Promise<FarmPeer> {
  for await (const line of createInterface({ input: createReadStream(file) })) {
    return JSON.parse(line) as FarmPeer
  }
  throw new Error('the farm has no peer')
}

async function bareFetch(scale: Scale, farm: Farm, peer: FarmPeer): Promise<BareFetch> {
  const document = Buffer.from(peer.document, 'base64')
  const { bundle } = parseBundle(parseTrustDomain(peer.trustDomain), document)
  const anchors = bundle.x509Authorities.map(({ certificate }) => toPem(certificate))
  const { port } = farm.ready
  const part = await startPart('bare-fetch', { port, host: peer.host, anchors, etag: peer.etag })
  const turns: BareFetch[] = []
  for (let turn = 0; turn < scale.rounds; turn += 1) {
    const before = cpuSeconds(farm.pid)
    const answer = await part.ask<{ fetches: number; cpuSeconds: number }>(scale)
    turns.push({
      clientCpuSeconds: answer.cpuSeconds / answer.fetches,
      peerCpuSeconds: (cpuSeconds(farm.pid) - before) / answer.fetches,
    })
  }
  await part.end()
  return {
    clientCpuSeconds: middle(turns, 'clientCpuSeconds'),
    peerCpuSeconds: middle(turns, 'peerCpuSeconds'),
  }
}

function middle(turns: readonly BareFetch[], of: keyof BareFetch): number {
  return quantile(
    turns.map((turn) => turn[of]),
    0.5,
  )
}
