import type { MeshView } from './api.ts'

/** The commands that are useful once a mesh exists, ready to paste. */
export function nextAfterCreate(mesh: MeshView): string[] {
  const { meshId } = mesh
  const [domain] = mesh.trustDomains
  if (domain === undefined) return []
  const { name, bundleUrl: url, profile, endpointSpiffeId, hostCheck } = domain
  const endpoint = endpointSpiffeId === null ? '' : ` --endpoint-id ${endpointSpiffeId}`
  const bootstrap = endpointSpiffeId === null ? '' : ` --bundle-file ${meshId}-bundle.json`
  const dns = hostCheck?.resolvesToUs === false ? [`# ${hostCheck.detail}`] : []
  return [
    ...dns,
    `entente bundle show --mesh ${meshId} > ${meshId}-bundle.json`,
    `# at the peer: entente federation add ${meshId} --trust-domain ${name} --profile ${profile} --url ${url}${endpoint}${bootstrap}`,
    `entente join-token create --mesh ${meshId} --id /web`,
  ]
}
