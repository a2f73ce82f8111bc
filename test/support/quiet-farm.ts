import { once } from 'node:events'
import { createServer } from 'node:https'
import { type AddressInfo } from 'node:net'
import { type Teardown } from './database.ts'
import { SEEDED_ETAG } from './seed-polls.ts'
import { webPki } from './web-pki.ts'

/** Many peers over https_web behind one port, all of whose bundles never change. */
export interface QuietFarm {
  /** PEM. */
  readonly root: string
  urlOf(name: string): string
  /** Moments of polls of a peer, in milliseconds of `performance.now()`. */
  arrivals(name: string): readonly number[]
}

/** Opens peers of these names, each at `<name>.localhost`; answers take some time. */
export async function quietFarm(
  t: Teardown,
  {
    folder,
    names,
    answerMs,
  }: { readonly folder: string; readonly names: readonly string[]; readonly answerMs: number },
): Promise<QuietFarm> {
  const pki = webPki(folder)
  const { chain: cert, key } = pki.leaf(
    names.map((name) => `${name}.localhost`),
    30,
  )
  const arrivals = new Map<string, number[]>(names.map((name) => [name, []]))
  const server = createServer({ cert, key }, (request, response) => {
    arrivals.get(request.headers.host?.split('.')[0] ?? '')?.push(performance.now())
    setTimeout(() => response.writeHead(304, { etag: SEEDED_ETAG }).end(), answerMs)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return {
    root: pki.rootPem,
    urlOf: (name) => `https://${name}.localhost:${port}/bundle`,
    arrivals: (name) => arrivals.get(name) ?? [],
  }
}
