import { trustDomainOf } from '../../spiffe/spiffe-id.ts'
import {
  type BundleSource,
  commented,
  type InstructionPart,
  type InstructionRenderer,
} from './instruction.ts'

/**
 * SPIRE Server: `federates_with` of `server.conf`, the bundle that authenticates the first fetch, and what its
 * workloads need to be given the bundle.
 */
export const forSpire: InstructionRenderer = ({ sources }) => [
  {
    title: 'server.conf: merge into the server block, then restart the SPIRE Server',
    language: 'hcl',
    text: `server {\n  federation {\n${sources.map(federatesWith).join('')}  }\n}\n`,
  },
  ...sources.flatMap(bootstrap),
  {
    title: 'entries: only workloads whose entry names the domain are given its bundle',
    language: 'shell',
    text: sources
      .map(
        ({ trustDomain }) =>
          `# add to spire-server entry create or update: -federatesWith spiffe://${trustDomain}\n`,
      )
      .join(''),
  },
]

function federatesWith(source: BundleSource): string {
  const { trustDomain, url, profile, endpointId } = source
  const proof =
    endpointId === undefined
      ? `      bundle_endpoint_profile ${quote(profile)} {}\n`
      : `      bundle_endpoint_profile ${quote(profile)} {\n        endpoint_spiffe_id = ${quote(endpointId)}\n      }\n`
  return (
    `    federates_with ${quote(trustDomain)} {\n` +
    `      bundle_endpoint_url = ${quote(url)}\n${proof}    }\n`
  )
}

/** The command that stores the bundle by which an https_spiffe endpoint is authenticated the first time. */
export function bootstrap(source: BundleSource): InstructionPart[] {
  const { trustDomain, endpointId, endpointBundle } = source
  if (endpointId === undefined || endpointBundle === undefined) return []
  const domain = trustDomainOf(endpointId)
  const note =
    domain === trustDomain
      ? commented('once; later bundles come over the connections that this one authenticates')
      : commented(
          `the endpoint stands under ${domain}, so the bundle of ${domain} authenticates it;`,
          `leave this out where the SPIRE Server is that of ${domain} itself`,
        )
  const file = `${domain}.json`
  return [
    {
      title: `the bundle that authenticates the endpoint of ${trustDomain}; compare its fingerprint first`,
      language: 'shell',
      text:
        `${note}cat > ${file} <<'BUNDLE'\n${endpointBundle.trimEnd()}\nBUNDLE\n` +
        `spire-server bundle set -format spiffe -id spiffe://${domain} -path ${file}\n`,
    },
  ]
}

/** A string of HCL; what we write holds no `\${`, which HCL would read as a template. */
function quote(text: string): string {
  return JSON.stringify(text)
}
