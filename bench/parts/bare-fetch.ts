import { lookup } from 'node:dns'
import { Client } from 'undici'

/** Which peer is fetched, for how long. */
interface FetchArgument {
  readonly port: number
  readonly host: string
  readonly anchors: readonly string[]
  readonly etag: string
}

const { port, host, anchors, etag } = JSON.parse(process.argv[2] ?? '') as FetchArgument

async function fetchOnce(): Promise<void> {
  const client = new Client(`https://${host}:${port}`, {
    pipelining: 0,
    maxCachedSessions: 0,
    connect: {
      ca: [...anchors],
      servername: host,
      checkServerIdentity: () => undefined,
      lookup: (_name, options, done) => lookup('127.0.0.1', options, done),
    },
  })
  try {
    const answer = await client.request({
      path: '/bundle',
      method: 'GET',
      headers: { 'if-none-match': etag },
    })
    await answer.body.dump()
    if (answer.statusCode !== 304) throw new Error(`the peer answered ${answer.statusCode}`)
  } finally {
    await client.destroy()
  }
}

async function fetchFor(seconds: number): Promise<void> {
  const before = process.cpuUsage()
  const end = performance.now() + seconds * 1000
  let fetches = 0
  for (; performance.now() < end; fetches += 1) await fetchOnce()
  const { user, system } = process.cpuUsage(before)
  process.send?.({ fetches, cpuSeconds: (user + system) / 1e6 })
}

process.on('message', ({ seconds }: { seconds: number }) => void fetchFor(seconds))
for (let warm = 0; warm < 20; warm += 1) await fetchOnce()
process.send?.({})
