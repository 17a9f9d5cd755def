// Uses the API through a client that openapi-typescript and openapi-fetch made from its document: an application, an
// endpoint, a message, and the attempt read back. Prints what it saw as one JSON object.
import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

const { BASE_URL, API_KEY, RECEIVER_URL } = process.env as Record<string, string>;
const client = createClient<paths>({
  baseUrl: BASE_URL,
  headers: { Authorization: `Bearer ${API_KEY}` },
});

function good<T>(what: string, answer: { data?: T; error?: unknown; response: Response }): T {
  if (answer.data === undefined) {
    throw new Error(`${what}: ${answer.response.status} ${JSON.stringify(answer.error)}`);
  }
  return answer.data;
}

const application = good(
  "createApplication",
  await client.POST("/v1/applications", { body: { name: "By TypeScript" } }),
);
const endpoint = good(
  "createEndpoint",
  await client.POST("/v1/applications/{application}/endpoints", {
    params: { path: { application: application.id } },
    body: { url: RECEIVER_URL, event_types: ["client.made"] },
  }),
);
const message = good(
  "publishMessage",
  await client.POST("/v1/applications/{application}/messages", {
    params: { path: { application: application.id } },
    body: { event_type: "client.made", payload: { by: "TypeScript" } },
  }),
);

const deadline = Date.now() + 20_000;
for (;;) {
  const answer = await client.GET(
    "/v1/applications/{application}/messages/{message}/deliveries/{endpoint}/attempts",
    { params: { path: { application: application.id, message: message.id, endpoint: endpoint.id } } },
  );
  // Until the fan-out is done there is no delivery to have attempts.
  const attempts = answer.response.status === 404 ? [] : good("listAttempts", answer).data;
  if (attempts.length > 0) {
    console.log(
      JSON.stringify({
        application: application.id,
        endpoint: endpoint.id,
        message: message.id,
        attempts: attempts.length,
        status: attempts[0].outcome.http_status,
      }),
    );
    break;
  }
  if (Date.now() > deadline) throw new Error("no attempt is listed");
  await new Promise((resolve) => setTimeout(resolve, 50));
}
