import { request } from 'undici'
import { type App } from '../../../src/http/listener.ts'
import { type TestService } from '../../support/service.ts'

/** A route of the OpenAPI description. */
export interface Operation {
  /** `GET /v1/meshes/{meshId}/rules/{ruleId}`. */
  readonly key: string
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly path: string
}

/** A parameter of a path with the literal that it follows: `rules/ruleId`, `services/namespace/name`. */
export interface Parameter {
  readonly name: string
  readonly place: string
}

/** An answer, whole. */
export interface Seen {
  readonly status: number
  /** Header lines without the date. */
  readonly headers: string
  readonly text: string
}

/** Every route under `/v1` that the description of this service names. */
export function operationsOf(app: App): Operation[] {
  const { paths } = app.swagger() as { paths: Record<string, Record<string, unknown>> }
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((name) => {
      const method = name.toUpperCase() as Operation['method']
      return { key: `${method} ${path}`, method, path }
    }),
  )
}

/** The parameters of a path in their order. */
export function parametersOf(path: string): Parameter[] {
  const found: Parameter[] = []
  let place = ''
  for (const segment of path.split('/').slice(1)) {
    const [, name] = /^\{(.+)\}$/.exec(segment) ?? []
    place = name === undefined ? segment : `${place}/${name}`
    if (name !== undefined) found.push({ name, place })
  }
  return found
}

/** The path with every parameter filled in. */
export function fill(path: string, valueOf: (parameter: Parameter) => string): string {
  const values = parametersOf(path).map(valueOf)
  return path.replaceAll(/\{[^}]+\}/g, () => encodeURIComponent(values.shift() ?? ''))
}

/** One request to the admin listener. */
export interface Wanted {
  readonly method: Operation['method']
  /** With its query. */
  readonly path: string
  readonly body?: object | undefined
}

/** Asks the admin listener with a token. */
export async function ask(
  { service }: TestService,
  token: string,
  { method, path, body }: Wanted,
): Promise<Seen> {
  const answer = await request(`http://${service.addresses.admin}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      'if-match': '*',
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    body: body === undefined ? null : JSON.stringify(body),
  })
  const { date: _, ...headers } = answer.headers
  return {
    status: answer.statusCode,
    headers: JSON.stringify(headers),
    text: await answer.body.text(),
  }
}

/** An answer without what no two answers share: moments, ages, fresh signatures, the number of a problem, its length. */
export function shapeOf({ status, headers, text }: Seen, asked?: string): string {
  const shape = `${status} ${headers} ${text}`
    .replaceAll(/"content-length":"\d+"/g, '')
    .replaceAll(/"instance":"[^"]+"/g, '')
    .replaceAll(/"ageSeconds":\d+/g, '')
    .replaceAll(/"[\w-]+\.[\w-]+\.[\w-]+"/g, '<signed>')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<moment>')
  if (asked === undefined) return shape
  return shape.replaceAll(encodeURIComponent(asked), '<asked>').replaceAll(asked, '<asked>')
}
