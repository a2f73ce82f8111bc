import { resolve } from 'node:path'
import type { Service } from './compose.ts'
import { allMeshes } from './mesh/find-mesh.ts'

/** What a person reads after the start: where everything is, and the next useful command. */
export async function welcomeText(service: Service): Promise<string> {
  const { base, parts, addresses } = service
  const scheme = base.config.ADMIN_TLS === 'files' ? 'https' : 'http'
  const meshes = await allMeshes(base.database.db)
  const folder = base.config.DATA_DIR
  // ./data is where a command looks by itself.
  const flag = resolve(folder) === resolve('data') ? '' : ` --data-dir ${folder}`
  const next = meshes.length === 0 ? 'mesh create acme --trust-domain acme.example' : 'mesh list'
  return `
entente is running
  admin API   ${scheme}://${addresses.admin}/v1, token in ${parts.adminTokenFile}
  API reader  ${scheme}://${addresses.admin}/docs
  federation  ${parts.publicUrl}
  workload    ${parts.workloadUrl}
  telemetry   http://${addresses.telemetry}/readyz

next: ./bin/entente${flag} ${next}
`
}
