import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import { systemClock } from '../../src/clock.ts'
import { Changes } from '../../src/db/changes.ts'
import { databaseNow } from '../../src/db/time.ts'
import { openFederation } from '../../src/federation/open-federation.ts'
import { type PollLimits } from '../../src/federation/poll/claim-store.ts'
import { peerReadersOf } from '../../src/federation/peer-readers.ts'
import { refreshPeer, SCHEDULE_ACTOR } from '../../src/federation/poll/refresh.ts'
import { FederationScheduler } from '../../src/federation/poll/scheduler.ts'
import { Alarms } from '../../src/http/alarms.ts'
import { createLogger } from '../../src/http/log.ts'
import { createMetrics } from '../../src/http/metrics.ts'
import { type OutboundLimits } from '../../src/http/outbound.ts'
import { quiet, testDatabase } from './database.ts'
import { makeMesh, testKeyring } from './meshes.ts'
import { quietFarm } from './quiet-farm.ts'
import { seedPolls } from './seed-polls.ts'
import { testFolder } from './test-folder.ts'

/** So many peers that hang beside one that answers. */
export interface Hanging {
  readonly peers: number
  /** Over how many seconds they are due, which is the interval at which they were polled. */
  readonly spreadSeconds: number
  readonly poolSizes: PollLimits
  readonly limits: Pick<OutboundLimits, 'connectMs' | 'totalMs'>
  /** Between polls of the peer that answers. */
  readonly healthySeconds: number
}

/** What was seen of them. */
export interface Endured {
  /** Connections to peers that hang, the most at a time. */
  readonly mostSockets: number
  /** Peers that hang and were tried. */
  readonly tried: number
  /** Milliseconds between polls of the peer that answers, the longest. */
  readonly longestGapMs: number
  readonly healthyPolls: number
  /** More memory than before, at most, in bytes. */
  readonly moreBytes: number
}

/** A server that accepts and never answers. */
async function silentServer(t: Pick<Test, 'teardown'>) {
  const open = new Set<Socket>()
  const seen = { most: 0, all: 0, port: 0 }
  const server = createServer((socket) => {
    open.add(socket)
    seen.all += 1
    seen.most = Math.max(seen.most, open.size)
    socket.on('error', () => undefined)
    socket.on('close', () => open.delete(socket))
    socket.resume()
  }).listen({ port: 0, host: '127.0.0.1', backlog: 4096 })
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  seen.port = (server.address() as AddressInfo).port
  return seen
}

/** Has peers that answered so far hang from one moment on, polls for one interval of theirs, and tells what that cost. */
export async function endureHanging(t: Test, hanging: Hanging): Promise<Endured> {
  const database = await testDatabase(t)
  const { db } = database
  await makeMesh(db, testKeyring())
  const silent = await silentServer(t)
  const farm = await quietFarm(t, { folder: testFolder(t), names: ['healthy'], answerMs: 0 })
  const scheduler = schedulerOf(database, { hanging, root: farm.root })
  const spreadMs = hanging.spreadSeconds * 1000
  await seedPolls(db, 'acme', [
    {
      name: 'healthy',
      url: farm.urlOf('healthy'),
      dueMs: 0,
      intervalSeconds: hanging.healthySeconds,
    },
    ...Array.from({ length: hanging.peers }, (_, index) => ({
      name: `hung-${index}`,
      url: `https://hung-${index}.localhost:${silent.port}/bundle`,
      dueMs: (index * spreadMs) / hanging.peers,
      intervalSeconds: Math.max(300, hanging.spreadSeconds),
    })),
  ])
  t.teardown(() => scheduler.stop())
  const before = process.memoryUsage.rss()
  let most = before
  scheduler.start()
  const endMs = performance.now() + spreadMs + hanging.limits.totalMs
  while (performance.now() < endMs) {
    await delay(100)
    most = Math.max(most, process.memoryUsage.rss())
  }
  const arrivals = farm.arrivals('healthy')
  const gaps = [...arrivals, performance.now()].slice(1).map((at, i) => at - (arrivals[i] ?? 0))
  return {
    mostSockets: silent.most,
    tried: silent.all,
    longestGapMs: Math.max(...gaps),
    healthyPolls: arrivals.length,
    moreBytes: most - before,
  }
}

function schedulerOf(
  database: Awaited<ReturnType<typeof testDatabase>>,
  { hanging, root }: { readonly hanging: Hanging; readonly root: string },
): FederationScheduler {
  const metrics = createMetrics()
  const { relationshipRoutes } = openFederation({
    database,
    changes: new Changes({ database, clock: systemClock, log: quiet }),
    clock: systemClock,
    now: databaseNow,
    log: quiet,
    metrics,
    alarms: new Alarms({ log: createLogger({ level: 'fatal' }), metrics }),
    owner: 'replica-1',
    pollMinSeconds: 1,
    egressAllow: ['localhost'],
    extraRootsPem: [root],
    redirects: 'follow',
    readers: peerReadersOf({ publicUrl: 'https://localhost:8443', secret: randomBytes(32) }),
    dependants: [],
    founders: [],
    random: () => 0,
    limits: hanging.limits,
  })
  return new FederationScheduler({
    db: database.background,
    now: databaseNow,
    clock: systemClock,
    log: quiet,
    owner: 'replica-1',
    poolSizes: hanging.poolSizes,
    refresh: (task, signal) =>
      refreshPeer(relationshipRoutes.refresh, task, { actor: SCHEDULE_ACTOR, signal }),
  })
}
