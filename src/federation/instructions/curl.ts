import { inShell } from '../../errors.ts'
import { trustDomainOf } from '../../spiffe/spiffe-id.ts'
import { type BundleSource, commented, type InstructionRenderer } from './instruction.ts'

/** curl and openssl: a look at the bundle, and at who serves it. */
export const forCurl: InstructionRenderer = ({ sources }) =>
  sources.map((source) => ({
    title: `a look at the bundle of ${source.trustDomain}`,
    language: 'shell',
    text: source.endpointId === undefined ? overWeb(source) : overSpiffe(source, source.endpointId),
  }))

function overWeb({ url }: BundleSource): string {
  return `curl --fail --silent --show-error ${inShell(url)}\n`
}

/** curl checks names of hosts and not SPIFFE IDs, so that openssl has to. */
function overSpiffe(
  { url, endpointBundle }: BundleSource,
  endpointId: NonNullable<BundleSource['endpointId']>,
): string {
  const { hostname, port } = new URL(url)
  const domain = trustDomainOf(endpointId)
  const connect = `${hostname}:${port === '' ? '443' : port}`
  const roots = `${domain}.pem`
  return (
    commented(
      'curl cannot check a SPIFFE ID: what it shows here is a look, nothing to put trust in',
    ) +
    `curl --fail --silent --show-error --insecure ${inShell(url)}\n` +
    (endpointBundle === undefined
      ? ''
      : commented(
          '',
          `the chain under ${domain}, from its bundle that came another way (bundle.json), and the ID:`,
          `it must be ${endpointId}`,
        ) +
        `jq -r '.keys[] | select(.use == "x509-svid") | "-----BEGIN CERTIFICATE-----\\n" + .x5c[0] + "\\n-----END CERTIFICATE-----"' bundle.json > ${inShell(roots)}\n` +
        `openssl s_client -connect ${inShell(connect)} -servername ${inShell(hostname)} -CAfile ${inShell(roots)} -partial_chain -verify_return_error </dev/null | openssl x509 -noout -ext subjectAltName\n`)
  )
}
