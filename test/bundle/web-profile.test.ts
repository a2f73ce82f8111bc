import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startTestService } from '../support/service.ts'
import { tlsGet } from '../support/tls-get.ts'
import { webPki } from '../support/web-pki.ts'
import { testFolder } from '../support/test-folder.ts'

t.test('web profile', async (t) => {
  const folder = testFolder(t)
  const pki = webPki(folder)
  const certFile = join(folder, 'web.pem')
  const keyFile = join(folder, 'web.key')
  const first = pki.leaf(['web.localhost', 'localhost'], 90)
  writeFileSync(certFile, first.chain)
  writeFileSync(keyFile, first.key)
  const service = await startTestService(t, {
    ENTENTE_DATA_DIR: folder,
    ENTENTE_WEB_CERT_FILE: certFile,
    ENTENTE_WEB_KEY_FILE: keyFile,
    ENTENTE_DEFAULT_TLS: 'web',
  })
  const made = await service.admin('POST', '/meshes', {
    meshId: 'web',
    trustDomain: 'web.example',
    profile: 'https_web',
    bundleHost: 'web.localhost',
  })
  t.equal(made.status, 201)
  const [domain] = made.body.trustDomains
  t.equal(domain.profile, 'https_web')
  t.equal(domain.endpointSpiffeId, null)
  const verified = { ca: [pki.rootPem], rejectUnauthorized: true }
  const answers = async (url: string): Promise<boolean> =>
    tlsGet(url, verified).then(
      ({ status }) => status === 200,
      () => false,
    )
  t.ok(await soon(() => answers(domain.bundleUrl)))

  t.test('FE-15 the certificate names the host of the advertised URL', async (t) => {
    t.ok(await answers(domain.bundleUrl), 'a client that checks chain and host is content')
    const other = domain.bundleUrl.replace('web.localhost', 'other.localhost')
    t.notOk(await answers(other), 'and is not under another name')
  })

  t.test('ENTENTE_DEFAULT_TLS=web answers unknown names with the web certificate', async (t) => {
    const { chain } = await tlsGet(domain.bundleUrl.replace('web.localhost', 'other.localhost'))
    t.match(first.chain.replaceAll('\n', ''), chain[0]?.toString('base64'))
  })

  t.test('a renewed certificate is presented without a restart', async (t) => {
    const renewed = pki.leaf(['web.localhost'], 90)
    writeFileSync(certFile, renewed.chain)
    writeFileSync(keyFile, renewed.key)
    const pem = renewed.chain.replaceAll('\n', '')
    t.ok(await soon(async () => pem.includes((await leafAt(domain.bundleUrl)).toString('base64'))))
  })

  t.test('FE-04 a mesh of the other profile stands beside it under its own identity', async (t) => {
    const body = { meshId: 'acme', trustDomain: 'acme.example' }
    const other = await service.admin('POST', '/meshes', body)
    const url: string = other.body.trustDomains[0].bundleUrl
    const id = 'spiffe://acme.example/entente/bundle-endpoint'
    t.ok(await soon(async () => (await leafAt(url)).includes(id)))
  })
})

async function leafAt(url: string): Promise<Buffer> {
  return (await tlsGet(url)).chain[0] ?? Buffer.alloc(0)
}

async function soon(holds: () => Promise<boolean>): Promise<boolean> {
  for (let n = 0; n < 100; n += 1) {
    if (await holds()) return true
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  return false
}

t.test('https_web without certificate files is refused with what to set', async (t) => {
  const service = await startTestService(t)
  const made = await service.admin('POST', '/meshes', {
    meshId: 'web',
    trustDomain: 'web.example',
    profile: 'https_web',
  })
  t.equal(made.status, 400)
  t.match(made.body.next, /ENTENTE_WEB_CERT_FILE/)
})
