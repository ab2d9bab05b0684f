/** RFC 9457 with Steward's extensions. */
export interface Problem {
  title?: string;
  status: number;
  detail?: string | null;
  code?: string;
  request_id?: string | null;
  errors?: { pointer: string; code: string; detail: string }[] | null;
}

/** Every failed call becomes one of these: the server's problem document, or what happened on the way to it. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly detail: string | null;
  readonly requestId: string | null;
  readonly fields: readonly { pointer: string; code: string; detail: string }[];

  constructor(problem: Problem) {
    super(problem.detail ?? problem.title ?? problem.code ?? `HTTP ${problem.status}`);
    this.name = "ApiError";
    this.status = problem.status;
    this.code = problem.code ?? `http_${problem.status}`;
    this.detail = problem.detail ?? null;
    this.requestId = problem.request_id ?? null;
    this.fields = problem.errors ?? [];
  }

  /** The message for one field of a form, by its name. */
  forField(name: string): string | undefined {
    return this.fields.find((f) => f.pointer === `/${name}` || f.pointer === name)?.detail;
  }
}

/** Status 0 stands for "no answer at all". */
export const UNREACHABLE = 0;

export function unreachable(): ApiError {
  return new ApiError({ status: UNREACHABLE, code: "unreachable" });
}

/** Reads the problem document of a refused response; anything that is not one keeps its status. */
export async function problemOf(response: Response): Promise<ApiError> {
  const fallback = { status: response.status, request_id: response.headers.get("x-request-id") };
  try {
    const body = (await response.json()) as Partial<Problem>;
    return new ApiError({ ...fallback, ...body, status: response.status });
  } catch {
    return new ApiError(fallback);
  }
}

export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError({ status: UNREACHABLE, code: "console", detail: error instanceof Error ? error.message : String(error) });
}
