import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { toPem } from '../src/pki/pem.ts'
import { parseBundle } from '../src/spiffe/bundle.ts'
import { parseTrustDomain } from '../src/spiffe/trust-domain.ts'
import { cpuSeconds, type Part, startPart } from './children.ts'
import { type Field } from './field.ts'
import { type Bench, type Figure, quantile, round, type Scale } from './harness.ts'
import { type FarmPeer } from './farm-peer.ts'
import { seedRelationships } from './seed-relationships.ts'
import { type ServiceProcess } from './service-process.ts'

/** The hint that peers give. */
const HINT_SECONDS = 300
/** Warmed up by four hundred polls at once, then watched for a minute, so that each is polled at most once. */
const PLAN = { warm: 400, firstSeconds: 12, watchSeconds: 60 }
const SMOKE_PLAN = { warm: 0, firstSeconds: 1, perSecond: 15, watchSeconds: 5 }

/**
 * One process on Postgres that polls many relationships with a hint of 300 s: CPU of a poll against that of a bare
 * fetch with a fresh client of the same peer, and how late polls go out.
 */
export const polling: Bench = async function* polling(scale, field) {
  for (const peers of scale.smoke ? [40] : [1000, 10_000]) {
    try {
      yield* pollMany(scale, field, peers)
    } catch (error) {
      yield { bench: `polling ${peers}`, skipped: String(error) }
    }
  }
}

type Farm = Part<{ port: number }>

async function* pollMany(scale: Scale, field: Field, count: number): AsyncIterable<Figure> {
  const name = `polling_${count}`
  const service = await field.startOnPostgres(name)
  const file = join(field.folder(name), 'peers.json')
  const farm = await startPart<{ port: number }>('peer-farm', {
    peers: count,
    hintSeconds: HINT_SECONDS,
    file,
  })
  try {
    const peers = JSON.parse(readFileSync(file, 'utf8')) as FarmPeer[]
    const floor = await bareFetch(scale, farm, peers[0]!)
    const idle = await idleShare(service.pid, scale.seconds)
    const plan = scale.smoke ? SMOKE_PLAN : { ...PLAN, perSecond: count / HINT_SECONDS }
    const due = await seedRelationships(peers, {
      url: field.postgres().urlOf(name),
      port: farm.ready.port,
      hintSeconds: HINT_SECONDS,
      ...plan,
    })
    await delay(Math.max(0, plan.firstSeconds - 1) * 1000)
    await farm.ask({})
    const watched = await watch({ service, farm, watchSeconds: plan.watchSeconds })
    yield* figuresOf({ count, floor, idle, due: due.slice(plan.warm), warm: plan.warm, ...watched })
  } finally {
    await farm.end()
    await service.end()
  }
}

async function bareFetch(scale: Scale, farm: Farm, peer: FarmPeer): Promise<number> {
  const document = Buffer.from(peer.document, 'base64')
  const { bundle } = parseBundle(parseTrustDomain(peer.trustDomain), document)
  const anchors = bundle.x509Authorities.map(({ certificate }) => toPem(certificate))
  const part = await startPart('bare-fetch', {
    port: farm.ready.port,
    host: peer.host,
    anchors,
    etag: peer.etag,
  })
  const samples: number[] = []
  for (let turn = 0; turn < scale.rounds; turn += 1) {
    const { fetches, cpuSeconds: used } = await part.ask<{ fetches: number; cpuSeconds: number }>(
      scale,
    )
    samples.push(used / fetches)
  }
  await part.end()
  await farm.ask({})
  return quantile(samples, 0.5)
}

async function idleShare(pid: number, seconds: number): Promise<number> {
  const before = cpuSeconds(pid)
  await delay(seconds * 2000)
  return (cpuSeconds(pid) - before) / (seconds * 2)
}

interface Watched {
  readonly arrivals: readonly (readonly [number, number])[]
  readonly usedCpuSeconds: number
  readonly wallSeconds: number
  readonly endedMs: number
}

async function watch(about: {
  readonly service: ServiceProcess
  readonly farm: Farm
  readonly watchSeconds: number
}): Promise<Watched> {
  const before = cpuSeconds(about.service.pid)
  const begun = performance.now()
  await delay(about.watchSeconds * 1000)
  const { arrivals } = await about.farm.ask<{ arrivals: [number, number][] }>({})
  return {
    arrivals,
    usedCpuSeconds: cpuSeconds(about.service.pid) - before,
    wallSeconds: (performance.now() - begun) / 1000,
    endedMs: Date.now(),
  }
}

function* figuresOf(
  run: Watched & {
    readonly count: number
    readonly floor: number
    readonly idle: number
    readonly due: readonly number[]
    /** Peers before the first that counts. */
    readonly warm: number
  },
): Iterable<Figure> {
  const polls = run.arrivals.length
  if (polls === 0) throw new Error('no poll arrived at any peer')
  const perPoll = (run.usedCpuSeconds - run.idle * run.wallSeconds) / polls
  yield {
    bench: `polling ${run.count} cpu`,
    value: round(perPoll * 1000),
    unit: 'ms of CPU per poll',
    baseline: round(run.floor * 1000),
    ratio: round(perPoll / run.floor),
    goal: 'ratio <= 2',
    polls,
  }
  const first = new Map<number, number>()
  for (const [peer, atMs] of run.arrivals) if (!first.has(peer)) first.set(peer, atMs)
  const late = run.due.flatMap((dueMs, peer) =>
    dueMs > run.endedMs
      ? []
      : [Math.max(0, (first.get(peer + run.warm) ?? run.endedMs) - dueMs) / 1000],
  )
  const p99 = quantile(late, 0.99)
  yield {
    bench: `polling ${run.count} lateness`,
    value: round(p99),
    unit: 's late at the 99th percentile',
    baseline: HINT_SECONDS,
    ratio: round(p99 / HINT_SECONDS),
    goal: 'ratio <= 0.05',
    median: round(quantile(late, 0.5)),
  }
}
