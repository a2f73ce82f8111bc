import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A Web PKI of a test, made by openssl: a root, an intermediate, and leaves for hosts. */
export interface WebPki {
  readonly rootPem: string
  /** A leaf for hosts (DNS or IP) with its chain and key, PEM. */
  leaf(hosts: readonly string[], days: number): { cert: string; chain: string; key: string }
}

export function webPki(folder: string): WebPki {
  const file = (name: string): string => join(folder, name)
  const openssl = (...argv: string[]): void => {
    execFileSync('openssl', argv, { stdio: ['ignore', 'ignore', 'pipe'], cwd: folder })
  }
  const key = (name: string): string => {
    openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', file(name))
    return file(name)
  }
  const sign = (subject: string, extensions: string, days: number): string => {
    writeFileSync(file(`${subject}.ext`), extensions)
    openssl(
      'req',
      '-new',
      '-key',
      key(`${subject}.key`),
      '-subj',
      `/CN=${subject}`,
      '-out',
      file(`${subject}.csr`),
    )
    const issuer = subject === 'intermediate' ? 'root' : 'intermediate'
    openssl(
      'x509',
      '-req',
      '-in',
      file(`${subject}.csr`),
      '-CA',
      file(`${issuer}.pem`),
      '-CAkey',
      file(`${issuer}.key`),
      '-CAcreateserial',
      '-days',
      String(days),
      '-extfile',
      file(`${subject}.ext`),
      '-out',
      file(`${subject}.pem`),
    )
    return readFileSync(file(`${subject}.pem`), 'utf8')
  }
  openssl(
    'req',
    '-x509',
    '-new',
    '-key',
    key('root.key'),
    '-subj',
    '/CN=root',
    '-days',
    '365',
    '-addext',
    'basicConstraints=critical,CA:TRUE',
    '-out',
    file('root.pem'),
  )
  const intermediate = sign(
    'intermediate',
    'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign',
    200,
  )
  let made = 0
  return {
    rootPem: readFileSync(file('root.pem'), 'utf8'),
    leaf: (hosts, days) => {
      const names = hosts.map((host) => (/^[0-9.]+$/.test(host) ? `IP:${host}` : `DNS:${host}`))
      const subject = `leaf${(made += 1)}`
      const cert = sign(subject, `subjectAltName=${names.join(',')}`, days)
      return { cert, chain: cert + intermediate, key: readFileSync(file(`${subject}.key`), 'utf8') }
    },
  }
}
