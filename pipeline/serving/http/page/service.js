// Questions to the service, with the key where it asks for one.

const KEY = "reelsift-key";

export class ServiceError extends Error {
  constructor(status, code, message, field) {
    super(message);
    Object.assign(this, { status, code, field });
  }
}

export const keyOf = () => sessionStorage.getItem(KEY);
export const keepKey = (key) => sessionStorage.setItem(KEY, key);
export const dropKey = () => sessionStorage.removeItem(KEY);

export async function ask(path, { body, signal } = {}) {
  const headers = {};
  if (keyOf()) headers.authorization = `Bearer ${keyOf()}`;
  if (body) headers["content-type"] = "application/json";
  const begin = performance.now();
  let answer;
  try {
    answer = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError(0, "unreachable", "The service does not answer.");
  }
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const told = data.error ?? { code: "http_error", message: `The service answers ${answer.status}.` };
    throw new ServiceError(answer.status, told.code, told.message, told.field);
  }
  return { data, ms: performance.now() - begin };
}
