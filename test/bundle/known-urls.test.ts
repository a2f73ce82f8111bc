import { request } from 'undici'
import t from 'tap'
import { startTestService } from '../support/service.ts'
import { tlsGet } from '../support/tls-get.ts'
import { untilTrue } from '../support/until.ts'

t.test('a URL answered ahead of routing is answered as the routes do', async (t) => {
  const service = await startTestService(t)
  await service.admin('POST', '/meshes', { meshId: 'acme', trustDomain: 'acme.example' })
  const plain = `${service.publicUrl}/bundles/acme.example`
  t.ok(await untilTrue(async () => (await tlsGet(plain)).status === 200))
  const made = await service.admin('POST', '/meshes/acme/bundle/readers', { label: 'spire' })
  const url: string = made.body.url
  const etag = (await tlsGet(plain)).headers.etag ?? ''

  for (const target of [plain, url]) {
    for (const headers of [
      { 'accept-encoding': 'identity' },
      { 'accept-encoding': 'gzip' },
      { 'if-none-match': etag },
      { host: 'bundle.acme.example' },
    ]) {
      // A URL with a query is never remembered: the routes answer it each time.
      const routed = await tlsGet(`${target}?`, { headers })
      await tlsGet(target)
      const known = await tlsGet(target, { headers })
      t.equal(known.status, routed.status)
      t.same(withoutDate(known.headers), withoutDate(routed.headers))
      t.ok(known.body.equals(routed.body))
    }
  }

  t.ok(
    await untilTrue(async () => {
      const readers = await service.admin('GET', '/meshes/acme/bundle/readers')
      return readers.body.items[0].fetches >= 8
    }),
    'both ways count the reader',
  )
  const metrics = await request(`http://${service.service.addresses.telemetry}/metrics`)
  t.match(await metrics.body.text(), /entente_bundle_fetches_total\{status="304"\} [1-9]/)

  await service.admin('DELETE', '/meshes/acme/bundle/readers/spire')
  t.ok(await untilTrue(async () => (await tlsGet(url)).status === 404), 'a removed reader is gone')
  t.equal((await tlsGet(plain)).status, 200)
  await service.admin('DELETE', '/meshes/acme?force=true')
  t.ok(
    await untilTrue(
      async () => (await tlsGet(plain).catch(() => ({ status: 404 }))).status === 404,
    ),
    'and so is the bundle of a mesh that was deleted',
  )
})

function withoutDate(headers: object): object {
  return { ...headers, date: undefined }
}
