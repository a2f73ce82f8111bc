import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Alarms } from '../../src/http/alarms.ts'
import { createLogger } from '../../src/http/log.ts'
import { createMetrics } from '../../src/http/metrics.ts'
import { type KeyedCertificate } from '../../src/http/tls.ts'
import { findWebCertificateFaults, WebCertificate } from '../../src/http/tls-files.ts'
import { testClock } from '../support/clock.ts'
import { webPki } from '../support/web-pki.ts'

function files(t: Test) {
  const folder = t.testdir({})
  const pki = webPki(folder)
  const certFile = join(folder, 'web.pem')
  const keyFile = join(folder, 'web.key')
  const clock = testClock(new Date())
  const alarms = new Alarms({ log: createLogger({ level: 'silent' }), metrics: createMetrics() })
  const shown: KeyedCertificate[] = []
  let hosts = ['acme.example']
  const certificate = new WebCertificate({
    certFile,
    keyFile,
    clock,
    alarms,
    hosts: () => hosts,
    onChange: (pair) => shown.push(pair),
  })
  return {
    pki,
    clock,
    alarms,
    shown,
    certificate,
    setHosts: (names: string[]) => (hosts = names),
    write: (pair: { chain?: string; key?: string }) => {
      if (pair.chain !== undefined) writeFileSync(certFile, pair.chain)
      if (pair.key !== undefined) writeFileSync(keyFile, pair.key)
    },
    raised: () => alarms.list().map(({ code }) => code),
  }
}

t.test('files are read again when they change, and only then', async (t) => {
  const { pki, certificate, shown, write, raised } = files(t)
  const first = pki.leaf(['acme.example'], 90)
  write(first)
  await certificate.refresh()
  await certificate.refresh()
  t.equal(shown.length, 1)
  t.equal(certificate.current?.cert, first.chain)
  const second = pki.leaf(['acme.example'], 90)
  write(second)
  await certificate.refresh()
  t.equal(certificate.current?.key, second.key)
  t.same(raised(), [])
})

t.test('a bad new pair keeps the old one and is alarmed until it is mended', async (t) => {
  const { pki, certificate, shown, write, raised, alarms } = files(t)
  const first = pki.leaf(['acme.example'], 90)
  const second = pki.leaf(['acme.example'], 90)
  write(first)
  await certificate.refresh()
  const bad = [
    { chain: second.chain, key: first.key },
    { chain: 'no certificate' },
    { chain: first.chain, key: 'no key' },
    { chain: '' },
  ]
  for (const pair of bad) {
    write(pair)
    await certificate.refresh()
    t.same(raised(), ['web-certificate.unusable'])
    t.match(alarms.list(), [{ service: true, message: /the old pair stays/ }])
    t.equal(certificate.current?.cert, first.chain)
  }
  t.equal(shown.length, 1)
  write(second)
  await certificate.refresh()
  t.same(raised(), [])
  t.equal(shown.length, 2)
})

t.test('absent files are alarmed, and used as soon as they are there', async (t) => {
  const { pki, certificate, write, alarms, raised } = files(t)
  await certificate.refresh()
  t.match(alarms.list(), [{ message: /there is none to present/ }])
  write(pki.leaf(['acme.example'], 90))
  await certificate.refresh()
  t.same(raised(), [])
})

t.test('FE-15 end, hosts and chain are checked hourly', async (t) => {
  const { pki, certificate, clock, write, raised, setHosts } = files(t)
  write(pki.leaf(['acme.example', '10.0.0.1'], 20))
  await certificate.refresh()
  t.same(raised(), [])
  setHosts(['acme.example', '10.0.0.1', 'globex.example', '10.0.0.2'])
  await certificate.refresh()
  t.same(raised(), ['web-certificate.hosts'], 'a new host is checked at once')
  setHosts(['acme.example', '10.0.0.1'])
  await clock.advance(7 * 86_400_000)
  await certificate.refresh()
  t.same(raised(), ['web-certificate.ending'])
})

t.test('FE-15 faults name what is wrong', (t) => {
  const pki = webPki(t.testdir({}))
  const { cert, chain } = pki.leaf(['*.acme.example'], 90)
  const now = new Date()
  const faults = (text: string, hosts: string[], at = now): string[] => [
    ...findWebCertificateFaults(text, hosts, at).values(),
  ]
  t.same(faults(chain, ['shop.acme.example']), [], 'a wildcard covers one label')
  t.match(faults(chain, ['acme.example', 'a.b.acme.example']), [
    /does not name acme\.example, a\.b\.acme\.example/,
  ])
  t.match(faults(cert, []), [/only the leaf/])
  t.match(faults(cert + pki.rootPem, []), [
    /certificate 1 of the file is not issued by the one after it/,
  ])
  t.match(faults(chain, [], new Date(now.getTime() + 91 * 86_400_000)), [/ended at/])
  t.end()
})
