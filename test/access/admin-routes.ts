import { subscribe } from 'node:diagnostics_channel'
import type { RouteOptions } from 'fastify'
import type { App } from '../../src/http/listener.ts'

/** A route that a listener registered. */
export interface Route {
  readonly method: string
  readonly url: string
  readonly action: unknown
  readonly secretAnswer: boolean
  /** Whether its handler hands owner scopes on. */
  readonly narrows: boolean
  /** Names of the members of its answers. */
  readonly answers: readonly string[]
}

/** Methods that change nothing. */
export const READS = ['GET', 'HEAD', 'OPTIONS']

/** Every route that any listener of this process registers from now on. */
export function watchRoutes(): (app: App) => Route[] {
  const routes = new Map<unknown, Route[]>()
  subscribe('fastify.initialization', (message) => {
    const { fastify } = message as { fastify: App }
    const found: Route[] = []
    routes.set(fastify, found)
    fastify.addHook('onRoute', (route: RouteOptions) => {
      for (const method of [route.method].flat()) {
        const { action, secretAnswer = false, narrows = false } = route.config ?? {}
        found.push({
          method,
          url: route.url,
          action,
          secretAnswer,
          narrows,
          answers: membersOf(route),
        })
      }
    })
  })
  return (app) => routes.get(app) ?? []
}

function membersOf({ schema }: RouteOptions): string[] {
  const answers = (schema?.response ?? {}) as Record<string, { properties?: object }>
  return Object.values(answers).flatMap(({ properties = {} }) => Object.keys(properties))
}

/** The route's URL with something in the place of each parameter. */
export function fill(url: string, meshId: string): string {
  const uuid = '00000000-0000-4000-8000-000000000000'
  return url.replace('*', 'x').replaceAll(/:([A-Za-z]+)/g, (_, name: string) => {
    if (name === 'meshId') return meshId
    return name.endsWith('Id') ? uuid : 'x'
  })
}
